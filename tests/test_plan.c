/* test_plan.c - plans of random problems: they cover the work, fit together, and do not depend on threads
 * where results would.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"
#include "plan_case.h"
#include "score.h"

enum { ROUNDS = 20000 };

static const attn__engine *random_engine(random_source *source) {
  return &engines[random_between(source, 0, COUNT_OF(engines) - 1)];
}

static int64_t random_size(random_source *source) {
  const int64_t most[] = {1, 8, 70, 300, 5000, 1 << 20};
  return random_between(source, 1, most[random_between(source, 0, COUNT_OF(most) - 1)]);
}

static attn__problem random_problem(random_source *source) {
  attn__problem problem = {.batch = random_between(source, 1, 20),
                           .heads_kv = random_between(source, 1, 20),
                           .group = random_between(source, 1, 12),
                           .len_q = random_size(source),
                           .len_k = random_size(source),
                           .dim = random_between(source, 1, 600),
                           .dim_v = random_between(source, 1, 600),
                           .window_left = ATTN__UNBOUNDED,
                           .window_right = ATTN__UNBOUNDED,
                           .window_dilation = 1};
  problem.heads_q = problem.heads_kv * problem.group;
  problem.causal = random_once_in(source, 2);
  if (problem.causal) problem.offset = random_between(source, -problem.len_q, problem.len_k);
  if (random_once_in(source, 2)) problem.window_left = random_between(source, 0, 400);
  if (random_once_in(source, 2)) problem.window_right = random_between(source, 0, 20);
  if (random_once_in(source, 2)) problem.offset = 0;
  if (random_once_in(source, 2)) {
    problem.key.strides = (attn__strides){0, problem.dim, problem.heads_kv * problem.dim};
    problem.value.strides = (attn__strides){0, problem.dim_v, problem.heads_kv * problem.dim_v};
  }
  return problem;
}

/* Pieces of scratch follow one another, aligned, each large enough. */
static void check_scratch(const attn__plan *plan, const attn__problem *problem,
                          const attn__engine *engine) {
  const int64_t tile_rows = plan->tile_q * plan->tile_heads, rows = tile_rows * plan->block_tiles;
  const int64_t size = sizeof(float), total = plan->splits > 1, own = plan->part.count == 0;
  const int64_t rows_met = plan->part_rows > 0 ? 2 * plan->part_rows : tile_rows;
  const int64_t dim = problem->dim, dim_v = problem->dim_v, third = sizeof(uint16_t);
  const struct {
    int64_t begin, bytes;
  } pieces[] = {
      {plan->scratch.queries, plan->thirds
                                  ? plan->block_tiles * attn__product_thirds(tile_rows, dim) * third
                              : plan->queries_in_place ? 0
                                                       : rows * dim * size},
      {plan->scratch.outputs, own * rows * dim_v * size},
      {plan->scratch.scores, rows_met * plan->score_stride * size},
      {plan->scratch.keys, plan->thirds   ? attn__product_thirds(plan->tile_k, dim) * third
                           : plan->direct ? 0
                                          : attn__product_floats(engine, dim, plan->tile_k) * size},
      {plan->scratch.values, plan->thirds ? attn__product_thirds(dim_v, plan->tile_k) * third
                                          : attn__product_floats(engine, plan->tile_k, dim_v) * size},
      {plan->scratch.weights, plan->thirds * attn__product_thirds(rows_met, plan->tile_k) * third},
      {plan->scratch.query, plan->thirds * dim * size},
      {plan->scratch.apart, plan->thirds * attn__product_floats(engine, plan->tile_k, dim_v) * size},
      {plan->scratch.maxima, own * rows * size},
      {plan->scratch.sums, own * rows * (int64_t)sizeof(double)},
      {plan->scratch.total_outputs, total * rows * dim_v * (int64_t)sizeof(double)},
      {plan->scratch.total_maxima, total * rows * size},
      {plan->scratch.total_sums, total * rows * (int64_t)sizeof(double)},
  };
  for (size_t a = 0; a < COUNT_OF(pieces); a++) {
    assert_int_equal(pieces[a].begin % ATTN_CACHE_LINE, 0);
    assert_true(pieces[a].begin >= 0 && pieces[a].begin + pieces[a].bytes <= plan->scratch.bytes);
    for (size_t b = 0; b < a; b++)
      assert_true(pieces[a].begin + pieces[a].bytes <= pieces[b].begin ||
                  pieces[b].begin + pieces[b].bytes <= pieces[a].begin);
  }
  assert_int_equal(plan->scratch.bytes % ATTN_CACHE_LINE, 0);
  if (problem->dim <= 512 && problem->dim_v <= 512) assert_true(plan->scratch.bytes < 1 << 20);
  assert_int_equal(attn__plan_scratch(plan),
                   (uint64_t)(plan->strands * plan->scratch.bytes + plan->part.count * plan->part.bytes));
}

