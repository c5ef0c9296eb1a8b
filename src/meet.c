/* meet.c - a tile of keys meets a tile of queries.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * S = Q K^T, score edit, softmax step, O += P V. A row carries the largest score so far, the sum of
 * exp(score - largest) and the output multiplied by that sum; when the largest moves, sum and output are rescaled
 * (Milakov and Gimelshein, 2018, algorithm 3).
 */
#include "meet.h"

#include <math.h>
#include <string.h>

#include "attn/attn.h"
#include "base.h"
#include "score.h"
#include "thirds.h"

static void fill_hidden(float *out, int64_t count) {
  for (int64_t j = 0; j < count; j++) out[j] = -INFINITY;
}

/* Scores and kept scores of a tile of keys that lies in the range of a query tile, but is hidden from it. */
static void skip(const attn__problem *problem, const attn__tile *tile, const attn__score_tile *scores) {
  for (int64_t r = 0; r < tile->rows; r++) {
    if (problem->weights.data)
      fill_hidden(attn__tile_result(tile, &problem->weights, r) + scores->first_key, scores->keys);
    if (problem->scores.data)
      fill_hidden(attn__tile_result(tile, &problem->scores, r) + scores->first_key, scores->keys);
  }
}

/* scores: tile rows x keys, the scaled products of queries and keys. */
static attn__product dot_product(const attn__strand *s, const attn__tile *tile,
                                 const attn__score_tile *scores, attn__matrix keys) {
  return (attn__product){.rows = tile->rows,
                         .cols = scores->keys,
                         .inner = s->job->problem->dim,
                         .a = tile->query,
                         .stride_a = s->job->problem->dim,
                         .b = keys,
                         .c = scores->scores,
                         .stride_c = scores->stride,
                         .ahead = s->ahead};
}

/* scores: tile rows x keys, scale * v . tanh(q + k): never more of q + k at once than a vector. */
static void additive_scores(const attn__strand *s, const attn__tile *tile, const attn__score_tile *scores,
                            attn__matrix keys) {
  const attn__problem *problem = s->job->problem;
  const int64_t panel = s->job->engine->panel ? s->job->engine->panel : scores->keys;
  for (int64_t r = 0; r < tile->rows; r++) {
    attn__additive operands = {problem->dim, tile->query + r * problem->dim, problem->score_weight,
                               keys.data, keys.stride};
    float *row = scores->scores + r * scores->stride;
    for (int64_t j = 0; j < scores->keys; j += panel, operands.keys += keys.step)
      s->job->kernels->additive(&operands, attn__min(panel, scores->keys - j), row + j);
    if (problem->scale != 1) s->job->kernels->scale(scores->keys, row, problem->scale, row);
  }
}

/* The packed keys of a step from the scores' first one on, which may become an earlier one. */
static attn__matrix packed_keys(const attn__strand *s, attn__key_step *step, attn__score_tile *scores) {
  const attn__job *job = s->job;
  const attn__kv_tile where = attn__strand_kv(s, step->first, step->count);
  const int64_t end = scores->first_key + scores->keys;
  int64_t left_out;
  if (!step->keys.data)
    step->keys = attn__kv_keys(job->problem, job->engine, job->kernels, &where, s->keys);
  const attn__matrix keys =
      attn__product_past(job->engine, step->keys, scores->first_key - step->first, &left_out);
  scores->first_key = step->first + left_out;
  scores->keys = end - scores->first_key;
  return keys;
}

/* Makes the scores of a tile and edits them. Returns 1 if any may be masked. */
static int32_t make_scores(const attn__strand *s, const attn__tile *tile, attn__key_step *step,
                           attn__score_tile *scores) {
  const attn__job *job = s->job;
  if (job->plan->direct) {
    const attn__kv_tile where = attn__strand_kv(s, scores->first_key, scores->keys);
    const attn__product product =
        dot_product(s, tile, scores, attn__kv_keys_in_place(job->problem, &where));
    job->kernels->multiply_transposed(&product);
  } else if (job->plan->thirds) {
    attn__thirds_scores(s, tile, step, scores);
  } else if (job->problem->score_function == ATTN_SCORE_ADDITIVE) {
    const attn__matrix keys = packed_keys(s, step, scores);
    additive_scores(s, tile, scores, keys);
  } else {
    const attn__matrix keys = packed_keys(s, step, scores);
    const attn__product product = dot_product(s, tile, scores, keys);
    job->engine->multiply(&product);
  }
  return attn__score_edit(job->problem, job->kernels, scores);
}

