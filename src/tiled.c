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
  float *queries, *outputs, *scores, *keys, *values, *maxima;
  double *sums;
  int64_t b, kv_head, tiles;
  query_tile tile[ATTN__PLAN_BLOCK_TILES];
} strand;

/* A tile of keys and values that meets the query tiles of a block. */
typedef struct key_step {
  attn__kv_tile where;
  int32_t finite; /* are all values? -1: nobody has looked yet */
} key_step;

/* Where row r of a query tile is in the output, the weights or the LSE. */
static float *output_row(const query_tile *tile, const attn__output *output, int64_t r) {
  return attn__output_row(output, tile->b, tile->first_head + r / tile->queries,
                          tile->first_query + r % tile->queries);
}

static void fill_zero(float *out, int64_t count) {
  memset(out, 0, (size_t)count * sizeof *out);
}

/* A row's results where it sees no key. */
static void write_unseeing_row(const attn__problem *problem, const query_tile *tile, int64_t r) {
  fill_zero(output_row(tile, &problem->output, r), problem->dim_v);
  if (problem->weights.data) fill_zero(output_row(tile, &problem->weights, r), problem->len_k);
  if (problem->lse.data) *output_row(tile, &problem->lse, r) = -INFINITY;
}

/* Sets up tile t of a head group as number slot of the strand's block. */
static void open_tile(strand *s, int64_t t, int64_t slot) {
  const attn__problem *problem = s->job->problem;
  const attn__plan *plan = s->job->plan;
  const int64_t row = slot * plan->tile_q * plan->tile_heads;
  const int64_t head = t % plan->head_parts * plan->tile_heads;
  query_tile *tile = &s->tile[slot];
  *tile = (query_tile){.b = s->b, .first_query = t / plan->head_parts * plan->tile_q};
  tile->first_head = s->kv_head * problem->group + head;
  tile->heads = attn__min(plan->tile_heads, problem->group - head);
  tile->queries = attn__min(plan->tile_q, problem->len_q - tile->first_query);
  tile->rows = tile->heads * tile->queries;
  tile->visible = attn__score_visible(problem, tile->first_query, tile->queries);
  tile->scaled = s->queries + row * problem->dim;
  tile->outputs = s->outputs + row * problem->dim_v;
  tile->maxima = s->maxima + row;
  tile->sums = s->sums + row;
  for (int64_t r = 0; r < tile->rows; r++) {
    const float *query = attn__input_row(&problem->query, tile->b, tile->first_head + r / tile->queries,
                                         tile->first_query + r % tile->queries);
    s->job->kernels->scale(problem->dim, query, problem->scale, tile->scaled + r * problem->dim);
    tile->maxima[r] = -INFINITY;
    tile->sums[r] = 0;
  }
}

/* scores: tile rows x keys, the scaled products, edited. Returns 1 if any is masked. */
static int32_t multiply_scores(const strand *s, const query_tile *tile, const attn__kv_tile *keys) {
  const tiled_job *job = s->job;
  attn__product product = {.rows = tile->rows,
                           .cols = keys->count,
                           .inner = job->problem->dim,
                           .a = tile->scaled,
                           .stride_a = job->problem->dim,
                           .b = s->keys,
                           .stride_b = job->plan->tile_k,
                           .c = s->scores,
                           .stride_c = job->plan->tile_k};
  job->engine->multiply(&product);
  attn__score_tile scores = {.scores = s->scores,
                             .stride = job->plan->tile_k,
                             .first_head = tile->first_head,
                             .heads = tile->heads,
                             .first_query = tile->first_query,
                             .queries = tile->queries,
                             .first_key = keys->first,
                             .keys = keys->count};
  return attn__score_edit(job->problem, &scores);
}