static void check_cover(const attn__plan *plan, const attn__problem *problem, int64_t threads) {
  const int64_t tiles = plan->query_parts * plan->head_parts;
  assert_true(plan->tile_q >= 1 && plan->tile_q <= problem->len_q);
  assert_true(plan->kv_heads >= 1 && plan->kv_heads <= problem->heads_kv);
  assert_int_equal(plan->kv_groups, attn__divide_up(problem->heads_kv, plan->kv_heads));
  assert_true(plan->kv_heads == 1 || (plan->direct && plan->stretch_k > 0));
  assert_true(plan->tile_heads >= 1 && plan->tile_heads <= problem->group * plan->kv_heads);
  assert_true(plan->tile_k >= 1 && plan->tile_k <= problem->len_k);
  assert_true(plan->score_stride >= plan->tile_k && plan->score_stride % (ATTN_CACHE_LINE / 4) == 0);
  assert_int_equal(plan->query_parts, attn__divide_up(problem->len_q, plan->tile_q));
  assert_int_equal(plan->head_parts, attn__divide_up(problem->group * plan->kv_heads, plan->tile_heads));
  assert_true(plan->tile_heads == 1 || plan->tile_q == problem->len_q);
  assert_true(plan->block_tiles >= 1 && plan->block_tiles <= ATTN__PLAN_BLOCK_TILES);
  assert_int_equal(plan->blocks, attn__divide_up(tiles, plan->block_tiles));
  assert_int_equal(plan->all_blocks, problem->batch * plan->kv_groups * plan->blocks);
  assert_in_range(plan->task_blocks, 1, plan->forward ? attn__min(plan->blocks, 8) : 1);
  assert_int_equal(plan->tasks, plan->part.count ? plan->all_blocks * plan->splits
                                                 : attn__divide_up(plan->all_blocks, plan->task_blocks));
  assert_true(plan->splits >= 1 && (plan->part.count == 0 || plan->splits > 1));
  if (plan->part.count > 0) assert_true(attn__plan_scratch(plan) <= (uint64_t)plan->strands << 20);
  assert_true(plan->splits == 1 || plan->split_k % plan->tile_k == 0);
  assert_true(plan->split_k >= attn__divide_up(problem->len_k, plan->splits));
  assert_true(plan->strands >= 1 && plan->strands <= threads && plan->strands <= plan->tasks);
}

/* What results depend on. */
static void assert_same_tiles(const attn__plan *a, const attn__plan *b) {
  assert_int_equal(a->tile_q, b->tile_q);
  assert_int_equal(a->tile_heads * b->kv_heads, b->tile_heads * a->kv_heads);
  assert_int_equal(a->tile_k, b->tile_k);
  assert_int_equal(a->edge_rows, b->edge_rows);
  assert_int_equal(a->part_rows, b->part_rows);
  assert_int_equal(a->direct, b->direct);
  assert_int_equal(a->split_k, b->split_k);
  assert_int_equal(a->stretch_k, b->stretch_k);
}

static void check_plan(const attn__problem *problem, const attn__engine *engine) {
  const attn__score_tile all = {.heads = 1, .queries = problem->len_q};
  const attn__key_range seen = attn__score_visible(problem, &all);
  const attn__plan one = attn__plan_make(problem, engine, 1);
  assert_int_equal(one.empty, seen.begin == seen.end);
  if (one.empty) {
    assert_int_equal(attn__plan_scratch(&one), 0);
    return;
  }
  const int64_t threads[] = {1, 2, 3, 8, 64, 1024};
  for (size_t n = 0; n < COUNT_OF(threads); n++) {
    const attn__plan plan = attn__plan_make(problem, engine, threads[n]);
    check_cover(&plan, problem, threads[n]);
    check_scratch(&plan, problem, engine);
    assert_same_tiles(&plan, &one);
  }
}

