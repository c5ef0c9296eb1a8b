/* tiled.c - tiles with an online softmax; long keys in splits that are joined.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A strand takes blocks of query tiles. Each tile of keys that the block can see is cut or transposed once and
 * meets every query tile of the block (meet.c).
 */
#include "tiled.h"

#include <math.h>
#include <string.h>

#include "ahead.h"
#include "attn/attn.h"
#include "base.h"
#include "finish.h"
#include "meet.h"
#include "score.h"
#include "strand.h"
#include "thirds.h"

/* A row's query is copied, scaled if its keys will not be. */
static void copy_query(const attn__strand *s, const attn__tile *tile, int64_t r, float *queries) {
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
static void multiply_weight(const attn__strand *s, const attn__tile *tile, float *queries) {
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

/* Where the queries of tile number slot are copied to. */
static float *copied_queries(const attn__strand *s, int64_t slot) {
  return s->queries + slot * s->job->plan->tile_q * s->job->plan->tile_heads * s->job->problem->dim;
}

/* What is that of tile number slot in the state of a block. */
static attn__state state_of_slot(const attn__strand *s, const attn__state *block, int64_t slot) {
  const attn__plan *plan = s->job->plan;
  return attn__state_past(block, slot * plan->tile_q * plan->tile_heads, s->job->problem->dim_v);
}

/* Sets up tile t of a head group as number slot of the strand's block, whose state that is, but for its queries. */
static void place_tile(attn__strand *s, int64_t t, int64_t slot, const attn__state *state) {
  const attn__problem *problem = s->job->problem;
  const attn__plan *plan = s->job->plan;
  const int64_t head = t % plan->head_parts * plan->tile_heads;
  attn__tile *tile = &s->tile[slot];
  *tile =
      (attn__tile){.sequence = s->sequence, .b = s->b, .first_query = t / plan->head_parts * plan->tile_q};
  tile->first_head = s->kv_head * problem->group + head;
  tile->heads = attn__min(plan->tile_heads, s->kv_heads * problem->group - head);
  tile->queries = attn__min(plan->tile_q, problem->len_q - tile->first_query);
  tile->rows = tile->heads * tile->queries;
  const attn__score_tile rows = attn__tile_scores(tile, NULL, 0);
  tile->visible = attn__score_visible(problem, &rows);
  if (!plan->thirds)
    tile->query = plan->queries_in_place
                      ? attn__input_row(&problem->query, s->sequence.batch_q, tile->first_head,
                                        s->sequence.first_q + tile->first_query)
                      : copied_queries(s, slot);
  tile->state = state_of_slot(s, state, slot);
}

/* The queries of tile number slot go to the strand's scratch, as they will be multiplied. */
static void copy_queries_of(const attn__strand *s, int64_t slot) {
  attn__tile *tile = &s->tile[slot];
  if (s->job->plan->thirds) {
    const int64_t rows = s->job->plan->tile_q * s->job->plan->tile_heads;
    attn__thirds_take_queries(s, tile,
                              s->thirds.queries + slot * attn__product_thirds(rows, s->job->problem->dim));
    return;
  }
  const int32_t general = s->job->problem->score_function == ATTN_SCORE_GENERAL;
  float *queries = copied_queries(s, slot);
  for (int64_t r = 0; r < tile->rows; r++) copy_query(s, tile, r, general ? s->raw : queries);
  if (general) multiply_weight(s, tile, queries);
}

static void copy_queries(const attn__strand *s) {
  if (s->job->plan->queries_in_place) return;
  for (int64_t slot = 0; slot < s->tiles; slot++) copy_queries_of(s, slot);
}

/* So far the rows of the block have seen nothing. */
static void clear_states(const attn__strand *s) {
  for (int64_t slot = 0; slot < s->tiles; slot++) {
    attn__tile *tile = &s->tile[slot];
    tile->started = 0;
    for (int64_t r = 0; r < tile->rows; r++) {
      tile->state.maxima[r] = -INFINITY;
      tile->state.sums[r] = 0;
    }
  }
}

/* The keys that any query of the strand's block sees. */
static attn__key_range block_visible(const attn__strand *s) {
  attn__key_range range = {INT64_MAX, 0};
  for (int64_t slot = 0; slot < s->tiles; slot++) {
    const attn__key_range *visible = &s->tile[slot].visible;
    if (visible->begin == visible->end) continue;
    range.begin = attn__min(range.begin, visible->begin);
    range.end = attn__max(range.end, visible->end);
  }
  return range;
}

/* The number of the part that the strand will probably come to after what it is at: the first of a block, unless parts are
 * tasks. */
static int64_t next_part(const attn__strand *s) {
  const attn__plan *plan = s->job->plan;
  if (s->next >= 0) return s->next * plan->splits;
  const int64_t task = attn__queue_next(s->job->queue, s->lane);
  return plan->part.count > 0 ? task : task * plan->task_blocks * plan->splits;
}

/* While a step's products are made, what comes after it is asked for, with a block's last two steps its output too; the
 * keys of the block, or of its part, end at end. */
static void look_ahead(const attn__strand *s, int64_t end) {
  const attn__job *job = s->job;
  const attn__kv_tile tile = attn__strand_kv(s, s->step.first, s->step.count);
  attn__ahead_look(s->ahead, job->problem, job->plan, &tile, s->sequence.first_k + end, next_part(s));
  const int32_t ends_soon = s->step.first + s->step.count + job->plan->tile_k >= end;
  if (job->plan->ahead_outputs && ends_soon)
    attn__ahead_add_outputs(s->ahead, job->problem, s->tile, s->tiles);
}

/* The strand's step becomes that of keys [first, end). It stays as it is, with what has been cut, if it has them all. */
static void step_to(attn__strand *s, int64_t first, int64_t end) {
  const attn__key_step *step = &s->step;
  if (step->b == s->b && step->kv_head == s->kv_head && step->first <= first &&
      step->first + step->count >= end)
    return;
  s->step = (attn__key_step){
      .b = s->b, .kv_head = s->kv_head, .first = first, .count = end - first, .finite = -1};
}

/* The strand's block, in its state, meets those keys of a split that it sees. */
static void meet_split(attn__strand *s, attn__key_range seen, int64_t split) {
  const attn__plan *plan = s->job->plan;
  const int64_t begin = attn__max(seen.begin, split * plan->split_k);
  const int64_t end = attn__min(seen.end, (split + 1) * plan->split_k);
  clear_states(s);
  for (int64_t key = begin / plan->tile_k * plan->tile_k; key < end; key += plan->tile_k) {
    step_to(s, attn__max(key, begin), attn__min(key + plan->tile_k, end));
    look_ahead(s, plan->part.count > 0 ? end : seen.end);
    attn__meet_step(s);
  }
}

/* The strand goes to block number n of all, whose rows are to have that state. */
static void go_to(attn__strand *s, int64_t n, const attn__state *state) {
  const attn__problem *problem = s->job->problem;
  const attn__plan *plan = s->job->plan;
  const int64_t group = attn__plan_group(plan, n), first = attn__plan_block(plan, n) * plan->block_tiles;
  s->b = group / plan->kv_groups;
  s->kv_head = attn__plan_kv_head(plan, group);
  s->kv_heads = attn__plan_kv_heads(plan, problem, s->kv_head);
  s->sequence = attn__sequence_of(problem, s->b);
  s->tiles = attn__min(plan->block_tiles, plan->query_parts * plan->head_parts - first);
  for (int64_t slot = 0; slot < s->tiles; slot++) place_tile(s, first + slot, slot, state);
}

/* The total of the rows of tile number slot. */
static attn__total total_of_slot(const attn__strand *s, int64_t slot) {
  const attn__plan *plan = s->job->plan;
  return attn__total_past(&s->total, slot * plan->tile_q * plan->tile_heads, s->job->problem->dim_v);
}

static void clear_totals(const attn__strand *s) {
  for (int64_t slot = 0; slot < s->tiles; slot++) {
    const attn__total total = total_of_slot(s, slot);
    attn__finish_clear(&total, s->tile[slot].rows, s->job->problem->dim_v);
  }
}

/* Joins a state of the block's rows, over the keys of a split, to their totals. */
static void join(const attn__strand *s, const attn__state *state) {
  for (int64_t slot = 0; slot < s->tiles; slot++) {
    const attn__total total = total_of_slot(s, slot);
    const attn__state from = state_of_slot(s, state, slot);
    attn__finish_join(&total, &from, s->tile[slot].rows, s->job->problem->dim_v);
  }
}

/* The totals become the states of the block's tiles. */
static void take_totals(const attn__strand *s) {
  for (int64_t slot = 0; slot < s->tiles; slot++) {
    const attn__total total = total_of_slot(s, slot);
    attn__finish_total(&s->tile[slot].state, &total, s->tile[slot].rows, s->job->problem->dim_v);
  }
}

/* The block meets split after split, whose states are joined in the order of the keys, as those of parts are: whoever does
 * it, the bits are the same. So are those of a split that is the only one, joined or not. */
static void meet_splits(attn__strand *s) {
  const attn__key_range seen = block_visible(s);
  const int64_t split_k = s->job->plan->split_k, first = seen.begin / split_k,
                last = (seen.end - 1) / split_k;
  if (first >= last) {
    meet_split(s, seen, last);
    return;
  }
  clear_totals(s);
  for (int64_t split = first; split <= last; split++) {
    meet_split(s, seen, split);
    join(s, &s->state);
  }
  take_totals(s);
}

static void finish(const attn__strand *s) {
  for (int64_t slot = 0; slot < s->tiles; slot++)
    attn__finish_tile(s->job->problem, s->job->kernels, &s->tile[slot]);
}

/* Block number n of all. */
static void run_block(attn__strand *s, int64_t n) {
  go_to(s, n, &s->state);
  copy_queries(s);
  if (s->job->plan->splits == 1)
    meet_split(s, block_visible(s), 0);
  else
    meet_splits(s);
  finish(s);
}

/* A task that is a run of blocks. */
static void run_blocks(attn__strand *s, int64_t task) {
  const attn__plan *plan = s->job->plan;
  const int64_t first = task * plan->task_blocks,
                end = attn__min(first + plan->task_blocks, plan->all_blocks);
  for (int64_t n = first; n < end; n++) {
    s->next = n + 1 < end ? n + 1 : -1;
    run_block(s, n);
  }
}

/* Where the state of a part is: a split of a block. */
static attn__state state_of_part(const attn__job *job, int64_t part) {
  const attn__plan *plan = job->plan;
  char *base = job->scratch + plan->strands * plan->scratch.bytes + part * plan->part.bytes;
  return (attn__state){(float *)(void *)(base + plan->part.outputs),
                       (float *)(void *)(base + plan->part.maxima),
                       (double *)(void *)(base + plan->part.sums)};
}

/* A task that is a part. */
static void run_part(attn__strand *s, int64_t part) {
  const attn__state state = state_of_part(s->job, part);
  go_to(s, part / s->job->plan->splits, &state);
  copy_queries(s);
  meet_split(s, block_visible(s), part % s->job->plan->splits);
}

/* A task that joins the parts of block number n of all. */
static void join_parts(attn__strand *s, int64_t n) {
  const int64_t splits = s->job->plan->splits, first = n * splits;
  const attn__state state = state_of_part(s->job, first);
  go_to(s, n, &state);
  clear_totals(s);
  for (int64_t part = first; part < first + splits; part++) {
    const attn__state of_part = state_of_part(s->job, part);
    join(s, &of_part);
  }
  take_totals(s);
  finish(s);
}

/* Strand number index: takes tasks until there are no more. */
static void run_strand(void *argument, int64_t index) {
  attn__job *job = argument;
  const attn__plan *plan = job->plan;
  char *base = job->scratch + index * plan->scratch.bytes;
  attn__tile tile[ATTN__PLAN_BLOCK_TILES]; /* not in the strand, which would clear them all */
  attn__ahead ahead;
  int64_t task;
  attn__strand s = {.job = job,
                    .lane = attn__queue_lane(job->queue, index),
                    .next = -1,
                    .queries = (float *)(void *)(base + plan->scratch.queries),
                    .raw = (float *)(void *)(base + plan->scratch.raw),
                    .weight = (float *)(void *)(base + plan->scratch.weight),
                    .scores = (float *)(void *)(base + plan->scratch.scores),
                    .keys = (float *)(void *)(base + plan->scratch.keys),
                    .values = (float *)(void *)(base + plan->scratch.values),
                    .thirds = {(uint16_t *)(void *)(base + plan->scratch.queries),
                               (uint16_t *)(void *)(base + plan->scratch.keys),
                               (uint16_t *)(void *)(base + plan->scratch.weights),
                               (uint16_t *)(void *)(base + plan->scratch.values),
                               (float *)(void *)(base + plan->scratch.query),
                               (float *)(void *)(base + plan->scratch.apart)},
                    .state = {(float *)(void *)(base + plan->scratch.outputs),
                              (float *)(void *)(base + plan->scratch.maxima),
                              (double *)(void *)(base + plan->scratch.sums)},
                    .total = {(double *)(void *)(base + plan->scratch.total_outputs),
                              (float *)(void *)(base + plan->scratch.total_maxima),
                              (double *)(void *)(base + plan->scratch.total_sums)},
                    .tile = tile,
                    .ahead = &ahead};
  job->engine->enter();
  if (plan->thirds) job->engine->thirds->begin();
  while ((task = attn__queue_take(job->queue, &s.lane)) >= 0) job->run_task(&s, task);
  if (plan->thirds) job->engine->thirds->end();
  job->engine->leave();
}

static void run_tasks(attn_context *context, attn__job *job, int64_t tasks,
                      void (*run_task)(attn__strand *s, int64_t task)) {
  const int64_t strands = attn__min(job->plan->strands, tasks);
  attn__queue_fill(job->queue, tasks, strands);
  job->run_task = run_task;
  attn__context_run(context, strands, run_strand, job);
}

void attn__tiled_run(attn_context *context, const attn__problem *problem, const attn__plan *plan,
                     void *scratch) {
  if (plan->empty) {
    attn__finish_unseeing(problem);
    return;
  }
  attn__queue queue;
  attn__job job = {.problem = problem,
                   .plan = plan,
                   .kernels = context->kernels,
                   .engine = &context->engine,
                   .scratch = scratch,
                   .queue = &queue};
  run_tasks(context, &job, plan->tasks, plan->part.count > 0 ? run_part : run_blocks);
  if (plan->part.count > 0) run_tasks(context, &job, plan->part.count / plan->splits, join_parts);
}