/* The scores go to the caller's array as they are; finish.c makes weights of them, once the sums are known. */
static void keep_scores(const attn__strand *s, const attn__tile *tile, const attn__score_tile *scores) {
  for (int64_t r = 0; r < tile->rows; r++)
    memcpy(attn__tile_result(tile, &s->job->problem->weights, r) + scores->first_key,
           scores->scores + r * scores->stride, (size_t)scores->keys * sizeof(float));
}

/* If max is above the largest score of row r so far, it takes its place, and what was summed up is rescaled. */
static void raise_max(const attn__strand *s, attn__tile *tile, int64_t r, float max) {
  const int64_t dim_v = s->job->problem->dim_v;
  float *outputs = tile->state.outputs + r * dim_v;
  if (!(max > tile->state.maxima[r])) return;
  if (tile->started) {
    const float factor = expf(tile->state.maxima[r] - max);
    tile->state.sums[r] *= factor;
    s->job->kernels->scale(dim_v, outputs, factor, outputs);
  }
  tile->state.maxima[r] = max;
}

/* The largest scores of the rows join what is known of them. */
static void raise_maxima(const attn__strand *s, attn__tile *tile, const attn__score_tile *scores,
                         attn__exponents *exponents) {
  s->job->kernels->row_maxima(tile->rows, scores->keys, scores->scores, scores->stride, exponents->shifts);
  for (int64_t r = 0; r < tile->rows; r++) {
    raise_max(s, tile, r, exponents->shifts[r]);
    exponents->shifts[r] = attn__tile_shift(tile->state.maxima[r]);
  }
}

/* Scores become weights: exp(score - largest of the row so far). */
static void make_weights(const attn__strand *s, attn__tile *tile, const attn__score_tile *scores,
                         attn__key_step *step) {
  const attn__job *job = s->job;
  attn__exponents exponents;
  raise_maxima(s, tile, scores, &exponents);
  if (job->plan->thirds)
    attn__thirds_weigh(s, tile, scores, step, &exponents);
  else
    job->kernels->exp_sums(tile->rows, scores->keys, scores->scores, scores->stride, exponents.shifts,
                           exponents.sums);
  for (int64_t r = 0; r < tile->rows; r++) tile->state.sums[r] += exponents.sums[r];
  attn__score_weigh(job->problem, job->kernels, scores);
}

/* Adds weight * value for values that are not finite, which were cleared before the product, to the rows
 * that see them. */
static void add_not_finite(const attn__strand *s, const attn__tile *tile, const attn__score_tile *scores) {
  const attn__problem *problem = s->job->problem;
  for (int64_t j = 0; j < scores->keys; j++) {
    const int64_t key = scores->first_key + j;
    const float *value =
        attn__input_row(&problem->value, s->sequence.batch_k, s->kv_head, s->sequence.first_k + key);
    if (s->job->kernels->all_finite(problem->dim_v, value)) continue;
    for (int64_t r = 0; r < tile->rows; r++) {
      if (!attn__score_sees(problem, tile->b, attn__tile_head(tile, r), attn__tile_query(tile, r), key))
        continue;
      float weight = scores->scores[r * scores->stride + j];
      for (int64_t d = 0; d < problem->dim_v; d++)
        if (!isfinite(value[d])) tile->state.outputs[r * problem->dim_v + d] += weight * value[d];
    }
  }
}

/* The layout of operands for products of few rows: as rows stand. */
static const attn__engine in_place = {.name = "in place"};

/* outputs += weights x values. Sums over keys are whole: where parts would be cut depends on where a block's keys begin,
 * which bits must not. A masked weight is 0, but 0 * NaN is NaN: where a tile has masked scores,
 * values that are not finite are kept out of the product. */