static void test_random_plans(void **state) {
  (void)state;
  const int64_t rounds = support_rounds(ROUNDS);
  for (int64_t round = 0; round < rounds; round++) {
    random_source source = random_seeded(support_seed() + (uint64_t)round);
    support_round_begins(round);
    const attn__problem problem = random_problem(&source);
    check_plan(&problem, random_engine(&source));
    support_round_ends();
  }
}

/* Neither batch nor heads change the tiles, so neither changes a row's bits; but whether heads lie side by side. */
static void test_tiles_depend_on_the_shape_of_a_head_group(void **state) {
  (void)state;
  const int64_t rounds = support_rounds(ROUNDS);
  for (int64_t round = 0; round < rounds; round++) {
    random_source source = random_seeded(support_seed() + (uint64_t)round);
    support_round_begins(round);
    attn__problem problem = random_problem(&source), alone = problem;
    alone.batch = alone.heads_kv = 1;
    alone.heads_q = alone.group;
    problem.key.strides.head = 0;
    const attn__engine *engine = random_engine(&source);
    const attn__plan a = attn__plan_make(&problem, engine, 8), b = attn__plan_make(&alone, engine, 3);
    assert_same_tiles(&a, &b);
    support_round_ends();
  }
}

/* One head group whose queries see all keys. */
static void test_empty_problems(void **state) {
  (void)state;
  const attn__problem full = plain_problem(2, 5, 5);
  attn__problem empty[5] = {full, full, full, full, full};
  empty[0].batch = 0;
  empty[1].heads_q = empty[1].heads_kv = 0;
  empty[2].len_q = 0;
  empty[3].len_k = 0;
  empty[4].causal = 1;
  empty[4].offset = -5;
  assert_int_equal(attn__plan_make(&full, &engines[0], 4).empty, 0);
  for (size_t n = 0; n < COUNT_OF(empty); n++) {
    const attn__plan plan = attn__plan_make(&empty[n], &engines[0], 4);
    assert_int_equal(plan.empty, 1);
    assert_int_equal(plan.tasks, 0);
    assert_int_equal(attn__plan_scratch(&plan), 0);
  }
}

/* The same under the causal rule, with as many keys as queries. */
static attn__problem causal_problem(int64_t group, int64_t len) {
  attn__problem problem = plain_problem(group, len, len);
  problem.causal = 1;
  return problem;
}

/* Where a window is small, so are tiles: rows see together what each of them does and as many keys more. In thirds that is so
 * of their parts. */
static void test_small_windows_have_small_tiles(void **state) {
  (void)state;
  attn__problem problem = causal_problem(1, 5000);
  problem.window_left = 100;
  for (size_t n = 0; n < COUNT_OF(engines); n++) {
    const attn__plan plan = attn__plan_make(&problem, &engines[n], 1);
    assert_true((plan.part_rows > 0 ? plan.part_rows : plan.tile_q) <= 32);
    attn__problem wide = problem;
    wide.window_left = 2000;
    assert_true(attn__plan_make(&wide, &engines[n], 1).tile_q > 32);
  }
}

/* Rows of tiles beside a window are whole panels where slabs leave over nothing or much. */
static void test_rows_beside_windows(void **state) {
  (void)state;
  attn__problem problem = causal_problem(1, 4800);
  const struct {
    int64_t left, engine, rows;
  } cases[] = {{31, 3, 12}, {32, 3, 32},  {256, 3, 32}, {512, 3, 64}, {4000, 3, 64},         {15, 2, 6},
               {16, 2, 16}, {256, 2, 16}, {600, 2, 48}, {256, 0, 24}, {INT64_MAX - 1, 3, 64}};
  for (size_t n = 0; n < COUNT_OF(cases); n++) {
    problem.window_left = cases[n].left;
    assert_int_equal(attn__plan_make(&problem, &engines[cases[n].engine], 1).tile_q, cases[n].rows);
  }
  problem.window_left = 4000; /* panels that no tile has two of */
  assert_int_equal(attn__plan_make(&problem, &(attn__engine){.panel = 48, .slab = 8}, 1).tile_q, 48);
  problem.window_left = ATTN__UNBOUNDED;
  assert_int_equal(attn__plan_make(&problem, &engines[3], 1).tile_q, 60);
}

