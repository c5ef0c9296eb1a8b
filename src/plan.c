/* plan.c - from a problem to a plan: decides how, computes nothing.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "plan.h"

#include <string.h>

#include "attn/attn.h"
#include "base.h"
#include "kv.h"
#include "score.h"

enum {
  LINE_FLOATS = ATTN_CACHE_LINE / sizeof(float),
  TILE_K = 256, /* keys of a tile, at most */
  DIRECT_K =
      512, /* the same where they are multiplied where they stand: streams begin anew with each tile */
  DIRECT_FLOATS = 1 << 17,
  THIRDS_BYTES = 508 << 10, /* of scratch for a tile of keys in thirds and what meets it, at most */
  THIRDS_WIDEST = 512,      /* 1,024 would take more than a MiB of scratch */
  TILE_FLOATS = 1 << 15,    /* a transposed tile of keys, at most: as much again for the values */
  NARROW = 32,              /* heads up to so wide have tiles of floats of NARROW_ROWS at most: */
  NARROW_ROWS = 32, /* the scores stay in the first-level cache, and weigh more the less is multiplied */
  WINDOW_ROWS = 16, /* a tile has one row for so many keys of a window, at most */
  BLOCK_FLOATS = 1 << 17, /* copied queries and states of a block, at most */
  STATE_FLOATS = 3,       /* of a row, beside its output: a float and a double */
  SPLIT_STATES = 3,     /* as many numbers as with splits a state and a total have, of outputs in double */
  TASKS_PER_THREAD = 4, /* at least, where there is enough work: what evens out unequal tasks */
  RUNS_PER_THREAD = 8,  /* the same of tasks that are runs of blocks */
  RUN_BLOCKS = 8,       /* blocks of a run, at most: all but the first find keys that are cut already */
  FEW_TO_PACK = 128,    /* up to so many rows of a block, values are not worth packing */
  FEW_TO_COPY = 256,    /* for up to so many keys, queries are not worth copying */
  PACED_ROWS = 64,      /* up to so many rows of a block, slabs ask all along for what comes next */
  WORTH_ROWS = 4,       /* left over by slabs, or more: fewer take as long */
  PART_ROWS = 2 * ATTN__THIRDS_STRIP, /* of a tile in thirds that meet keys together */
  EDGE_ROWS = 12,  /* rows that the edge of the causal rule or of a window is cut into, at least */
  SPLIT_ROWS = 64, /* rows of a head group, at most, that see up to SPLIT_K keys in a split */
  SPLIT_K = 1024,
  LONG_SPLIT_K = 8192, /* the same where there are more rows */
  MOST_SPLITS = 32,
  STRETCH_K = 16,               /* keys of heads side by side that few queries meet together */
  SCRATCH_BYTES = 1 << 20,      /* of a thread, at most, the states of splits included */
  CACHE_FLOATS = 1 << 18,       /* queries, keys and values of a call that need not be asked for ahead */
  PACED_CACHE_FLOATS = 1 << 21, /* the same where slabs ask all along */
  FEW_CACHE_FLOATS = 5 << 20, /* the same where queries are few: those come soon enough from further away */
  READ_ROWS = 4,              /* so many are multiplied while keys and values are read */
  FLOPS_PER_THREAD = 1 << 20  /* at least: less is done before another thread wakes up */
};

/* The size of equal parts of a length, none above most, in multiples of unit where that is possible. */
static int64_t equal_parts(int64_t length, int64_t most, int64_t unit) {
  if (length <= most) return length;
  int64_t parts = attn__divide_up(length, most);
  return attn__min(attn__round_up(attn__divide_up(length, parts), unit), length);
}

/* About so many rows, at most most, in whole panels, of which slabs leave nothing over or as much as is worth it: the
 * windows of such tiles begin where panels do, or all at the same place in one. 0 if there are none. */
