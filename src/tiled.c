/* tiled.c - many queries: tiles with an online softmax.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A strand takes blocks of query tiles. Each tile of keys that the block can see is transposed once and
 * meets every query tile of the block: S = Q K^T, score edit, softmax step, O += P V. A row carries the
 * largest score so far, the sum of exp(score - largest) and the output multiplied by that sum; when the
 * largest moves, sum and output are rescaled (Milakov and Gimelshein, 2018, algorithm 3).
 */
#include "tiled.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "attn/attn.h"
#include "base.h"
#include "kv.h"
#include "score.h"

typedef struct tiled_job {
  const attn__problem *problem;
  const attn__plan *plan;
  const attn__kernels *kernels;
  const attn__engine *engine;
  char *scratch;
  atomic_int_least64_t next_task;
} tiled_job;

/* A tile of query rows: row r is query first_query + r % queries of head first_head + r / queries. */
typedef struct query_tile {
  attn__sequence sequence;
  int64_t b, first_head, heads, first_query, queries, rows;
  attn__key_range visible;
  float *scaled;   /* rows x dim */
  float *outputs;  /* rows x dim_v */
  float *maxima;   /* rows */
  double *sums;    /* rows */
  int32_t started; /* outputs holds something */
} query_tile;

/* What a strand works with: its pieces of scratch and the block it is at. */
typedef struct strand {
  const tiled_job *job;
  float *queries, *outputs, *raw, *weight, *scores, *keys, *values, *maxima;
  double *sums;
  int64_t b, kv_head, tiles;
  attn__sequence sequence;
  query_tile tile[ATTN__PLAN_BLOCK_TILES];
} strand;

/* A tile of keys and values that meets the query tiles of a block: keys [first, first + count). */
typedef struct key_step {
  int64_t first, count;
  attn__matrix keys, values; /* data NULL: nobody has needed them yet */
  int32_t finite;            /* are all values? -1: nobody has looked yet */
  int32_t cleared;           /* values has 0 for those that are not */
} key_step;

static int64_t row_head(const query_tile *tile, int64_t r) {
  return tile->first_head + r / tile->queries;
}

static int64_t row_query(const query_tile *tile, int64_t r) {
  return tile->first_query + r % tile->queries;
}

/* A tile of scores of a query tile's rows; which keys is left open. */
static attn__score_tile score_tile(const query_tile *tile, float *scores, int64_t stride) {
  return (attn__score_tile){.scores = scores,
                            .stride = stride,
                            .b = tile->b,
                            .first_head = tile->first_head,
                            .heads = tile->heads,
                            .first_query = tile->first_query,
                            .queries = tile->queries};
}

/* Where row r of a query tile is in the weights, the scores or the LSE. */
static float *result_row(const query_tile *tile, const attn__output *output, int64_t r) {
  return attn__output_row(output, tile->b, row_head(tile, r), row_query(tile, r));
}

/* Where it is in the output, whose sequences may be packed. */
static float *output_row(const attn__problem *problem, const query_tile *tile, int64_t r) {
  return attn__output_row(&problem->output, tile->sequence.batch_q, row_head(tile, r),
                          tile->sequence.first_q + row_query(tile, r));
}

/* 1 if row r stands for no query: it is past the length of its sequence. */
static int32_t is_padding(const query_tile *tile, int64_t r) {
  return row_query(tile, r) >= tile->sequence.len_q;
}

static void fill_zero(float *out, int64_t count) {
  memset(out, 0, (size_t)count * sizeof *out);
}

static void fill_hidden(float *out, int64_t count) {
  for (int64_t j = 0; j < count; j++) out[j] = -INFINITY;
}

/* Residual, norm, gain and shift, once the output is written. */
static void finish_output(const attn__problem *problem, const query_tile *tile, int64_t r) {
  if (!problem->norm.active || is_padding(tile, r)) return;
  const float *residual = NULL;
  if (problem->residual.data)
    residual = attn__input_row(&problem->residual, tile->sequence.batch_q, row_head(tile, r),
                               tile->sequence.first_q + row_query(tile, r));
  attn__norm_row(&problem->norm, problem->dim_v, residual, output_row(problem, tile, r));
}

/* A row's output, weights and LSE where it sees no key. Packed sequences have no output past their length. */
static void write_unseeing_row(const attn__problem *problem, const query_tile *tile, int64_t r) {
  const float *sinks = is_padding(tile, r) ? NULL : problem->sinks;
  if (!problem->starts_q || !is_padding(tile, r)) fill_zero(output_row(problem, tile, r), problem->dim_v);
  finish_output(problem, tile, r);
  if (problem->weights.data) fill_zero(result_row(tile, &problem->weights, r), problem->len_k);
  if (problem->lse.data) *result_row(tile, &problem->lse, r) = sinks ? sinks[row_head(tile, r)] : -INFINITY;
}