/* Narrow heads have tiles of fewer rows, but for BLAS and in thirds. */
static void test_narrow_heads(void **state) {
  (void)state;
  const struct {
    int64_t dim, dim_v, engine, rows;
  } cases[] = {{8, 8, 1, 32},   {32, 32, 2, 30}, {15, 15, 3, 24},         {33, 32, 1, 64},
               {32, 33, 1, 64}, {15, 15, 0, 64}, {15, 15, IN_THIRDS, 32}, {32, 32, IN_THIRDS, 64}};
  for (size_t n = 0; n < COUNT_OF(cases); n++) {
    attn__problem problem = plain_problem(1, 960, 1000);
    problem.dim = cases[n].dim;
    problem.dim_v = cases[n].dim_v;
    assert_int_equal(attn__plan_make(&problem, &engines[cases[n].engine], 1).tile_q, cases[n].rows);
  }
}

/* Beside a window that ends at the position and is no longer than a tile of keys, blocks are of whole tiles of keys, tasks are
 * runs of blocks, and the first block of a head comes first; else each block is a task, the last one first. */
static void test_runs_beside_windows(void **state) {
  (void)state;
  attn__problem problem = causal_problem(1, 3072);
  problem.heads_q = problem.heads_kv = 6;
  const attn__plan plain = attn__plan_make(&problem, &engines[IN_THIRDS], 1);
  assert_true(!plain.forward && plain.task_blocks == 1 && plain.tasks == 6 * plain.blocks);
  assert_int_equal(attn__plan_block(&plain, plain.blocks), plain.blocks - 1);
  problem.window_left = 256;
  const attn__plan runs = attn__plan_make(&problem, &engines[IN_THIRDS], 1);
  assert_true(runs.forward && runs.blocks > 1 && runs.block_tiles * runs.tile_q % runs.tile_k == 0);
  assert_true(runs.task_blocks == 6 * runs.blocks / 8 && runs.task_blocks > 1 && runs.tasks >= 8);
  assert_true(attn__plan_group(&runs, runs.blocks) == 1 && attn__plan_block(&runs, runs.blocks) == 0);
  problem.heads_q = problem.heads_kv = 600; /* not over a head's end */
  assert_int_equal(attn__plan_make(&problem, &engines[IN_THIRDS], 1).task_blocks, runs.blocks);
  problem.len_q = problem.len_k = 50000;
  assert_int_equal(attn__plan_make(&problem, &engines[IN_THIRDS], 1).task_blocks, 8);
}

/* Where blocks do not begin with the last keys of others, they are tasks of their own. */
static void test_no_runs(void **state) {
  (void)state;
  const int64_t lengths[] = {3072};
  const float number = 0;
  attn__problem plain = causal_problem(1, 3072);
  plain.window_left = 256;
  attn__problem others[] = {plain, plain, plain, plain, plain, plain, plain, plain, plain};
  others[0].window_left = 257; /* longer than a tile */
  others[1].window_prefix = 1;
  others[2].centers.data = others[3].predict_matrix = &number;
  others[4].lengths_q = lengths;
  others[5].offset = 100;
  others[6].causal = others[7].causal = 0;
  others[7].window_right = 1;
  others[8].len_q = others[8].len_k = 256; /* one block */
  for (size_t n = 0; n < COUNT_OF(others); n++)
    assert_int_equal(attn__plan_make(&others[n], &engines[IN_THIRDS], 2).forward, 0);
  others[7].window_right = 0; /* like the causal rule */
  assert_true(attn__plan_make(&others[7], &engines[IN_THIRDS], 2).forward);
}

static int64_t edge_rows(attn__problem problem, const attn__engine *engine) {
  problem.heads_q = problem.group;
  problem.batch = problem.heads_kv = 1;
  problem.len_k = 100;
  problem.dim = problem.dim_v = 64;
  problem.causal = 1;
  problem.window_dilation = 1;
  problem.window_left = problem.window_right = ATTN__UNBOUNDED;
  return attn__plan_make(&problem, engine, 1).edge_rows;
}