static int64_t rows_of_panels(int64_t rows, int64_t most, int64_t panel, int64_t slab) {
  int64_t whole = attn__min(attn__round_up(rows, panel), most / panel * panel);
  while (whole > 0 && whole % slab > 0 && whole % slab < WORTH_ROWS) whole -= panel;
  return whole;
}

/* 1 if windows lie around positions, not around middles that are given or predicted. */
static int32_t around_positions(const attn__problem *problem) {
  return !problem->centers.data && !problem->predict_matrix;
}

/* How far a row sees to the right of the middle of its window. */
static int64_t right_of(const attn__problem *problem) {
  return problem->causal && around_positions(problem) ? 0 : problem->window_right;
}

/* 1 if what a row sees ends on both sides. */
static int32_t has_window(const attn__problem *problem) {
  return problem->window_left != ATTN__UNBOUNDED && right_of(problem) != ATTN__UNBOUNDED;
}

/* Keys of a split, at most, unless there are too many splits. */
static int64_t longest_split(const attn__problem *problem) {
  return problem->group * problem->len_q <= SPLIT_ROWS ? SPLIT_K : LONG_SPLIT_K;
}

/* 1 if a row may see so many keys that they are summed in splits. */
static int32_t sees_many_keys(const attn__problem *problem) {
  const int64_t window = attn__add_saturating(problem->window_left, right_of(problem));
  const int64_t seen = attn__add_saturating(window, attn__add_saturating(problem->window_prefix, 1));
  return attn__min(seen, problem->len_k) > longest_split(problem);
}

/* Floats of scratch for a query: in thirds it has three of half a float each, with a weight it is there before and after. */
static int64_t copied_of_query(const attn__plan *plan, const attn__problem *problem) {
  if (plan->thirds) return attn__round_up(problem->dim, ATTN__THIRDS_INNER) * 3 / 2;
  return problem->score_function == ATTN_SCORE_GENERAL ? 2 * problem->dim : problem->dim;
}

/* Rows of a tile, at most, and what they are to be a multiple of. The rows of a tile together see more keys than each of
 * them does: by their number, which is to be little beside a window. In thirds that is so of its parts. */
static int64_t most_rows(const attn__plan *plan, const attn__problem *problem, const attn__engine *engine,
                         int64_t *unit) {
  const int64_t slab = plan->thirds ? PART_ROWS : engine->slab, panel = engine->panel;
  const int64_t states = sees_many_keys(problem) ? SPLIT_STATES : 1;
  const int32_t narrow = !plan->thirds && panel > 0 && attn__max(problem->dim, problem->dim_v) <= NARROW;
  const int64_t row = copied_of_query(plan, problem) + states * problem->dim_v;
  const int64_t most = attn__clamp(BLOCK_FLOATS / row, slab, narrow ? NARROW_ROWS : ATTN__PLAN_TILE_ROWS);
  *unit = slab;
  if (plan->thirds || !has_window(problem)) return most / slab * slab;
  const int64_t window = attn__add_saturating(problem->window_left, right_of(problem));
  const int64_t rows = attn__min(most, attn__add_saturating(window / WINDOW_ROWS, slab)) / slab * slab;
  const int64_t panels = panel > 0 && window >= panel ? rows_of_panels(rows, most, panel, slab) : 0;
  if (panels == 0) return rows;
  *unit = panel;
  return panels;
}

static void choose_path(attn__plan *plan, const attn__problem *problem, const attn__engine *engine) {
  const int64_t rows = problem->group * problem->len_q;
  plan->direct = rows <= engine->few && problem->score_function != ATTN_SCORE_ADDITIVE;
  plan->thirds = problem->score_function == ATTN_SCORE_DOT &&
                 attn__max(problem->dim, problem->dim_v) <= THIRDS_WIDEST &&
                 attn__product_in_thirds(engine, rows, problem->dim);
}

/* Rows of one head, none of them past the end of a sequence, are a left operand as they stand; with gaps between them only
 * if they meet few keys. */
