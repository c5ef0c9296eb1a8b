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

#include "ahead.h"
#include "attn/attn.h"
#include "base.h"
#include "finish.h"
#include "kv.h"
#include "score.h"
#include "tile.h"

typedef struct strand strand;

typedef struct tiled_job {
  const attn__problem *problem;
  const attn__plan *plan;
  const attn__kernels *kernels;
  const attn__engine *engine;
  char *scratch; /* that of the strands, then the states of parts */
  void (*run_task)(strand *s, int64_t task);
  int64_t tasks;
  atomic_int_least64_t next_task;
} tiled_job;

/* What a strand works with: its pieces of scratch and the block it is at. */
struct strand {
  const tiled_job *job;
  float *queries, *raw, *weight, *scores, *keys, *values;
  attn__state state; /* of the block's rows */
  attn__state total; /* of the same rows, over several splits */
  int64_t b, kv_head, tiles;
  attn__sequence sequence;
  attn__tile *tile;   /* ATTN__PLAN_BLOCK_TILES of them */
  attn__ahead *ahead; /* what products ask for meanwhile */
};

/* A tile of keys and values that meets the query tiles of a block: keys [first, first + count). */
typedef struct key_step {
  int64_t first, count;
  attn__matrix keys, values; /* data NULL: nobody has needed them yet */
  int32_t finite;            /* are all values? -1: nobody has looked yet */
  int32_t cleared;           /* values has 0 for those that are not */
} key_step;

/* A tile of scores of a query tile's rows; which keys is left open. */
static attn__score_tile score_tile(const attn__tile *tile, float *scores, int64_t stride) {
  return (attn__score_tile){.scores = scores,
                            .stride = stride,
                            .b = tile->b,
                            .first_head = tile->first_head,
                            .heads = tile->heads,
                            .first_query = tile->first_query,
                            .queries = tile->queries};
}

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

/* A row's query is copied, scaled if its keys will not be. */
static void copy_query(const strand *s, const attn__tile *tile, int64_t r, float *queries) {
  const attn__problem *problem = s->job->problem;
  const float scale = s->job->plan->direct ? problem->scale : 1;
  if (attn__tile_padding(tile, r))
    memset(queries + r * problem->dim, 0, (size_t)problem->dim * sizeof *queries);
  else
    s->job->kernels->scale(problem->dim,
                           attn__input_row(&problem->query, tile->sequence.batch_q,
                                           attn__tile_head(tile, r),
                                           tile->sequence.first_q + attn__tile_query(tile, r)),
                           scale, queries + r * problem->dim);
}

/* The general score q^T W k is the dot score of W^T q. */
static void multiply_weight(const strand *s, const attn__tile *tile, float *queries) {
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
                                   .b = attn__product_pack(engine, s->job->kernels, &weight, s->weight),
                                   .c = queries + col,
                                   .stride_c = dim};
    engine->multiply(&product);
  }
}

/* The state of rows from row on. */
static attn__state state_past(const attn__state *state, int64_t row, int64_t dim_v) {
  return (attn__state){state->outputs + row * dim_v, state->maxima + row, state->sums + row};
}

/* Where the queries of tile number slot are copied to. */
static float *copied_queries(const strand *s, int64_t slot) {
  return s->queries + slot * s->job->plan->tile_q * s->job->plan->tile_heads * s->job->problem->dim;
}

/* Sets up tile t of a head group as number slot of the strand's block, but for its queries. */
static attn__tile *place_tile(strand *s, int64_t t, int64_t slot) {
  const attn__problem *problem = s->job->problem;
  const attn__plan *plan = s->job->plan;
  const int64_t row = slot * plan->tile_q * plan->tile_heads;
  const int64_t head = t % plan->head_parts * plan->tile_heads;
  attn__tile *tile = &s->tile[slot];
  *tile =
      (attn__tile){.sequence = s->sequence, .b = s->b, .first_query = t / plan->head_parts * plan->tile_q};
  tile->first_head = s->kv_head * problem->group + head;
  tile->heads = attn__min(plan->tile_heads, problem->group - head);
  tile->queries = attn__min(plan->tile_q, problem->len_q - tile->first_query);
  tile->rows = tile->heads * tile->queries;
  const attn__score_tile rows = score_tile(tile, NULL, 0);
  tile->visible = attn__score_visible(problem, &rows);
  tile->query = plan->queries_in_place
                    ? attn__input_row(&problem->query, s->sequence.batch_q, tile->first_head,
                                      s->sequence.first_q + tile->first_query)
                    : copied_queries(s, slot);
  tile->state = state_past(&s->state, row, problem->dim_v);
  return tile;
}