/* The scores of keys that no query of the tile sees. */
static void write_unseen_scores(const attn__problem *problem, const query_tile *tile, int64_t r) {
  if (!problem->scores.data) return;
  float *scores = result_row(tile, &problem->scores, r);
  fill_hidden(scores, tile->visible.begin);
  fill_hidden(scores + tile->visible.end, problem->len_k - tile->visible.end);
}

/* Scores and kept scores of a tile of keys that lies in the range of a query tile, but is hidden from it. */
static void skip(const attn__problem *problem, const query_tile *tile, const attn__score_tile *scores) {
  for (int64_t r = 0; r < tile->rows; r++) {
    if (problem->weights.data)
      fill_hidden(result_row(tile, &problem->weights, r) + scores->first_key, scores->keys);
    if (problem->scores.data)
      fill_hidden(result_row(tile, &problem->scores, r) + scores->first_key, scores->keys);
  }
}

/* A row's state begins, and its query is copied, scaled (but for additive scores, which are scaled later). */
static void open_row(const strand *s, query_tile *tile, int64_t r, float *queries) {
  const attn__problem *problem = s->job->problem;
  const float scale = problem->score_function == ATTN_SCORE_ADDITIVE ? 1 : problem->scale;
  tile->maxima[r] = -INFINITY;
  tile->sums[r] = 0;
  write_unseen_scores(problem, tile, r);
  if (is_padding(tile, r))
    fill_zero(queries + r * problem->dim, problem->dim);
  else
    s->job->kernels->scale(problem->dim,
                           attn__input_row(&problem->query, tile->sequence.batch_q, row_head(tile, r),
                                           tile->sequence.first_q + row_query(tile, r)),
                           scale, queries + r * problem->dim);
}

/* The general score q^T W k is the dot score of W^T q. */
static void multiply_weight(const strand *s, const query_tile *tile) {
  const attn__engine *engine = s->job->engine;
  const int64_t dim = s->job->problem->dim;
  for (int64_t col = 0; col < dim; col += ATTN__PLAN_WEIGHT_COLS) {
    const int64_t cols = attn__min(ATTN__PLAN_WEIGHT_COLS, dim - col);
    const attn__rows weight = {s->job->problem->score_weight + col, dim, dim, cols};
    const attn__product product = {.rows = tile->rows,
                                   .cols = cols,
                                   .inner = dim,
                                   .a = s->raw,
                                   .stride_a = dim,
                                   .b = attn__product_pack(engine, &weight, s->weight),
                                   .c = tile->scaled + col,
                                   .stride_c = dim};
    engine->multiply(&product);
  }
}

/* Sets up tile t of a head group as number slot of the strand's block. */
static void open_tile(strand *s, int64_t t, int64_t slot) {
  const attn__problem *problem = s->job->problem;
  const attn__plan *plan = s->job->plan;
  const int64_t row = slot * plan->tile_q * plan->tile_heads;
  const int64_t head = t % plan->head_parts * plan->tile_heads;
  query_tile *tile = &s->tile[slot];
  *tile =
      (query_tile){.sequence = s->sequence, .b = s->b, .first_query = t / plan->head_parts * plan->tile_q};
  tile->first_head = s->kv_head * problem->group + head;
  tile->heads = attn__min(plan->tile_heads, problem->group - head);
  tile->queries = attn__min(plan->tile_q, problem->len_q - tile->first_query);
  tile->rows = tile->heads * tile->queries;
  const attn__score_tile rows = score_tile(tile, NULL, 0);
  tile->visible = attn__score_visible(problem, &rows);
  tile->scaled = s->queries + row * problem->dim;
  tile->outputs = s->outputs + row * problem->dim_v;
  tile->maxima = s->maxima + row;
  tile->sums = s->sums + row;
  const int32_t general = problem->score_function == ATTN_SCORE_GENERAL;
  for (int64_t r = 0; r < tile->rows; r++) open_row(s, tile, r, general ? s->raw : tile->scaled);
  if (general) multiply_weight(s, tile);
}

/* Where keys [first, first + count) of the strand's sequence are. */
static attn__kv_tile kv_tile(const strand *s, int64_t first, int64_t count) {
  return (attn__kv_tile){s->sequence.batch_k, s->kv_head, s->sequence.first_k + first, count};
}