/* Parts of twelve rows, in whole slabs, unless a tile has no more than two of them or has to be taken as a whole. */
static void test_parts_of_tiles(void **state) {
  (void)state;
  const attn__engine *blas = &engines[0], *own = &engines[2];
  float number = 0;
  const attn__problem plain = {.group = 1, .len_q = 45};
  const attn__output wanted = {.data = &number};
  assert_int_equal(edge_rows(plain, own), 12);
  assert_int_equal(edge_rows(plain, &engines[1]), 12);
  assert_int_equal(edge_rows(plain, &(attn__engine){.panel = 16, .slab = 7}), 14);
  assert_int_equal(edge_rows(plain, blas), ATTN__PLAN_TILE_ROWS);
  assert_int_equal(edge_rows((attn__problem){.group = 1, .len_q = 36}, own), 12);
  assert_int_equal(
      edge_rows((attn__problem){.group = 1, .len_q = 48}, &(attn__engine){.panel = 32, .slab = 8}), 16);
  attn__problem whole[] = {plain, plain, plain, plain, plain, plain};
  whole[0].len_q = 35;
  whole[1].group = 2;
  whole[1].len_q = 30; /* so that a tile has both heads */
  whole[2].weights = wanted;
  whole[3].scores = wanted;
  whole[4].centers.data = &number;
  whole[5].predict_matrix = &number;
  for (size_t n = 0; n < COUNT_OF(whole); n++)
    assert_int_equal(edge_rows(whole[n], own), ATTN__PLAN_TILE_ROWS);
}

/* In thirds, parts of 32 rows, which see fewer keys each unless something is wanted of every pair. Tiles of several heads
 * stay whole, and beside a window they are as large as others. */
static void test_parts_in_thirds(void **state) {
  (void)state;
  const attn__engine engine = engines[IN_THIRDS];
  float number = 0;
  attn__problem problem = causal_problem(4, 100);
  problem.window_left = 40;
  attn__plan plan = attn__plan_make(&problem, &engine, 1);
  assert_true(plan.thirds && plan.tile_q == 64 && plan.part_rows == 32 && plan.edge_rows == 32);
  problem.weights.data = &number;
  plan = attn__plan_make(&problem, &engine, 1);
  assert_true(plan.thirds && plan.part_rows == 32 && plan.edge_rows == ATTN__PLAN_TILE_ROWS);
  problem.weights.data = NULL;
  problem.len_q = 32;
  plan = attn__plan_make(&problem, &engine, 1);
  assert_true(plan.thirds && plan.tile_heads == 2 && plan.part_rows == 0);
  assert_int_equal(plan.edge_rows, ATTN__PLAN_TILE_ROWS);
}

/* Queries of one head are read where they stand, if none of them is padding; with gaps between their rows if they meet few
 * keys. So are values that are panels, where they serve few rows. */
static void test_what_stays_in_place(void **state) {
  (void)state;
  const int64_t lengths[] = {100, 200}; /* as starts too: a sequence of 100 */
  float number = 0;
  const attn__problem plain = {.batch = 1,
                               .heads_q = 2,
                               .heads_kv = 1,
                               .group = 2,
                               .len_q = 100,
                               .len_k = 100,
                               .dim = 40,
                               .dim_v = 64,
                               .query = {&number, {0, 4000, 40}},
                               .value = {&number, {0, 6400, 64}},
                               .window_left = ATTN__UNBOUNDED,
                               .window_right = ATTN__UNBOUNDED,
                               .window_dilation = 1};
  attn__problem copied[] = {plain, plain, plain, plain, plain, plain, plain, plain},
                packed[] = {plain, plain, plain};
  assert_true(attn__plan_make(&plain, &engines[3], 1).queries_in_place);
  attn__problem gaps = plain;
  gaps.query.strides.row = 41;
  gaps.len_k = 256;
  const attn__plan stays = attn__plan_make(&gaps, &engines[3], 1);
  assert_true(stays.queries_in_place && stays.query_stride == 41);
  copied[0] = gaps;
  copied[0].len_k = 257;
  copied[1].query.strides.row = -40;
  copied[2].lengths_q = lengths;
  copied[3].starts_q = lengths;
  copied[4].score_function = ATTN_SCORE_GENERAL;
  copied[5].score_function = ATTN_SCORE_ADDITIVE;
  copied[6].len_q = 20; /* so that a tile has both heads */
  copied[7].query.strides.row = (int64_t)INT32_MAX + 1;
  for (size_t n = 0; n < COUNT_OF(copied); n++) {
    const attn__plan plan = attn__plan_make(&copied[n], &engines[3], 1);
    assert_true(!plan.queries_in_place && plan.query_stride == 40);
  }
  attn__problem few = plain;
  few.heads_q = few.group = 1;
  few.len_q = 128;
  assert_true(attn__plan_make(&few, &engines[3], 1).values_in_place);
  assert_true(attn__plan_make(&few, &engines[2], 1).values_in_place);
  assert_false(attn__plan_make(&few, &engines[0], 1).values_in_place);
  for (size_t n = 0; n < COUNT_OF(packed); n++) packed[n] = few;
  packed[0].value.strides.row = 65; /* gaps, and more than 64 rows */
  packed[1].dim_v = packed[1].value.strides.row = 72;
  packed[2].len_q = 129;
  for (size_t n = 0; n < COUNT_OF(packed); n++)
    assert_false(attn__plan_make(&packed[n], &engines[3], 1).values_in_place);
  attn__problem far = packed[0]; /* more than eight MiB */
  far.len_k = 1 << 15;
  assert_true(attn__plan_make(&far, &engines[3], 1).values_in_place);
  far.len_q = 129;
  assert_false(attn__plan_make(&far, &engines[3], 1).values_in_place);
  packed[0].len_q = 64;
  assert_true(attn__plan_make(&packed[0], &engines[3], 1).values_in_place);
  assert_false(attn__plan_make(&packed[0], &engines[2], 1).values_in_place); /* narrow panels */
  packed[0].value.strides.row = 63;                                          /* rows that overlap */
  assert_false(attn__plan_make(&packed[0], &engines[3], 1).values_in_place);
  few.len_q = 8;
  few.value.strides.row = 65;
  assert_true(attn__plan_make(&few, &engines[3], 1).direct);
  assert_true(attn__plan_make(&few, &engines[3], 1).values_in_place);
  assert_false(attn__plan_make(&few, &engines[3], 1).queries_in_place);
}