static void choose_queries(attn__plan *plan, const attn__problem *problem) {
  const int64_t stride = problem->query.strides.row;
  const int32_t with_gaps = stride > problem->dim && stride <= INT32_MAX && problem->len_k <= FEW_TO_COPY;
  plan->queries_in_place = !plan->direct && !plan->thirds && problem->score_function == ATTN_SCORE_DOT &&
                           plan->tile_heads == 1 && (stride == problem->dim || with_gaps) &&
                           !problem->lengths_q && !problem->starts_q;
  plan->query_stride = plan->queries_in_place ? stride : problem->dim;
}

/* Keys of a tile in thirds, at most. */
static int64_t most_keys_in_thirds(const attn__problem *problem, const attn__engine *engine) {
  const int64_t inner = ATTN__THIRDS_INNER, rows = 2 * PART_ROWS;
  const int64_t thirds = attn__product_thirds(inner, problem->dim) +
                         attn__product_thirds(problem->dim_v, inner) + attn__product_thirds(rows, inner);
  const int64_t floats = attn__product_floats(engine, inner, problem->dim_v) + rows * inner;
  const int64_t bytes = thirds * (int64_t)sizeof(uint16_t) + floats * (int64_t)sizeof(float);
  return attn__clamp(THIRDS_BYTES / bytes, 1, ATTN__THIRDS_KEYS / inner) * inner;
}

static void choose_tiles(attn__plan *plan, const attn__problem *problem, const attn__engine *engine) {
  int64_t unit;
  const int64_t rows = most_rows(plan, problem, engine, &unit);
  const int64_t dim = attn__max(problem->dim, problem->dim_v);
  const int64_t unit_k = plan->thirds ? ATTN__THIRDS_INNER : LINE_FLOATS;
  int64_t keys = attn__min(TILE_FLOATS / dim, TILE_K);
  if (plan->direct) keys = attn__min(DIRECT_FLOATS / dim, DIRECT_K);
  if (plan->thirds) keys = most_keys_in_thirds(problem, engine);
  plan->tile_q = equal_parts(problem->len_q, rows, unit);
  plan->tile_k = equal_parts(problem->len_k, attn__max(keys / unit_k * unit_k, unit_k), unit_k);
  plan->score_stride = attn__round_up(plan->tile_k, LINE_FLOATS);
  plan->tile_heads = equal_parts(problem->group, attn__max(rows / problem->len_q, 1), 1);
  plan->kv_heads = 1;
  plan->kv_groups = problem->heads_kv;
  plan->part_rows = plan->thirds && plan->tile_heads == 1 ? PART_ROWS : 0;
  plan->query_parts = attn__divide_up(problem->len_q, plan->tile_q);
  plan->head_parts = attn__divide_up(problem->group, plan->tile_heads);
}

/* By fewer rows at the edge of what positions see, fewer products are made that nobody sees. What the caller
 * wants of every pair is made by the whole tile; so is what BLAS multiplies, whose bits follow the number of rows, and
 * what else is wanted is to change no bit of the output. Tiles of several heads have too few rows of each. */
static void choose_edges(attn__plan *plan, const attn__problem *problem, const attn__engine *engine) {
  const int64_t rows = plan->thirds ? PART_ROWS : attn__round_up(EDGE_ROWS, engine->slab);
  const int32_t few = plan->thirds ? plan->part_rows == 0 : plan->tile_q < 3 * rows;
  const int32_t whole = problem->weights.data || problem->scores.data || !around_positions(problem) ||
                        engine->panel == 0 || few;
  plan->edge_rows = whole ? ATTN__PLAN_TILE_ROWS : rows;
}

/* The outputs of each split are summed apart: very long sums are less exact, and threads may take a split each. All are
 * about as long. */
static void choose_splits(attn__plan *plan, const attn__problem *problem) {
  const int64_t wanted = attn__min(attn__divide_up(problem->len_k, longest_split(problem)), MOST_SPLITS);
  const int64_t keys = attn__round_up(attn__divide_up(problem->len_k, wanted), plan->tile_k);
  const int32_t split = sees_many_keys(problem);
  plan->split_k = split ? keys : INT64_MAX;
  plan->splits = split ? attn__divide_up(problem->len_k, keys) : 1;
}