/* scores: tile rows x keys, the scaled products of queries and keys. */
static void dot_scores(const strand *s, const query_tile *tile, const attn__score_tile *scores,
                       attn__matrix keys) {
  const tiled_job *job = s->job;
  attn__product product = {.rows = tile->rows,
                           .cols = scores->keys,
                           .inner = job->problem->dim,
                           .a = tile->scaled,
                           .stride_a = job->problem->dim,
                           .b = keys,
                           .c = scores->scores,
                           .stride_c = scores->stride};
  job->engine->multiply(&product);
}

/* scores: tile rows x keys, scale * v . tanh(q + k): never more of q + k at once than a vector. */
static void additive_scores(const strand *s, const query_tile *tile, const attn__score_tile *scores,
                            attn__matrix keys) {
  const attn__problem *problem = s->job->problem;
  const int64_t panel = s->job->engine->panel ? s->job->engine->panel : scores->keys;
  for (int64_t r = 0; r < tile->rows; r++) {
    attn__additive operands = {problem->dim, tile->scaled + r * problem->dim, problem->score_weight,
                               keys.data, keys.stride};
    float *row = scores->scores + r * scores->stride;
    for (int64_t j = 0; j < scores->keys; j += panel, operands.keys += keys.step)
      s->job->kernels->additive(&operands, attn__min(panel, scores->keys - j), row + j);
    if (problem->scale != 1) s->job->kernels->scale(scores->keys, row, problem->scale, row);
  }
}

/* Makes the scores of a tile and edits them. Returns 1 if any may be masked. */
static int32_t make_scores(const strand *s, const query_tile *tile, attn__matrix keys,
                           const attn__score_tile *scores) {
  const tiled_job *job = s->job;
  if (job->problem->score_function == ATTN_SCORE_ADDITIVE)
    additive_scores(s, tile, scores, keys);
  else
    dot_scores(s, tile, scores, keys);
  return attn__score_edit(job->problem, job->kernels, scores);
}

/* The scores go to the caller's array as they are; close_tile makes weights of them, once the sums are known. */
static void keep_scores(const strand *s, const query_tile *tile, const attn__score_tile *scores) {
  for (int64_t r = 0; r < tile->rows; r++)
    memcpy(result_row(tile, &s->job->problem->weights, r) + scores->first_key,
           scores->scores + r * scores->stride, (size_t)scores->keys * sizeof(float));
}

/* exp(score - shift) for a row whose largest score so far is max; a row that has seen none has -infinity. */
static float row_shift(float max) {
  return max == -INFINITY ? 0 : max;
}

/* scores become exp(score - largest of the row so far), and the rows' states follow. */
static void softmax_step(const strand *s, query_tile *tile, int64_t keys) {
  const attn__kernels *kernels = s->job->kernels;
  const int64_t dim_v = s->job->problem->dim_v;
  for (int64_t r = 0; r < tile->rows; r++) {
    float *row = s->scores + r * s->job->plan->tile_k;
    float max = kernels->row_max(keys, row);
    if (max > tile->maxima[r]) {
      if (tile->started) {
        float factor = expf(tile->maxima[r] - max);
        tile->sums[r] *= factor;
        kernels->scale(dim_v, tile->outputs + r * dim_v, factor, tile->outputs + r * dim_v);
      }
      tile->maxima[r] = max;
    }
    tile->sums[r] += kernels->exp_sum(keys, row, row_shift(tile->maxima[r]), row);
  }
}

/* Adds weight * value for values that are not finite, which were cleared before the product, to the rows
 * that see them. */
static void add_not_finite(const strand *s, const query_tile *tile, const attn__score_tile *scores) {
  const attn__problem *problem = s->job->problem;
  for (int64_t j = 0; j < scores->keys; j++) {
    const int64_t key = scores->first_key + j;
    const float *value =
        attn__input_row(&problem->value, s->sequence.batch_k, s->kv_head, s->sequence.first_k + key);
    if (s->job->kernels->all_finite(problem->dim_v, value)) continue;
    for (int64_t r = 0; r < tile->rows; r++) {
      if (!attn__score_sees(problem, tile->b, row_head(tile, r), row_query(tile, r), key)) continue;
      float weight = scores->scores[r * scores->stride + j];
      for (int64_t d = 0; d < problem->dim_v; d++)
        if (!isfinite(value[d])) tile->outputs[r * problem->dim_v + d] += weight * value[d];
    }
  }
}

/* outputs += weights x values. A masked weight is 0, but 0 * NaN is NaN: where a tile has masked scores,
 * values that are not finite are kept out of the product. */