/* The scores go to the caller's array as they are; close_tile makes weights of them, once the sums are known. */
static void keep_scores(const strand *s, const query_tile *tile, const attn__kv_tile *keys) {
  for (int64_t r = 0; r < tile->rows; r++)
    memcpy(output_row(tile, &s->job->problem->weights, r) + keys->first,
           s->scores + r * s->job->plan->tile_k, (size_t)keys->count * sizeof(float));
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
static void add_not_finite(const strand *s, const query_tile *tile, const attn__kv_tile *keys) {
  const attn__problem *problem = s->job->problem;
  for (int64_t j = 0; j < keys->count; j++) {
    const float *value = attn__input_row(&problem->value, keys->b, keys->h, keys->first + j);
    if (s->job->kernels->all_finite(problem->dim_v, value)) continue;
    for (int64_t r = 0; r < tile->rows; r++) {
      if (!attn__score_sees(problem, tile->first_query + r % tile->queries, keys->first + j)) continue;
      float weight = s->scores[r * s->job->plan->tile_k + j];
      for (int64_t d = 0; d < problem->dim_v; d++)
        if (!isfinite(value[d])) tile->outputs[r * problem->dim_v + d] += weight * value[d];
    }
  }
}

/* outputs += weights x values, for the first keys->count keys of the step. A masked weight is 0, but 0 * NaN
 * is NaN: where a tile has masked scores, values that are not finite are kept out of the product. */
static void multiply_values(const strand *s, query_tile *tile, const attn__kv_tile *keys, int32_t clear) {
  const tiled_job *job = s->job;
  const int64_t dim_v = job->problem->dim_v;
  attn__matrix values = clear ? attn__kv_values_cleared(job->problem, keys, s->values)
                              : attn__kv_values(job->problem, keys, s->values);
  attn__product product = {.rows = tile->rows,
                           .cols = dim_v,
                           .inner = keys->count,
                           .a = s->scores,
                           .stride_a = job->plan->tile_k,
                           .b = values.data,
                           .stride_b = values.stride,
                           .c = tile->outputs,
                           .stride_c = dim_v,
                           .accumulate = tile->started};
  job->engine->multiply(&product);
  tile->started = 1;
  if (clear) add_not_finite(s, tile, keys);
}

/* One tile of keys meets one tile of queries. */
static void meet(const strand *s, query_tile *tile, key_step *step) {
  const tiled_job *job = s->job;
  attn__kv_tile keys = step->where;
  keys.count = attn__min(keys.count, tile->visible.end - keys.first);
  if (keys.count <= 0) return;
  int32_t masked = multiply_scores(s, tile, &keys);
  if (job->problem->weights.data) keep_scores(s, tile, &keys);
  softmax_step(s, tile, keys.count);
  if (masked && step->finite < 0)
    step->finite = attn__kv_values_finite(job->problem, job->kernels, &step->where);
  multiply_values(s, tile, &keys, masked && !step->finite);
}

/* A NaN makes a row's visible weights NaN; masked ones are 0 all the same. */
static void clear_masked(const attn__problem *problem, const query_tile *tile, int64_t r, float *weights) {
  for (int64_t j = 0; j < tile->visible.end; j++)
    if (!attn__score_sees(problem, tile->first_query + r % tile->queries, j)) weights[j] = 0;
}

/* The weights of a row: its kept scores, made exp(score - max) / sum. */
static void finish_weights(const strand *s, const query_tile *tile, int64_t r) {
  const attn__kernels *kernels = s->job->kernels;
  float *weights = output_row(tile, &s->job->problem->weights, r);
  kernels->exp_sum(tile->visible.end, weights, row_shift(tile->maxima[r]), weights);
  kernels->divide(tile->visible.end, weights, (float)tile->sums[r], weights);
  fill_zero(weights + tile->visible.end, s->job->problem->len_k - tile->visible.end);
  if (isnan(tile->sums[r])) clear_masked(s->job->problem, tile, r, weights);
}

/* Divides by the sums and writes a tile's results. A sum is 0 only where no key was seen, else at least 1. */
static void close_tile(const strand *s, const query_tile *tile) {
  const attn__problem *problem = s->job->problem;
  for (int64_t r = 0; r < tile->rows; r++) {
    const double sum = tile->sums[r];
    if (sum == 0) {
      write_unseeing_row(problem, tile, r);
      continue;
    }
    s->job->kernels->divide(problem->dim_v, tile->outputs + r * problem->dim_v, (float)sum,
                            output_row(tile, &problem->output, r));
    if (problem->weights.data) finish_weights(s, tile, r);
    if (problem->lse.data) *output_row(tile, &problem->lse, r) = (float)(tile->maxima[r] + log(sum));
  }
}

/* The keys that any query of the strand's block sees. */
static attn__key_range block_visible(const strand *s) {
  attn__key_range range = s->tile[0].visible;
  for (int64_t slot = 1; slot < s->tiles; slot++) {
    range.begin = attn__min(range.begin, s->tile[slot].visible.begin);
    range.end = attn__max(range.end, s->tile[slot].visible.end);
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
  s->tiles = attn__min(plan->block_tiles, plan->query_parts * plan->head_parts - first);
  for (int64_t slot = 0; slot < s->tiles; slot++) open_tile(s, first + slot, slot);
  const attn__key_range range = block_visible(s);
  for (int64_t key = range.begin / plan->tile_k * plan->tile_k; key < range.end; key += plan->tile_k) {
    key_step step = {.where = {s->b, s->kv_head, key, attn__min(plan->tile_k, range.end - key)},
                     .finite = -1};
    attn__kv_key_transposed(job->problem, job->kernels, &step.where, s->keys, plan->tile_k);
    for (int64_t slot = 0; slot < s->tiles; slot++) meet(s, &s->tile[slot], &step);
  }
  for (int64_t slot = 0; slot < s->tiles; slot++) close_tile(s, &s->tile[slot]);
}

/* Strand number index: takes tasks until there are no more. */
static void run_strand(void *argument, int64_t index) {
  tiled_job *job = argument;
  const attn__plan *plan = job->plan;
  char *base = job->scratch + index * plan->scratch.bytes;
  strand s = {.job = job,
              .queries = (float *)(void *)(base + plan->scratch.queries),
              .outputs = (float *)(void *)(base + plan->scratch.outputs),
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
      query_tile head = {.b = b, .first_head = h, .heads = 1, .queries = problem->len_q};
      for (int64_t i = 0; i < problem->len_q; i++) write_unseeing_row(problem, &head, i);
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
                   .engine = context->engine,
                   .scratch = scratch};
  attn__context_run(context, plan->strands, run_strand, &job);
}