/* The queries of tile number slot go to the strand's scratch, as they will be multiplied. */
static void copy_queries(const strand *s, int64_t slot) {
  const attn__tile *tile = &s->tile[slot];
  const int32_t general = s->job->problem->score_function == ATTN_SCORE_GENERAL;
  float *queries = copied_queries(s, slot);
  for (int64_t r = 0; r < tile->rows; r++) copy_query(s, tile, r, general ? s->raw : queries);
  if (general) multiply_weight(s, tile, queries);
}

static void open_tile(const strand *s, int64_t slot) {
  attn__tile *tile = &s->tile[slot];
  tile->started = 0;
  for (int64_t r = 0; r < tile->rows; r++) {
    tile->state.maxima[r] = -INFINITY;
    tile->state.sums[r] = 0;
  }
  if (!s->job->plan->queries_in_place) copy_queries(s, slot);
}

/* Where keys [first, first + count) of the strand's sequence are. */
static attn__kv_tile kv_tile(const strand *s, int64_t first, int64_t count) {
  return (attn__kv_tile){s->sequence.batch_k, s->kv_head, s->sequence.first_k + first, count};
}

/* scores: tile rows x keys, the scaled products of queries and keys. */
static attn__product dot_product(const strand *s, const attn__tile *tile, const attn__score_tile *scores,
                                 attn__matrix keys) {
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
static void additive_scores(const strand *s, const attn__tile *tile, const attn__score_tile *scores,
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
static attn__matrix packed_keys(const strand *s, key_step *step, attn__score_tile *scores) {
  const tiled_job *job = s->job;
  const attn__kv_tile where = kv_tile(s, step->first, step->count);
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
static int32_t make_scores(const strand *s, const attn__tile *tile, key_step *step,
                           attn__score_tile *scores) {
  const tiled_job *job = s->job;
  if (job->plan->direct) {
    const attn__kv_tile where = kv_tile(s, scores->first_key, scores->keys);
    const attn__product product =
        dot_product(s, tile, scores, attn__kv_keys_in_place(job->problem, &where));
    job->kernels->multiply_transposed(&product);
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

/* The scores go to the caller's array as they are; close_tile makes weights of them, once the sums are known. */
static void keep_scores(const strand *s, const attn__tile *tile, const attn__score_tile *scores) {
  for (int64_t r = 0; r < tile->rows; r++)
    memcpy(attn__tile_result(tile, &s->job->problem->weights, r) + scores->first_key,
           scores->scores + r * scores->stride, (size_t)scores->keys * sizeof(float));
}

/* If max is above the largest score of row r so far, it takes its place, and what was summed up is rescaled. */
static void raise_max(const strand *s, attn__tile *tile, int64_t r, float max) {
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

/* scores become exp(score - largest of the row so far), and the rows' states follow. */
static void softmax_step(const strand *s, attn__tile *tile, const attn__score_tile *scores) {
  const attn__kernels *kernels = s->job->kernels;
  float shifts[ATTN__PLAN_TILE_ROWS], sums[ATTN__PLAN_TILE_ROWS];
  kernels->row_maxima(tile->rows, scores->keys, scores->scores, scores->stride, shifts);
  for (int64_t r = 0; r < tile->rows; r++) {
    raise_max(s, tile, r, shifts[r]);
    shifts[r] = attn__tile_shift(tile->state.maxima[r]);
  }
  kernels->exp_sums(tile->rows, scores->keys, scores->scores, scores->stride, shifts, sums);
  for (int64_t r = 0; r < tile->rows; r++) tile->state.sums[r] += sums[r];
}

/* Adds weight * value for values that are not finite, which were cleared before the product, to the rows
 * that see them. */
static void add_not_finite(const strand *s, const attn__tile *tile, const attn__score_tile *scores) {
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
static void multiply_values(const strand *s, attn__tile *tile, const attn__score_tile *scores,
                            int32_t masked, key_step *step) {
  const tiled_job *job = s->job;
  const int64_t dim_v = job->problem->dim_v;
  const attn__kv_tile where = kv_tile(s, step->first, step->count);
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
  tile->started = 1;
  if (step->cleared) add_not_finite(s, tile, scores);
}

/* A tile of scores for the keys of a step in the range of a query tile; none of them may be. */
static attn__score_tile scores_of_step(const strand *s, const attn__tile *tile, const key_step *step) {
  attn__score_tile scores = score_tile(tile, s->scores, s->job->plan->score_stride);
  scores.first_key = attn__max(step->first, tile->visible.begin);
  scores.keys = attn__max(attn__min(step->first + step->count, tile->visible.end) - scores.first_key, 0);
  return scores;
}

/* One tile of keys meets one tile of queries, as far as these can see it. */
static void meet(const strand *s, attn__tile *tile, key_step *step) {
  const tiled_job *job = s->job;
  attn__score_tile scores = scores_of_step(s, tile, step);
  if (scores.keys == 0) return;
  if (attn__score_hidden(job->problem, &scores)) {
    skip(job->problem, tile, &scores);
    return;
  }
  const int32_t masked = make_scores(s, tile, step, &scores);
  if (job->problem->weights.data) keep_scores(s, tile, &scores);
  softmax_step(s, tile, &scores);
  attn__score_weigh(job->problem, job->kernels, &scores);
  multiply_values(s, tile, &scores, masked, step);
}

/* Up to so many rows of a tile of one head, from row on, as a tile. */
static attn__tile part_of(const strand *s, const attn__tile *tile, int64_t row, int64_t rows) {
  const attn__problem *problem = s->job->problem;
  attn__tile part = *tile;
  part.first_query += row;
  part.queries = part.rows = attn__min(rows, tile->rows - row);
  part.query += row * problem->dim;
  part.state = state_past(&tile->state, row, problem->dim_v);
  const attn__score_tile scores = score_tile(&part, NULL, 0);
  part.visible = attn__score_visible(problem, &scores);
  return part;
}

/* The same where some rows see keys that others do not: each part of them meets what it sees. */
static void meet_at_edge(const strand *s, attn__tile *tile, key_step *step) {
  const int64_t rows = s->job->plan->edge_rows, dim_v = s->job->problem->dim_v;
  for (int64_t row = 0; row < tile->rows; row += rows) {
    attn__tile part = part_of(s, tile, row, rows);
    meet(s, &part, step);
    if (!part.started) memset(part.state.outputs, 0, (size_t)(part.rows * dim_v) * sizeof(float));
  }
  tile->started = 1;
}

static int32_t at_edge(const strand *s, const attn__tile *tile, const key_step *step) {
  if (tile->rows <= s->job->plan->edge_rows) return 0;
  const attn__score_tile scores = scores_of_step(s, tile, step);
  return scores.keys > 0 && !attn__score_whole(s->job->problem, &scores);
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

/* While a step's products are made, what comes after it is asked for; the block's keys end at end. */
static void look_ahead(const strand *s, const key_step *step, int64_t end) {
  const tiled_job *job = s->job;
  const attn__kv_tile tile = kv_tile(s, step->first, step->count);
  const int64_t next_task = atomic_load_explicit(&job->next_task, memory_order_relaxed);
  attn__ahead_look(s->ahead, job->problem, job->plan, &tile, s->sequence.first_k + end, next_task);
}

/* The strand's block, in its state, meets the keys of a split. */
static void meet_split(strand *s, int64_t split) {
  const attn__plan *plan = s->job->plan;
  attn__key_range range = block_visible(s);
  const int64_t end = range.end;
  range.begin = attn__max(range.begin, split * plan->split_k);
  range.end = attn__min(range.end, (split + 1) * plan->split_k);
  for (int64_t slot = 0; slot < s->tiles; slot++) open_tile(s, slot);
  for (int64_t key = range.begin / plan->tile_k * plan->tile_k; key < range.end; key += plan->tile_k) {
    key_step step = {.first = attn__max(key, range.begin), .finite = -1};
    step.count = attn__min(key + plan->tile_k, range.end) - step.first;
    look_ahead(s, &step, end);
    for (int64_t slot = 0; slot < s->tiles; slot++)
      (at_edge(s, &s->tile[slot], &step) ? meet_at_edge : meet)(s, &s->tile[slot], &step);
  }
}

/* The strand goes to a block of a head group. */
static void go_to(strand *s, int64_t group, int64_t block) {
  const attn__problem *problem = s->job->problem;
  const attn__plan *plan = s->job->plan;
  const int64_t first = block * plan->block_tiles;
  s->b = group / problem->heads_kv;
  s->kv_head = group % problem->heads_kv;
  s->sequence = attn__sequence_of(problem, s->b);
  s->tiles = attn__min(plan->block_tiles, plan->query_parts * plan->head_parts - first);
  for (int64_t slot = 0; slot < s->tiles; slot++) place_tile(s, first + slot, slot);
}

/* The block, which is one tile, meets split after split, each in a state of its own; these are joined in the
 * order of the keys, as those of parts are: whoever does it, the bits are the same. */
static void meet_splits(strand *s) {
  attn__tile *tile = &s->tile[0];
  for (int64_t r = 0; r < tile->rows; r++) s->total.sums[r] = 0;
  for (int64_t split = 0; split < s->job->plan->splits; split++) {
    meet_split(s, split);
    attn__finish_join(&s->total, &tile->state, tile->rows, s->job->problem->dim_v);
  }
  tile->state = s->total;
}

static void finish(const strand *s) {
  for (int64_t slot = 0; slot < s->tiles; slot++)
    attn__finish_tile(s->job->problem, s->job->kernels, &s->tile[slot]);
}

/* A task that is a block of a head group. */
static void run_block(strand *s, int64_t task) {
  const attn__plan *plan = s->job->plan;
  go_to(s, attn__plan_group(plan, task), attn__plan_block(plan, task));
  if (plan->splits == 1)
    meet_split(s, 0);
  else
    meet_splits(s);
  finish(s);
}

/* Where the state of a part is: a split of a head group. */
static attn__state state_of_part(const tiled_job *job, int64_t part) {
  const attn__plan *plan = job->plan;
  char *base = job->scratch + plan->strands * plan->scratch.bytes + part * plan->part.bytes;
  return (attn__state){(float *)(void *)(base + plan->part.outputs),
                       (float *)(void *)(base + plan->part.maxima),
                       (double *)(void *)(base + plan->part.sums)};
}

/* A task that is a part. */
static void run_part(strand *s, int64_t task) {
  go_to(s, task / s->job->plan->splits, 0);
  s->tile[0].state = state_of_part(s->job, task);
  meet_split(s, task % s->job->plan->splits);
}

/* A task that joins the parts of a head group. */
static void join_parts(strand *s, int64_t task) {
  const int64_t first = task * s->job->plan->splits;
  attn__tile *tile = &s->tile[0];
  go_to(s, task, 0);
  tile->state = state_of_part(s->job, first);
  for (int64_t part = first + 1; part < first + s->job->plan->splits; part++) {
    const attn__state state = state_of_part(s->job, part);
    attn__finish_join(&tile->state, &state, tile->rows, s->job->problem->dim_v);
  }
  finish(s);
}

/* Strand number index: takes tasks until there are no more. */
static void run_strand(void *argument, int64_t index) {
  tiled_job *job = argument;
  const attn__plan *plan = job->plan;
  char *base = job->scratch + index * plan->scratch.bytes;
  attn__tile tile[ATTN__PLAN_BLOCK_TILES]; /* not in the strand, which would clear them all */
  attn__ahead ahead;
  strand s = {.job = job,
              .queries = (float *)(void *)(base + plan->scratch.queries),
              .raw = (float *)(void *)(base + plan->scratch.raw),
              .weight = (float *)(void *)(base + plan->scratch.weight),
              .scores = (float *)(void *)(base + plan->scratch.scores),
              .keys = (float *)(void *)(base + plan->scratch.keys),
              .values = (float *)(void *)(base + plan->scratch.values),
              .state = {(float *)(void *)(base + plan->scratch.outputs),
                        (float *)(void *)(base + plan->scratch.maxima),
                        (double *)(void *)(base + plan->scratch.sums)},
              .total = {(float *)(void *)(base + plan->scratch.total_outputs),
                        (float *)(void *)(base + plan->scratch.total_maxima),
                        (double *)(void *)(base + plan->scratch.total_sums)},
              .tile = tile,
              .ahead = &ahead};
  job->engine->enter();
  for (;;) {
    int64_t task = atomic_fetch_add_explicit(&job->next_task, 1, memory_order_relaxed);
    if (task >= job->tasks) break;
    job->run_task(&s, task);
  }
  job->engine->leave();
}

static void run_tasks(attn_context *context, tiled_job *job, int64_t tasks,
                      void (*run_task)(strand *s, int64_t task)) {
  job->run_task = run_task;
  job->tasks = tasks;
  atomic_store_explicit(&job->next_task, 0, memory_order_relaxed);
  attn__context_run(context, attn__min(job->plan->strands, tasks), run_strand, job);
}

void attn__tiled_run(attn_context *context, const attn__problem *problem, const attn__plan *plan,
                     void *scratch) {
  if (plan->empty) {
    attn__finish_unseeing(problem);
    return;
  }
  tiled_job job = {.problem = problem,
                   .plan = plan,
                   .kernels = context->kernels,
                   .engine = &context->engine,
                   .scratch = scratch};
  run_tasks(context, &job, plan->tasks, plan->part.count > 0 ? run_part : run_block);
  if (plan->part.count > 0) run_tasks(context, &job, plan->part.count / plan->splits, join_parts);
}