/* Numbers of all queries, keys and values. */
static double inputs(const attn__problem *problem) {
  const double keys = (double)problem->heads_kv * (double)problem->len_k;
  const double queries = (double)problem->heads_q * (double)problem->len_q;
  return (double)problem->batch *
         (queries * (double)problem->dim + keys * (double)(problem->dim + problem->dim_v));
}

/* Floating-point operations of the whole problem, masked ones included. Fewer rows of a head group than
 * READ_ROWS take as long as these: reading does. */
static double flops(const attn__problem *problem) {
  const int64_t rows = attn__max(problem->group * problem->len_q, READ_ROWS);
  return 2.0 * (double)problem->batch * (double)problem->heads_kv * (double)rows * (double)problem->len_k *
         (double)(problem->dim + problem->dim_v);
}

/* So many of the threads that a call may use have enough to do. */
static int64_t threads_paid(const attn__problem *problem, int64_t threads) {
  const double paid = flops(problem) / FLOPS_PER_THREAD;
  return paid < (double)threads ? attn__max((int64_t)paid, 1) : threads;
}

/* Rows of queries in a block. */
static int64_t block_rows(const attn__plan *plan, const attn__problem *problem) {
  return attn__min(plan->block_tiles * plan->tile_q * plan->tile_heads,
                   problem->len_q * problem->group * plan->kv_heads);
}

/* Rows of values that are whole panels can be multiplied as they stand. Many rows of queries meet them sooner if they are
 * packed. Where there are gaps between rows of values so do half as many, unless these come from memory; and any number of
 * them where a panel is as narrow as a line. */
static int32_t values_are_panels(const attn__plan *plan, const attn__problem *problem,
                                 const attn__engine *engine) {
  const int64_t stride = problem->value.strides.row;
  const int32_t gaps = stride > problem->dim_v;
  const int64_t most = gaps && inputs(problem) <= PACED_CACHE_FLOATS ? FEW_TO_PACK / 2 : FEW_TO_PACK;
  return !plan->thirds && engine->panel > (gaps ? LINE_FLOATS : 0) && problem->dim_v % engine->panel == 0 &&
         stride >= problem->dim_v && block_rows(plan, problem) <= most;
}

/* 1 if batch entries may see different keys; else the first tells of a batch of any size. */
static int32_t entries_differ(const attn__problem *problem) {
  return problem->offsets || problem->lengths_q || problem->lengths_k || problem->starts_q ||
         problem->starts_k;
}

/* Tiles of as many rows as a tile of keys has keys, if blocks of whole such rows begin with the keys that the one before
 * them ends with, else 1: beside windows no longer than a tile of keys that end at the position, where nothing else decides
 * what is seen. */
static int64_t tiles_of_keys(const attn__plan *plan, const attn__problem *problem) {
  const int32_t ends_here = has_window(problem) && right_of(problem) == 0 && around_positions(problem);
  const int32_t is_short = problem->window_left <= plan->tile_k && problem->window_left < problem->len_k &&
                           !problem->window_prefix;
  const int32_t fits = problem->offset % plan->tile_k == 0 && plan->tile_k % plan->tile_q == 0;
  if (!ends_here || !is_short || entries_differ(problem) || !fits) return 1;
  return plan->tile_k / plan->tile_q * plan->head_parts;
}

/* What a thread takes at a time. */
static void choose_tasks(attn__plan *plan, int64_t threads) {
  plan->task_blocks = 1;
  if (plan->forward)
    plan->task_blocks =
        attn__clamp(plan->all_blocks / (threads * RUNS_PER_THREAD), 1, attn__min(plan->blocks, RUN_BLOCKS));
  plan->tasks = attn__divide_up(plan->all_blocks, plan->task_blocks);
  plan->strands = attn__min(threads, plan->tasks);
}