/* Thirds are for many rows, more where widths are padded, of dot scores. */
static void test_thirds_pay(void **state) {
  (void)state;
  const attn__engine engine = engines[IN_THIRDS];
  const attn__problem least = {.batch = 1,
                               .heads_q = 1,
                               .heads_kv = 1,
                               .group = 1,
                               .len_q = 64,
                               .len_k = 50,
                               .dim = 64,
                               .dim_v = 64};
  attn__problem pays[] = {least, least, least, least},
                others[] = {least, least, least, least, least, least};
  pays[0].heads_q = pays[0].group = 8;
  pays[0].len_q = 8;
  pays[1].dim = 40; /* of 64 that are multiplied */
  pays[1].len_q = 102;
  pays[2].dim = 24;
  pays[2].len_q = 85;
  pays[3].dim_v = 512;
  others[0].len_q = 63;
  others[1].dim = 40;
  others[1].len_q = 101;
  others[2].dim = 23;
  others[2].len_q = 1000;
  others[3].dim_v = 513;
  others[4].dim = 513;
  others[5].score_function = ATTN_SCORE_GENERAL;
  assert_true(attn__plan_make(&least, &engine, 1).thirds);
  assert_false(attn__plan_make(&least, &engines[3], 1).thirds);
  for (size_t n = 0; n < COUNT_OF(pays); n++) assert_true(attn__plan_make(&pays[n], &engine, 1).thirds);
  for (size_t n = 0; n < COUNT_OF(others); n++)
    assert_false(attn__plan_make(&others[n], &engine, 1).thirds);
}

/* Of few queries what comes next is asked for only where the engine says so, and if it is very much; of many if it is
 * much; of a slab or some all along. */
static void test_asking_ahead(void **state) {
  (void)state;
  static const struct {
    int64_t heads, len_q, len_k;
    int32_t few_ahead, ahead, pace;
  } cases[] = {{1, 8, 50000, 0, 0, 0},  {1, 8, 50000, 1, 1, 0},  {1, 8, 40000, 1, 0, 0},
               {1, 9, 4000, 0, 1, 0},   {1, 9, 10, 0, 0, 0},     {64, 100, 10, 0, 1, 0},
               {1, 12, 20000, 1, 1, 4}, {1, 24, 20000, 1, 1, 2}, {2, 12, 20000, 1, 1, 2},
               {1, 12, 16000, 1, 1, 0}, {1, 11, 20000, 1, 1, 0}, {1, 64, 20000, 1, 1, 1},
               {1, 65, 20000, 1, 1, 0}, {1, 12, 20000, 0, 1, 0}};
  for (size_t n = 0; n < COUNT_OF(cases); n++) {
    attn__problem problem = plain_problem(cases[n].heads, cases[n].len_q, cases[n].len_k);
    attn__engine engine = engines[3];
    engine.few_ahead = cases[n].few_ahead;
    const attn__plan plan = attn__plan_make(&problem, &engine, 1);
    assert_int_equal(plan.ahead, cases[n].ahead);
    assert_int_equal(plan.ahead_pace, cases[n].pace);
  }
}