static void multiply_values(const strand *s, query_tile *tile, const attn__score_tile *scores,
                            int32_t masked, key_step *step) {
  const tiled_job *job = s->job;
  const int64_t dim_v = job->problem->dim_v;
  const attn__kv_tile where = kv_tile(s, step->first, step->count);
  if (masked && step->finite < 0) step->finite = attn__kv_values_finite(job->problem, job->kernels, &where);
  if (masked && !step->finite && !step->cleared) {
    step->values = attn__kv_values_cleared(job->problem, job->engine, &where, s->values);
    step->cleared = 1;
  }
  if (!step->values.data) step->values = attn__kv_values(job->problem, job->engine, &where, s->values);
  attn__product product = {.rows = tile->rows,
                           .cols = dim_v,
                           .inner = scores->keys,
                           .a = scores->scores,
                           .stride_a = scores->stride,
                           .b = step->values,
                           .c = tile->outputs,
                           .stride_c = dim_v,
                           .accumulate = tile->started};
  product.b.data += (scores->first_key - step->first) * step->values.stride;
  job->engine->multiply(&product);
  tile->started = 1;
  if (step->cleared) add_not_finite(s, tile, scores);
}

/* One tile of keys meets one tile of queries, as far as these can see it. */
static void meet(const strand *s, query_tile *tile, key_step *step) {
  const tiled_job *job = s->job;
  const int64_t begin = attn__max(step->first, tile->visible.begin);
  const int64_t end = attn__min(step->first + step->count, tile->visible.end);
  attn__score_tile scores = score_tile(tile, s->scores, job->plan->tile_k);
  scores.first_key = begin;
  scores.keys = end - begin;
  if (begin >= end) return;
  if (attn__score_hidden(job->problem, &scores)) {
    skip(job->problem, tile, &scores);
    return;
  }
  const attn__kv_tile where = kv_tile(s, step->first, step->count);
  if (!step->keys.data)
    step->keys = attn__kv_keys(job->problem, job->engine, job->kernels, &where, s->keys);
  int64_t left_out;
  const attn__matrix keys = attn__product_past(job->engine, step->keys, begin - step->first, &left_out);
  scores.first_key = step->first + left_out;
  scores.keys = end - scores.first_key;
  const int32_t masked = make_scores(s, tile, keys, &scores);
  if (job->problem->weights.data) keep_scores(s, tile, &scores);
  softmax_step(s, tile, scores.keys);
  attn__score_weigh(job->problem, job->kernels, &scores);
  multiply_values(s, tile, &scores, masked, step);
}

/* A NaN makes a row's visible weights NaN; masked ones are 0 all the same. */
static void clear_masked(const attn__problem *problem, const query_tile *tile, int64_t r, float *weights) {
  for (int64_t j = tile->visible.begin; j < tile->visible.end; j++)
    if (!attn__score_sees(problem, tile->b, row_head(tile, r), row_query(tile, r), j)) weights[j] = 0;
}

/* The weights of a row: its kept scores, made exp(score - max) / sum. */
static void finish_weights(const strand *s, const query_tile *tile, int64_t r, float sum) {
  const attn__kernels *kernels = s->job->kernels;
  const int64_t begin = tile->visible.begin, end = tile->visible.end;
  float *weights = result_row(tile, &s->job->problem->weights, r);
  fill_zero(weights, begin);
  kernels->exp_sum(end - begin, weights + begin, row_shift(tile->maxima[r]), weights + begin);
  kernels->divide(end - begin, weights + begin, sum, weights + begin);
  fill_zero(weights + end, s->job->problem->len_k - end);
  const attn__score_tile row = {.scores = weights + begin,
                                .b = tile->b,
                                .first_head = row_head(tile, r),
                                .heads = 1,
                                .first_query = row_query(tile, r),
                                .queries = 1,
                                .first_key = begin,
                                .keys = end - begin};
  attn__score_weigh(s->job->problem, kernels, &row);
  if (isnan(sum)) clear_masked(s->job->problem, tile, r, weights);
}

/* Divides by the sum, which a sink joins, and writes a row's results. The sum of exp(score - max) is 0 only
 * where no key was seen, else at least 1. */