/* Large blocks read keys less often, small ones make more tasks. The results do not depend on it. */
static void choose_blocks(attn__plan *plan, const attn__problem *problem, const attn__engine *engine,
                          int64_t threads) {
  const int64_t groups = problem->batch * plan->kv_groups;
  const int64_t tiles = plan->query_parts * plan->head_parts;
  const int64_t rows = plan->tile_q * plan->tile_heads;
  const int64_t copied = plan->thirds ? attn__product_thirds(rows, problem->dim) / 2
                                      : (plan->queries_in_place ? 0 : rows * problem->dim);
  const int64_t states = plan->splits > 1 ? SPLIT_STATES : 1;
  const int64_t tile_floats = rows * states * (problem->dim_v + STATE_FLOATS) + copied;
  int64_t most = attn__clamp(BLOCK_FLOATS / tile_floats, 1, ATTN__PLAN_BLOCK_TILES);
  if (threads > 1) {
    int64_t wanted = attn__divide_up(threads * TASKS_PER_THREAD, groups); /* blocks of a group */
    most = attn__clamp(tiles / wanted, 1, most);
  }
  const int64_t of_keys = tiles_of_keys(plan, problem), unit = of_keys <= most ? of_keys : 1;
  plan->block_tiles = equal_parts(tiles, most / unit * unit, unit);
  plan->blocks = attn__divide_up(tiles, plan->block_tiles);
  plan->all_blocks = groups * plan->blocks;
  plan->forward = unit > 1 && plan->blocks > 1;
  plan->values_in_place = plan->direct || values_are_panels(plan, problem, engine);
  choose_tasks(plan, threads);
}

/* Appends a piece of scratch; returns where it begins. */
static int64_t append(int64_t *bytes, int64_t count, int64_t size) {
  int64_t begin = *bytes;
  *bytes += attn__round_up(count * size, ATTN_CACHE_LINE);
  return begin;
}

/* Appends the state of so many rows. */
static void append_state(int64_t *bytes, int64_t rows, int64_t dim_v, int64_t *outputs, int64_t *maxima,
                         int64_t *sums) {
  *outputs = append(bytes, rows * dim_v, sizeof(float));
  *maxima = append(bytes, rows, sizeof(float));
  *sums = append(bytes, rows, sizeof(double));
}

/* Appends the total of so many rows. */
static void append_total(attn__plan *plan, int64_t rows, int64_t dim_v) {
  int64_t *bytes = &plan->scratch.bytes;
  plan->scratch.total_outputs = append(bytes, rows * dim_v, sizeof(double));
  plan->scratch.total_maxima = append(bytes, rows, sizeof(float));
  plan->scratch.total_sums = append(bytes, rows, sizeof(double));
}

/* Operands of products of floats. */
static void lay_out_floats(attn__plan *plan, const attn__problem *problem, const attn__engine *engine) {
  const int64_t tile_rows = plan->tile_q * plan->tile_heads, size = sizeof(float);
  int64_t *bytes = &plan->scratch.bytes;
  if (!plan->queries_in_place)
    plan->scratch.queries = append(bytes, tile_rows * plan->block_tiles * problem->dim, size);
  if (problem->score_function == ATTN_SCORE_GENERAL) {
    plan->scratch.raw = append(bytes, tile_rows * problem->dim, size);
    plan->scratch.weight =
        append(bytes, attn__product_floats(engine, problem->dim, ATTN__PLAN_WEIGHT_COLS), size);
  }
  if (!plan->direct)
    plan->scratch.keys = append(bytes, attn__product_floats(engine, problem->dim, plan->tile_k), size);
  plan->scratch.values = append(bytes, attn__product_floats(engine, plan->tile_k, problem->dim_v), size);
}

