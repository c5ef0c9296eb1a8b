/* meet.c - a tile of keys meets the tiles of queries of a block.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * S = Q K^T, score edit, softmax step, O += P V. A row carries the largest score so far, the sum of
 * exp(score - largest) and the output multiplied by that sum; when the largest moves, sum and output are rescaled
 * (Milakov and Gimelshein, 2018, algorithm 3).
 *
 * A unit that multiplies tiles leaves the vector units idle, which make exponentials: so with thirds a tile goes by parts,
 * and the weights of one are made beside the products of the one before it and of the one after it.
 */
#include "meet.h"

#include <math.h>
#include <string.h>

#include "base.h"
#include "floats.h"
#include "peaks.h"
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

/* The scores go to the caller's array as they are; finish.c makes weights of them, once the sums are known. */
static void keep_scores(const attn__strand *s, const attn__tile *tile, const attn__score_tile *scores) {
  for (int64_t r = 0; r < tile->rows; r++)
    memcpy(attn__tile_result(tile, &s->job->problem->weights, r) + scores->first_key,
           scores->scores + r * scores->stride, (size_t)scores->keys * sizeof(float));
}

/* If max is above the largest score of row r so far, it takes its place, and what was summed up is rescaled. */
static void raise_max(const attn__strand *s, const attn__tile *tile, int64_t r, float max) {
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
static void raise_maxima(const attn__strand *s, attn__meeting *m) {
  const attn__job *job = s->job;
  float maxima[ATTN__PLAN_TILE_ROWS];
  job->kernels->row_maxima(m->tile.rows, m->scores.keys, m->scores.scores, m->scores.stride, maxima);
  for (int64_t r = 0; r < m->tile.rows; r++) {
    raise_max(s, &m->tile, r, maxima[r]);
    float shift = attn__tile_shift(m->tile.state.maxima[r]);
    if (attn__peaks_large(shift, maxima[r]))
      shift = attn__peaks_sharpen(job->problem, job->kernels, &m->scores, r, shift);
    m->exponents.shifts[r] = shift;
  }
}

/* Adds weight * value for values of a key head that are not finite, which were cleared before the product, to those of
 * the rows [first, end) that see them. */
static void add_not_finite(const attn__strand *s, const attn__meeting *m, int64_t kv_head, int64_t first,
                           int64_t end) {
  const attn__problem *problem = s->job->problem;
  const attn__tile *tile = &m->tile;
  const attn__score_tile *scores = &m->scores;
  for (int64_t j = 0; j < scores->keys; j++) {
    const int64_t key = scores->first_key + j;
    const float *value =
        attn__input_row(&problem->value, s->sequence.batch_k, kv_head, s->sequence.first_k + key);
    if (s->job->kernels->all_finite(problem->dim_v, value)) continue;
    for (int64_t r = first; r < end; r++) {
      if (!attn__score_sees(problem, tile->b, attn__tile_head(tile, r), attn__tile_query(tile, r), key))
        continue;
      float weight = scores->scores[r * scores->stride + j];
      for (int64_t d = 0; d < problem->dim_v; d++)
        if (!isfinite(value[d])) tile->state.outputs[r * problem->dim_v + d] += weight * value[d];
    }
  }
}

/* A tile of scores for the keys of a step in the range of a query tile; none of them may be. */
static attn__score_tile scores_of_step(const attn__strand *s, const attn__tile *tile,
                                       const attn__key_step *step, float *room) {
  attn__score_tile scores = attn__tile_scores(tile, room, s->job->plan->score_stride);
  scores.first_key = attn__max(step->first, tile->visible.begin);
  scores.keys = attn__max(attn__min(step->first + step->count, tile->visible.end) - scores.first_key, 0);
  return scores;
}

static int64_t keys_of_step(const attn__strand *s, const attn__tile *tile, const attn__key_step *step) {
  return scores_of_step(s, tile, step, NULL).keys;
}

/* Makes the scores of a meeting, edits them and readies the softmax; in thirds, beside that, what is left of the weights
 * of the meeting before, if any. Returns 0 if there is no such meeting: its rows see no key of the step. */
static int32_t begin(const attn__strand *s, attn__meeting *m, attn__key_step *step, attn__meeting *before) {
  const attn__job *job = s->job;
  m->scores = scores_of_step(s, &m->tile, step, m->room);
  if (m->scores.keys == 0) return 0;
  if (attn__score_hidden(job->problem, &m->scores)) {
    skip(job->problem, &m->tile, &m->scores);
    return 0;
  }
  if (job->plan->thirds)
    attn__thirds_scores(s, m, step, before);
  else
    attn__floats_scores(s, m, step);
  m->masked = attn__score_edit(job->problem, job->kernels, &m->scores);
  if (job->problem->weights.data) keep_scores(s, &m->tile, &m->scores);
  raise_maxima(s, m);
  if (job->plan->thirds) attn__thirds_begin_weights(s, m, step);
  return 1;
}

/* Scores become weights, and these meet the values; in thirds, beside that, weights of the next meeting, if any: half, or
 * all if none comes after it. */
static void end(const attn__strand *s, attn__meeting *m, attn__key_step *step, attn__meeting *next,
                int32_t none_after) {
  const attn__job *job = s->job;
  const attn__score_tile *scores = &m->scores;
  if (job->plan->thirds)
    attn__thirds_end_weights(s, m);
  else
    job->kernels->weigh_rows(m->tile.rows, scores->keys, scores->scores, scores->stride,
                             m->exponents.shifts, m->exponents.sums);
  for (int64_t r = 0; r < m->tile.rows; r++) m->tile.state.sums[r] += m->exponents.sums[r];
  attn__score_weigh(job->problem, job->kernels, scores);
  if (job->plan->thirds)
    attn__thirds_outputs(s, m, step, next, none_after);
  else
    attn__floats_outputs(s, m, step);
  if (!step->cleared) return;
  const int64_t rows = attn__strand_rows(s, &m->tile);
  for (int64_t first = 0; first < m->tile.rows; first += rows)
    add_not_finite(s, m, s->kv_head + first / rows, first, first + rows);
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
    part.query += row * s->job->plan->query_stride;
  part.state = attn__state_past(&tile->state, row, problem->dim_v);
  const attn__score_tile scores = attn__tile_scores(&part, NULL, 0);
  /* else each part sees what the tile does: something is wanted of every pair */
  if (s->job->plan->edge_rows < ATTN__PLAN_TILE_ROWS) part.visible = attn__score_visible(problem, &scores);
  return part;
}

/* How many rows of a tile meet the keys of a step together. */
static int64_t rows_together(const attn__strand *s, const attn__tile *tile, const attn__key_step *step) {
  const attn__plan *plan = s->job->plan;
  if (plan->part_rows > 0) return plan->part_rows;
  if (tile->rows <= plan->edge_rows) return tile->rows;
  const attn__score_tile scores = scores_of_step(s, tile, step, NULL);
  return attn__score_whole(s->job->problem, &scores) ? tile->rows : plan->edge_rows;
}

/* A tile meets the keys part by part. *before is the meeting that has begun and not ended, of those by turns under way. */
static void meet_tile(const attn__strand *s, attn__tile *tile, attn__key_step *step,
                      attn__meeting meetings[2], attn__meeting **before, int32_t last) {
  const int64_t rows = rows_together(s, tile, step), dim_v = s->job->problem->dim_v;
  int32_t met = 0;
  for (int64_t row = 0; row < tile->rows; row += rows) {
    attn__meeting *m = &meetings[*before == &meetings[0]];
    m->tile = rows < tile->rows ? part_of(s, tile, row, rows) : *tile;
    if (!begin(s, m, step, *before)) {
      if (!tile->started) memset(m->tile.state.outputs, 0, (size_t)(m->tile.rows * dim_v) * sizeof(float));
      continue;
    }
    met = 1;
    if (*before) end(s, *before, step, m, last && row + rows >= tile->rows);
    *before = m;
    if (s->job->plan->part_rows == 0) {
      end(s, m, step, NULL, 0);
      *before = NULL;
    }
  }
  tile->started |= met;
}

void attn__meet_step(attn__strand *s) {
  const attn__plan *plan = s->job->plan;
  attn__key_step *step = &s->step;
  attn__meeting meetings[2], *before = NULL;
  int64_t tiles = s->tiles;
  for (int64_t n = 0; n < 2; n++) {
    meetings[n].room = s->scores + n * plan->part_rows * plan->score_stride;
    meetings[n].weights = s->thirds.weights + n * attn__product_thirds(plan->part_rows, plan->tile_k);
  }
  while (tiles > 0 && keys_of_step(s, &s->tile[tiles - 1], step) == 0) tiles--;
  for (int64_t slot = 0; slot < tiles; slot++)
    if (keys_of_step(s, &s->tile[slot], step) > 0)
      meet_tile(s, &s->tile[slot], step, meetings, &before, slot == tiles - 1);
  if (before) end(s, before, step, NULL, 0);
}