static void close_row(const strand *s, const query_tile *tile, int64_t r) {
  const attn__problem *problem = s->job->problem;
  double sum = tile->sums[r], max = tile->maxima[r], lse = max + log(sum);
  if (sum == 0) {
    write_unseeing_row(problem, tile, r);
    return;
  }
  if (problem->sinks) {
    const double sink = problem->sinks[row_head(tile, r)];
    sum += exp(sink - max);
    lse = fmax(lse, sink) + log1p(exp(-fabs(lse - sink)));
  }
  s->job->kernels->divide(problem->dim_v, tile->outputs + r * problem->dim_v, (float)sum,
                          output_row(problem, tile, r));
  finish_output(problem, tile, r);
  if (problem->weights.data) finish_weights(s, tile, r, (float)sum);
  if (problem->lse.data) *result_row(tile, &problem->lse, r) = (float)lse;
}

/* The keys that any query of the strand's block sees. */
static attn__key_range block_visible(const strand *s) {
  attn__key_range range = {INT64_MAX, 0};
  for (int64_t slot = 0; slot < s->tiles; slot++) {
    const attn__key_range *visible = &s->tile[slot].visible;
    if (visible->begin == visible->end) continue;
    range.begin = attn__min(range.begin, visible->begin);
    range.end = attn__max(range.end, visible->end);
  }
  return range;
}

static void run_task(strand *s, int64_t task) {
  const tiled_job *job = s->job;
  const attn__plan *plan = job->plan;
  const int64_t group = task / plan->blocks;
  /* The last block first: under a causal mask it is the longest, and long tasks must not come last. */
  const int64_t first = (plan->blocks - 1 - task % plan->blocks) * plan->block_tiles;
  s->b = group / job->problem->heads_kv;
  s->kv_head = group % job->problem->heads_kv;
  s->sequence = attn__sequence_of(job->problem, s->b);
  s->tiles = attn__min(plan->block_tiles, plan->query_parts * plan->head_parts - first);
  for (int64_t slot = 0; slot < s->tiles; slot++) open_tile(s, first + slot, slot);
  const attn__key_range range = block_visible(s);
  for (int64_t key = range.begin / plan->tile_k * plan->tile_k; key < range.end; key += plan->tile_k) {
    key_step step = {.first = attn__max(key, range.begin), .finite = -1};
    step.count = attn__min(key + plan->tile_k, range.end) - step.first;
    for (int64_t slot = 0; slot < s->tiles; slot++) meet(s, &s->tile[slot], &step);
  }
  for (int64_t slot = 0; slot < s->tiles; slot++)
    for (int64_t r = 0; r < s->tile[slot].rows; r++) close_row(s, &s->tile[slot], r);
}

/* Strand number index: takes tasks until there are no more. */
static void run_strand(void *argument, int64_t index) {
  tiled_job *job = argument;
  const attn__plan *plan = job->plan;
  char *base = job->scratch + index * plan->scratch.bytes;
  strand s = {.job = job,
              .queries = (float *)(void *)(base + plan->scratch.queries),
              .outputs = (float *)(void *)(base + plan->scratch.outputs),
              .raw = (float *)(void *)(base + plan->scratch.raw),
              .weight = (float *)(void *)(base + plan->scratch.weight),
              .scores = (float *)(void *)(base + plan->scratch.scores),
              .keys = (float *)(void *)(base + plan->scratch.keys),
              .values = (float *)(void *)(base + plan->scratch.values),
              .maxima = (float *)(void *)(base + plan->scratch.maxima),
              .sums = (double *)(void *)(base + plan->scratch.sums)};
  job->engine->enter();
  for (;;) {
    int64_t task = atomic_fetch_add_explicit(&job->next_task, 1, memory_order_relaxed);
    if (task >= plan->tasks) break;
    run_task(&s, task);
  }
  job->engine->leave();
}

/* The results where no query sees a key. */
static void write_unseeing(const attn__problem *problem) {
  if (problem->batch == 0 || problem->heads_q == 0 || problem->len_q == 0) return;
  for (int64_t b = 0; b < problem->batch; b++)
    for (int64_t h = 0; h < problem->heads_q; h++) {
      query_tile head = {
          .sequence = attn__sequence_of(problem, b), .b = b, .first_head = h, .queries = problem->len_q};
      for (int64_t i = 0; i < problem->len_q; i++) {
        write_unseeing_row(problem, &head, i);
        write_unseen_scores(problem, &head, i);
      }
    }
}

void attn__tiled_run(attn_context *context, const attn__problem *problem, const attn__plan *plan,
                     void *scratch) {
  if (plan->empty) {
    write_unseeing(problem);
    return;
  }
  tiled_job job = {.problem = problem,
                   .plan = plan,
                   .kernels = context->kernels,
                   .engine = &context->engine,
                   .scratch = scratch};
  attn__context_run(context, plan->strands, run_strand, &job);
}