/* Operands in thirds. */
static void lay_out_thirds(attn__plan *plan, const attn__problem *problem, const attn__engine *engine,
                           int64_t weight_rows) {
  const int64_t tile_rows = plan->tile_q * plan->tile_heads, dim = problem->dim, size = sizeof(uint16_t);
  int64_t *bytes = &plan->scratch.bytes;
  plan->scratch.queries = append(bytes, plan->block_tiles * attn__product_thirds(tile_rows, dim), size);
  plan->scratch.keys = append(bytes, attn__product_thirds(plan->tile_k, dim), size);
  plan->scratch.weights = append(bytes, attn__product_thirds(weight_rows, plan->tile_k), size);
  plan->scratch.values = append(bytes, attn__product_thirds(problem->dim_v, plan->tile_k), size);
  plan->scratch.query = append(bytes, dim, sizeof(float));
  plan->scratch.apart =
      append(bytes, attn__product_floats(engine, plan->tile_k, problem->dim_v), sizeof(float));
}

static void lay_out_scratch(attn__plan *plan, const attn__problem *problem, const attn__engine *engine) {
  const int64_t tile_rows = plan->tile_q * plan->tile_heads, rows = tile_rows * plan->block_tiles;
  const int64_t score_rows = plan->part_rows > 0 ? 2 * plan->part_rows : tile_rows;
  int64_t *bytes = &plan->scratch.bytes;
  memset(&plan->scratch, 0, sizeof plan->scratch);
  if (plan->thirds)
    lay_out_thirds(plan, problem, engine, score_rows);
  else
    lay_out_floats(plan, problem, engine);
  plan->scratch.scores = append(bytes, score_rows * plan->score_stride, sizeof(float));
  if (plan->part.count > 0)
    append_state(&plan->part.bytes, rows, problem->dim_v, &plan->part.outputs, &plan->part.maxima,
                 &plan->part.sums);
  else
    append_state(bytes, rows, problem->dim_v, &plan->scratch.outputs, &plan->scratch.maxima,
                 &plan->scratch.sums);
  if (plan->splits > 1) append_total(plan, rows, problem->dim_v);
}

/* 1 if each thread has no more scratch than it may. */
static int32_t fits_scratch(const attn__plan *plan) {
  return attn__plan_scratch(plan) <= (uint64_t)plan->strands * SCRATCH_BYTES;
}

/* Where there are enough blocks, or as many for each thread, each is a task and goes through its splits in turn. Else each
 * split of each is a task, if there is room for their states. */
static void choose_parts(attn__plan *plan, const attn__problem *problem, const attn__engine *engine,
                         int64_t threads) {
  const int32_t even = plan->all_blocks >= threads * TASKS_PER_THREAD || plan->all_blocks % threads == 0;
  if (plan->splits == 1 || even) return;
  attn__plan parts = *plan;
  parts.tasks = parts.part.count = plan->all_blocks * plan->splits;
  parts.strands = attn__min(threads, parts.tasks);
  lay_out_scratch(&parts, problem, engine);
  if (fits_scratch(&parts)) *plan = parts;
}

/* Blocks, tasks and scratch. */
static void lay_out(attn__plan *plan, const attn__problem *problem, const attn__engine *engine,
                    int64_t threads) {
  choose_blocks(plan, problem, engine, threads);
  lay_out_scratch(plan, problem, engine);
  choose_parts(plan, problem, engine, threads);
}

/* 1 if few queries of several key heads that lie side by side can be one tile: around centers its range, and so the bits,
 * would follow which heads these are. */
static int32_t can_share_tiles(const attn__plan *plan, const attn__problem *problem) {
  return plan->direct && plan->query_parts * plan->head_parts == 1 && around_positions(problem) &&
         attn__kv_heads_side_by_side(problem);
}

/* A tile of so many key heads at most, if threads have equal work then and the scratch is no larger than it may be. */
static int32_t share_tiles(attn__plan *plan, const attn__problem *problem, const attn__engine *engine,
                           int64_t threads, int64_t heads) {
  attn__plan shared = *plan;
  shared.kv_heads = equal_parts(problem->heads_kv, heads, 1);
  shared.kv_groups = attn__divide_up(problem->heads_kv, shared.kv_heads);
  shared.tile_heads = problem->group * shared.kv_heads;
  lay_out(&shared, problem, engine, threads);
  const int32_t even = shared.tasks % threads == 0 || shared.tasks >= threads * TASKS_PER_THREAD;
  if (!even || !fits_scratch(&shared)) return 0;
  *plan = shared;
  return 1;
}