/* Threads that cannot pay are not woken: they do 2^20 operations each, where reading counts as much as four rows. */
static void test_small_problems_take_one_thread(void **state) {
  (void)state;
  /* queries, keys, threads; a query and a key of each of 12 heads are 12 x 256 operations */
  static const int64_t cases[][3] = {{16, 16, 1}, {1024, 1024, 8}, {19, 19, 1},
                                     {27, 27, 2}, {1, 170, 1},     {1, 171, 2}};
  attn__problem problem = {.batch = 1, .heads_q = 12, .heads_kv = 12, .group = 1, .dim = 64, .dim_v = 64};
  for (size_t n = 0; n < COUNT_OF(cases); n++) {
    problem.len_q = cases[n][0];
    problem.len_k = cases[n][1];
    assert_int_equal(attn__plan_make(&problem, &engines[3], 8).strands, cases[n][2]);
  }
}

/* What the header promises: a bounded scratch for any length. Large heads have small tiles. */
static void test_scratch_of_common_heads_is_small(void **state) {
  (void)state;
  const int64_t lengths[] = {1, 63, 64, 65, 1000, 8192, (int64_t)1 << 40};
  for (int64_t dim = 1; dim <= 2048; dim += dim < 128 ? 1 : 64)
    for (size_t q = 0; q < COUNT_OF(lengths); q++)
      for (size_t k = 0; k < COUNT_OF(lengths); k++)
        for (int64_t group = 1; group <= 64; group *= 8) {
          attn__problem problem = {.batch = 3,
                                   .heads_q = group,
                                   .heads_kv = 1,
                                   .group = group,
                                   .len_q = lengths[q],
                                   .len_k = lengths[k],
                                   .dim = dim,
                                   .dim_v = dim,
                                   .window_left = ATTN__UNBOUNDED,
                                   .window_right = ATTN__UNBOUNDED};
          const int64_t others[] = {dim, 1, 2048};
          for (size_t n = 0; n < 2 * COUNT_OF(others) * COUNT_OF(engines); n++) {
            problem.dim_v = others[n / 2 / COUNT_OF(engines)];
            problem.heads_kv = n % 2 ? 1 : 64;
            problem.heads_q = group * problem.heads_kv;
            problem.key.strides = (attn__strides){0, dim, 64 * dim};
            problem.value.strides = (attn__strides){0, problem.dim_v, 64 * problem.dim_v};
            problem.score_function = ATTN_SCORE_DOT;
            assert_true(attn__plan_make(&problem, &engines[n / 2 % COUNT_OF(engines)], 8).scratch.bytes <=
                        1 << 20);
            if (attn__max(dim, problem.dim_v) > 1024) continue;
            problem.score_function = ATTN_SCORE_GENERAL;
            assert_true(attn__plan_make(&problem, &engines[n / 2 % COUNT_OF(engines)], 8).scratch.bytes <=
                        1 << 20);
          }
        }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(test_random_plans, support_print_seed),
      cmocka_unit_test_teardown(test_tiles_depend_on_the_shape_of_a_head_group, support_print_seed),
      cmocka_unit_test(test_empty_problems),
      cmocka_unit_test(test_small_windows_have_small_tiles),
      cmocka_unit_test(test_rows_beside_windows),
      cmocka_unit_test(test_narrow_heads),
      cmocka_unit_test(test_runs_beside_windows),
      cmocka_unit_test(test_no_runs),
      cmocka_unit_test(test_parts_of_tiles),
      cmocka_unit_test(test_what_stays_in_place),
      cmocka_unit_test(test_thirds_pay),
      cmocka_unit_test(test_parts_in_thirds),
      cmocka_unit_test(test_asking_ahead),
      cmocka_unit_test(test_small_problems_take_one_thread),
      cmocka_unit_test(test_scratch_of_common_heads_is_small),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