static void multiply_values(const attn__strand *s, attn__tile *tile, const attn__score_tile *scores,
                            int32_t masked, attn__key_step *step) {
  const attn__job *job = s->job;
  const int64_t dim_v = job->problem->dim_v;
  const attn__kv_tile where = attn__strand_kv(s, step->first, step->count);
  if (masked && step->finite < 0) step->finite = attn__kv_values_finite(job->problem, job->kernels, &where);
  if (masked && !step->finite && !step->cleared) {
    const attn__engine *layout = job->plan->direct ? &in_place : job->engine;
    step->values = attn__kv_values_cleared(job->problem, layout, job->kernels, &where, s->values);
    step->cleared = 1;
  }
  if (!step->values.data)
    step->values = job->plan->values_in_place
                       ? attn__kv_values_in_place(job->problem, job->engine, &where)
                       : attn__kv_values(job->problem, job->engine, job->kernels, &where, s->values);
  attn__product product = {.rows = tile->rows,
                           .cols = dim_v,
                           .inner = scores->keys,
                           .a = scores->scores,
                           .stride_a = scores->stride,
                           .b = step->values,
                           .c = tile->state.outputs,
                           .stride_c = dim_v,
                           .accumulate = tile->started,
                           .whole = 1,
                           .ahead = s->ahead};
  product.b.data += (scores->first_key - step->first) * step->values.stride;
  (job->plan->direct ? job->kernels->multiply_in_place : job->engine->multiply)(&product);
}

/* A tile of scores for the keys of a step in the range of a query tile; none of them may be. */
static attn__score_tile scores_of_step(const attn__strand *s, const attn__tile *tile,
                                       const attn__key_step *step) {
  attn__score_tile scores = attn__tile_scores(tile, s->scores, s->job->plan->score_stride);
  scores.first_key = attn__max(step->first, tile->visible.begin);
  scores.keys = attn__max(attn__min(step->first + step->count, tile->visible.end) - scores.first_key, 0);
  return scores;
}

/* Scores become exp(score - largest of the row so far), and the rows' states follow. */
static void meet_whole(const attn__strand *s, attn__tile *tile, attn__key_step *step) {
  const attn__job *job = s->job;
  attn__score_tile scores = scores_of_step(s, tile, step);
  if (scores.keys == 0) return;
  if (attn__score_hidden(job->problem, &scores)) {
    skip(job->problem, tile, &scores);
    return;
  }
  const int32_t masked = make_scores(s, tile, step, &scores);
  if (job->problem->weights.data) keep_scores(s, tile, &scores);
  make_weights(s, tile, &scores, step);
  if (job->plan->thirds)
    attn__thirds_outputs(s, tile, &scores, step);
  else
    multiply_values(s, tile, &scores, masked, step);
  tile->started = 1;
  if (step->cleared) add_not_finite(s, tile, &scores);
}

/* Up to so many rows of a tile of one head, from row on, as a tile. */
static attn__tile part_of(const attn__strand *s, const attn__tile *tile, int64_t row, int64_t rows) {
  const attn__problem *problem = s->job->problem;
  attn__tile part = *tile;
  part.first_query += row;
  part.queries = part.rows = attn__min(rows, tile->rows - row);
  if (s->job->plan->thirds)
    part.query_thirds.data += row / ATTN__THIRDS_STRIP * part.query_thirds.strip;
  else
    part.query += row * problem->dim;
  part.state = attn__state_past(&tile->state, row, problem->dim_v);
  const attn__score_tile scores = attn__tile_scores(&part, NULL, 0);
  part.visible = attn__score_visible(problem, &scores);
  return part;
}

/* The same where some rows see keys that others do not: each part of them meets what it sees. */
static void meet_at_edge(const attn__strand *s, attn__tile *tile, attn__key_step *step) {
  const int64_t rows = s->job->plan->edge_rows, dim_v = s->job->problem->dim_v;
  for (int64_t row = 0; row < tile->rows; row += rows) {
    attn__tile part = part_of(s, tile, row, rows);
    meet_whole(s, &part, step);
    if (!part.started) memset(part.state.outputs, 0, (size_t)(part.rows * dim_v) * sizeof(float));
  }
  tile->started = 1;
}

static int32_t at_edge(const attn__strand *s, const attn__tile *tile, const attn__key_step *step) {
  if (tile->rows <= s->job->plan->edge_rows) return 0;
  const attn__score_tile scores = scores_of_step(s, tile, step);
  return scores.keys > 0 && !attn__score_whole(s->job->problem, &scores);
}

void attn__meet_tile(const attn__strand *s, attn__tile *tile, attn__key_step *step) {
  (at_edge(s, tile, step) ? meet_at_edge : meet_whole)(s, tile, step);
}