/* Heads that lie side by side meet the keys by stretches, so that memory is read from end to end. Bits follow the stretches,
 * not how many heads share a tile. */
static void choose_heads(attn__plan *plan, const attn__problem *problem, const attn__engine *engine,
                         int64_t threads) {
  if (can_share_tiles(plan, problem)) {
    const int64_t most = ATTN__FEW_TOGETHER / (problem->group * problem->len_q);
    plan->stretch_k = STRETCH_K;
    for (int64_t heads = attn__min(most, problem->heads_kv); heads > 1; heads /= 2)
      if (share_tiles(plan, problem, engine, threads, heads)) return;
  }
  lay_out(plan, problem, engine, threads);
}

/* 1 if surely no query of a batch entry sees a key. */
static int32_t sees_nothing(const attn__problem *problem, int64_t b) {
  const attn__sequence sequence = attn__sequence_of(problem, b);
  if (sequence.len_q == 0 || sequence.len_k == 0) return 1;
  if (!around_positions(problem)) return 0;
  const attn__score_tile all = {.b = b, .heads = 1, .queries = problem->len_q};
  const attn__key_range seen = attn__score_visible(problem, &all);
  return seen.begin == seen.end;
}

/* Few rows are a few slabs for each tile of keys. For all of the next tile to come meanwhile, each of these has to ask for
 * much, which it does all along: rows for each so many of the operand that it meets. */
static int64_t pace_ahead(const attn__plan *plan, const attn__problem *problem,
                          const attn__engine *engine) {
  const int64_t rows = block_rows(plan, problem), slabs = rows / engine->slab;
  const int32_t few = slabs > 0 && rows <= PACED_ROWS && !plan->direct;
  if (!few || !engine->few_ahead || inputs(problem) <= PACED_CACHE_FLOATS) return 0;
  return attn__divide_up(2 * ATTN__AHEAD_STEP * engine->panel, slabs * (problem->dim + problem->dim_v));
}

/* Tiles of several heads have too few rows of each to be worth it. */
static void choose_ahead(attn__plan *plan, const attn__problem *problem, const attn__engine *engine) {
  const int32_t large = inputs(problem) > (plan->direct ? FEW_CACHE_FLOATS : CACHE_FLOATS);
  plan->ahead = large && (engine->few_ahead || !plan->direct);
  plan->ahead_pace = pace_ahead(plan, problem, engine);
  plan->ahead_outputs = (large || plan->strands > 1) && !plan->direct && plan->tile_heads == 1;
}

attn__plan attn__plan_make(const attn__problem *problem, const attn__engine *engine, int64_t threads) {
  attn__plan plan = {.empty = 1};
  if (problem->batch == 0 || problem->heads_q == 0 || problem->len_q == 0) return plan;
  const int64_t different = entries_differ(problem) ? problem->batch : 1;
  for (int64_t b = 0; plan.empty && b < different; b++) plan.empty = sees_nothing(problem, b);
  if (plan.empty) return plan;
  choose_path(&plan, problem, engine);
  choose_tiles(&plan, problem, engine);
  choose_queries(&plan, problem);
  choose_splits(&plan, problem);
  choose_edges(&plan, problem, engine);
  threads = threads_paid(problem, threads);
  choose_heads(&plan, problem, engine, threads);
  choose_ahead(&plan, problem, engine);
  return plan;
}

uint64_t attn__plan_scratch(const attn__plan *plan) {
  return (uint64_t)plan->strands * (uint64_t)plan->scratch.bytes +
         (uint64_t)plan->part.count * (uint64_t)plan->part.bytes;
}
