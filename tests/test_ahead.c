/* test_ahead.c - what is asked for while products are made: the right rows, and never one outside of an array.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "ahead.h"

#include "base.h"
#include "kernels/ask.h"
#include "support.h"

enum { BATCH = 2, HEADS = 3, LEN = 600, DIM = 64, DIM_V = 32, TRIES = 1000 };

static const attn__engine engine = {.panel = 32, .slab = 12, .few = 8};
static float queries[BATCH * HEADS * LEN * DIM], keys[BATCH * HEADS * LEN * DIM],
    values[BATCH * HEADS * LEN * DIM_V], outputs[BATCH * HEADS * LEN * DIM_V];

/* A problem of dense arrays. */
static attn__problem problem_of(int64_t len_q, int64_t len_k) {
  return (attn__problem){.batch = BATCH,
                         .heads_q = HEADS,
                         .heads_kv = HEADS,
                         .group = 1,
                         .len_q = len_q,
                         .len_k = len_k,
                         .dim = DIM,
                         .dim_v = DIM_V,
                         .query = {queries, {HEADS * len_q * DIM, len_q * DIM, DIM}},
                         .key = {keys, {HEADS * len_k * DIM, len_k * DIM, DIM}},
                         .value = {values, {HEADS * len_k * DIM_V, len_k * DIM_V, DIM_V}},
                         .output = {outputs, {HEADS * len_q * DIM_V, len_q * DIM_V, DIM_V}},
                         .window_left = ATTN__UNBOUNDED,
                         .window_right = ATTN__UNBOUNDED,
                         .window_dilation = 1};
}

static attn__plan plan_of(const attn__problem *problem) {
  attn__plan plan = attn__plan_make(problem, &engine, 1);
  plan.ahead = 1;
  return plan;
}

static void assert_rows(const attn__rows *rows, const attn__input *input, const attn__kv_tile *tile,
                        int64_t width) {
  assert_ptr_equal(rows->data, attn__input_row(input, tile->b, tile->h, tile->first));
  assert_int_equal(rows->stride, input->strides.row);
  assert_int_equal(rows->count, tile->count);
  assert_int_equal(rows->width, width);
}

static void test_next_tile(void **state) {
  (void)state;
  const attn__problem problem = problem_of(LEN, LEN);
  const attn__plan plan = plan_of(&problem);
  attn__ahead ahead;
  for (int64_t first = 0; first + plan.tile_k < LEN; first += plan.tile_k) {
    const attn__kv_tile tile = {1, 2, first, plan.tile_k, 0},
                        next = {1, 2, first + plan.tile_k,
                                attn__min(plan.tile_k, LEN - first - plan.tile_k), 0};
    attn__ahead_look(&ahead, &problem, &plan, &tile, LEN, 0);
    assert_int_equal(ahead.count, 2);
    assert_int_equal(ahead.piece, 0);
    assert_int_equal(ahead.row, 0);
    assert_rows(&ahead.pieces[0], &problem.key, &next, DIM);
    assert_rows(&ahead.pieces[1], &problem.value, &next, DIM_V);
  }
}

static void test_next_block(void **state) {
  (void)state;
  const attn__problem problem = problem_of(100, LEN);
  const attn__plan plan = plan_of(&problem);
  const attn__kv_tile tile = {0, 0, 0, LEN, 0}, next_queries = {1, 1, 0, 100, 0},
                      next = {1, 1, 0, plan.tile_k, 0};
  attn__ahead ahead;
  assert_int_equal(plan.tasks, BATCH * HEADS);
  attn__ahead_look(&ahead, &problem, &plan, &tile, LEN, HEADS + 1);
  assert_int_equal(ahead.count, 3);
  assert_rows(&ahead.pieces[0], &problem.query, &next_queries, DIM);
  assert_rows(&ahead.pieces[1], &problem.key, &next, DIM);
  assert_rows(&ahead.pieces[2], &problem.value, &next, DIM_V);
}

/* Blocks of the same head, the last one first: each with its own queries, and the first keys that its window has. */
static void test_blocks_of_a_head(void **state) {
  (void)state;
  attn__problem problem = problem_of(LEN, LEN);
  problem.causal = problem.has_window = 1;
  problem.window_left = 50;
  attn__plan plan = attn__plan_make(&problem, &engine, 8);
  plan.ahead = 1;
  assert_true(plan.blocks > 2);
  for (int64_t block = 0; block < plan.blocks; block++) {
    const int64_t rows = plan.block_tiles * plan.tile_q, first = block * rows;
    const int64_t queries_of_it = attn__min(rows, LEN - first), begin = attn__max(first - 50, 0);
    const attn__kv_tile tile = {0, 0, 0, LEN, 0}, next_queries = {1, 2, first, queries_of_it, 0};
    const attn__kv_tile next = {1, 2, begin, attn__min(plan.tile_k, first + queries_of_it - begin), 0};
    attn__ahead ahead;
    attn__ahead_look(&ahead, &problem, &plan, &tile, LEN, 5 * plan.blocks + plan.blocks - 1 - block);
    assert_int_equal(ahead.count, 3);
    assert_rows(&ahead.pieces[0], &problem.query, &next_queries, DIM);
    assert_rows(&ahead.pieces[1], &problem.key, &next, DIM);
    assert_rows(&ahead.pieces[2], &problem.value, &next, DIM_V);
  }
}

/* Of the keys that the next block sees first, those of the tile at hand are there: what comes after them is asked for. */
static void test_keys_at_hand(void **state) {
  (void)state;
  attn__problem problem = problem_of(LEN, LEN);
  problem.causal = 1;
  problem.window_left = 50;
  attn__plan plan = attn__plan_make(&problem, &engine, 8);
  plan.ahead = plan.forward = 1;
  const int64_t rows = plan.block_tiles * plan.tile_q, begin = rows - 50, end = 2 * rows;
  assert_true(end < LEN);
  const attn__kv_tile tiles[] = {{0, 0, begin - 10, 30, 0}, {0, 0, begin, 30, 0}, {0, 0, begin - 30, 30, 0},
                                 {0, 0, begin + 1, 30, 0},  {1, 0, begin, 30, 0}, {0, 1, begin, 30, 0}};
  const int64_t firsts[] = {begin + 20, begin + 30, begin, begin, begin, begin};
  for (size_t n = 0; n < COUNT_OF(tiles); n++) {
    const attn__kv_tile next = {0, 0, firsts[n], attn__min(plan.tile_k, end - firsts[n]), 0};
    attn__ahead ahead;
    attn__ahead_look(&ahead, &problem, &plan, &tiles[n], tiles[n].first + tiles[n].count, 1);
    assert_int_equal(ahead.count, 3);
    assert_rows(&ahead.pieces[1], &problem.key, &next, DIM);
    assert_rows(&ahead.pieces[2], &problem.value, &next, DIM_V);
  }
  const attn__kv_tile all = {0, 0, begin, end - begin, 0};
  attn__ahead ahead;
  attn__ahead_look(&ahead, &problem, &plan, &all, end, 1);
  assert_int_equal(ahead.count, 1); /* the queries */
}

/* Heads that share their keys: a block has a few of the queries of each, and those of the first are asked for. */
static void test_blocks_of_a_group(void **state) {
  (void)state;
  attn__problem problem = problem_of(LEN, LEN);
  problem.heads_kv = 1;
  problem.group = HEADS;
  problem.key.strides.batch = LEN * DIM;
  problem.value.strides.batch = LEN * DIM_V;
  attn__plan plan = attn__plan_make(&problem, &engine, 8);
  plan.ahead = 1;
  const attn__kv_tile tile = {0, 0, 0, LEN, 0}, next = {1, 0, 0, plan.tile_k, 0};
  assert_true(plan.blocks > 1);
  assert_int_equal(plan.head_parts, HEADS);
  for (int64_t block = 0; block < plan.blocks; block++) {
    const int64_t first = block * plan.block_tiles / HEADS * plan.tile_q;
    const int64_t rows = attn__divide_up(plan.block_tiles, HEADS) * plan.tile_q;
    const attn__kv_tile next_queries = {1, 0, first, attn__min(rows, LEN - first), 0};
    attn__ahead ahead;
    attn__ahead_look(&ahead, &problem, &plan, &tile, LEN, plan.blocks + plan.blocks - 1 - block);
    assert_int_equal(ahead.count, 3);
    assert_rows(&ahead.pieces[0], &problem.query, &next_queries, DIM);
    assert_rows(&ahead.pieces[1], &problem.key, &next, DIM);
    assert_rows(&ahead.pieces[2], &problem.value, &next, DIM_V);
  }
}

/* Packed sequences: rows are counted from the beginning of the entry's. */
static void test_packed_sequences(void **state) {
  (void)state;
  attn__problem problem = problem_of(100, 300);
  const int64_t starts_q[] = {0, 40, 100}, starts_k[] = {0, 100, 300};
  problem.starts_q = starts_q;
  problem.starts_k = starts_k;
  const attn__plan plan = plan_of(&problem);
  const attn__kv_tile tile = {0, 0, 0, 100, 0}, next_queries = {0, 0, 40, 60, 0},
                      next = {0, 0, 100, plan.tile_k, 0};
  attn__ahead ahead;
  assert_int_equal(plan.tasks, BATCH * HEADS);
  attn__ahead_look(&ahead, &problem, &plan, &tile, 100, HEADS);
  assert_int_equal(ahead.count, 3);
  assert_rows(&ahead.pieces[0], &problem.query, &next_queries, DIM);
  assert_rows(&ahead.pieces[1], &problem.key, &next, DIM);
  assert_rows(&ahead.pieces[2], &problem.value, &next, DIM_V);
}

/* Each row of each piece, once. */
static void test_rows_in_order(void **state) {
  (void)state;
  attn__ahead ahead = {.count = 2, .pieces = {{keys, 70, 3, 60}, {values + 5, -5, 2, 4}}};
  const float *expected[] = {keys, keys + 70, keys + 140, values + 5, values};
  const int64_t pieces[] = {0, 0, 0, 1, 1};
  for (size_t n = 0; n < COUNT_OF(expected); n++) {
    const attn__rows *piece = NULL;
    assert_ptr_equal(ask_next_row(&ahead, &piece), expected[n]);
    assert_ptr_equal(piece, &ahead.pieces[pieces[n]]);
  }
  const attn__rows *piece;
  assert_null(ask_next_row(&ahead, &piece));
}

/* The first row of a page asks for the page after it; where no two rows share one, each row for the next. */
static void test_pages(void **state) {
  (void)state;
  const float *page = (const float *)(uintptr_t)(ASK_PAGE * sizeof(float) * 1000);
  for (int64_t row = -8; row < 8; row++) {
    assert_int_equal(ask_page_beyond(page + row * 128, 128), row % 8 == 0 ? ASK_PAGE : 0);
    assert_int_equal(ask_page_beyond(page + 60 + row * 128, 128), row % 8 == 0 ? ASK_PAGE : 0);
    assert_int_equal(ask_page_beyond(page + 64 + row * ASK_PAGE, ASK_PAGE), ASK_PAGE);
    assert_int_equal(ask_page_beyond(page + 64 + row * 4100, 4100), 4100);
  }
  assert_int_equal(ask_page_beyond(page, -128), 0);
  assert_int_equal(ask_page_beyond(page, 0), 0);
}

/* Lines are counted, the last of a row too; a row is never asked for in part. */
static void test_how_much_is_asked_for(void **state) {
  (void)state;
  attn__ahead ahead = {.count = 1, .pieces = {{keys, DIM, 9, 48}}};
  ask_near(&ahead, 0);
  assert_int_equal(ahead.row, 0);
  ask_near(&ahead, 3);
  assert_int_equal(ahead.row, 1);
  ask_near(&ahead, 4);
  assert_int_equal(ahead.row, 3);
  ask_far(&ahead, 0);
  assert_int_equal(ahead.row, 3);
  ask_far(&ahead, 2);
  assert_int_equal(ahead.row, 5);
  ask_far(&ahead, 100);
  assert_int_equal(ahead.piece, 1);
}

/* Few queries: the values of a tile are read after its keys, and of what follows the queries are not worth it. */
static void test_few_queries(void **state) {
  (void)state;
  const attn__problem problem = problem_of(1, LEN);
  const attn__plan plan = plan_of(&problem);
  const attn__kv_tile first = {0, 1, 0, plan.tile_k, 0};
  const attn__kv_tile next = {0, 1, plan.tile_k, attn__min(plan.tile_k, LEN - plan.tile_k), 0};
  const attn__kv_tile last = {0, 1, LEN - 10, 10, 0}, other = {1, 0, 0, plan.tile_k, 0};
  attn__ahead ahead;
  assert_true(plan.direct);
  attn__ahead_look(&ahead, &problem, &plan, &first, LEN, HEADS);
  assert_int_equal(ahead.count, 3);
  assert_rows(&ahead.pieces[0], &problem.value, &first, DIM_V);
  assert_rows(&ahead.pieces[1], &problem.key, &next, DIM);
  assert_rows(&ahead.pieces[2], &problem.value, &next, DIM_V);
  attn__ahead_look(&ahead, &problem, &plan, &last, LEN, HEADS);
  assert_int_equal(ahead.count, 3);
  assert_rows(&ahead.pieces[0], &problem.value, &last, DIM_V);
  assert_rows(&ahead.pieces[1], &problem.key, &other, DIM);
  assert_rows(&ahead.pieces[2], &problem.value, &other, DIM_V);
}

/* Of heads side by side, whole rows: keys but for the stretch that is met first, values, and the first stretch of what comes
 * next, of the heads that there are. */
static void test_heads_side_by_side(void **state) {
  (void)state;
  attn__problem problem = problem_of(1, LEN);
  problem.key.strides = (attn__strides){HEADS * LEN * DIM, DIM, HEADS * DIM};
  problem.value.strides = (attn__strides){HEADS * LEN * DIM_V, DIM_V, HEADS * DIM_V};
  attn__plan plan = plan_of(&problem);
  assert_int_equal(plan.kv_heads, HEADS);
  const int64_t stretch = plan.stretch_k;
  const attn__kv_tile first = {0, 0, 0, plan.tile_k, HEADS - 1}, last = {0, 0, LEN - 10, 10, HEADS - 1};
  const attn__kv_tile rest = {0, 0, stretch, plan.tile_k - stretch, 0},
                      next = {0, 0, plan.tile_k, stretch, 0};
  const attn__kv_tile other = {1, 0, 0, stretch, 0}, third = {0, 2, 0, stretch, 0};
  attn__ahead ahead;
  attn__ahead_look(&ahead, &problem, &plan, &first, LEN, 1);
  assert_int_equal(ahead.count, 3);
  assert_rows(&ahead.pieces[0], &problem.key, &rest, HEADS * DIM);
  assert_rows(&ahead.pieces[1], &problem.value, &first, HEADS * DIM_V);
  assert_rows(&ahead.pieces[2], &problem.key, &next, HEADS * DIM);
  attn__ahead_look(&ahead, &problem, &plan, &last, LEN, 1);
  assert_int_equal(ahead.count, 2);
  assert_rows(&ahead.pieces[0], &problem.value, &last, HEADS * DIM_V);
  assert_rows(&ahead.pieces[1], &problem.key, &other, HEADS * DIM);
  plan.kv_heads = plan.kv_groups = 2; /* two heads, then one */
  attn__ahead_look(&ahead, &problem, &plan, &last, LEN, 1);
  assert_int_equal(ahead.count, 2);
  assert_rows(&ahead.pieces[1], &problem.key, &third, DIM);
}

/* Tiles of queries of head 2 of a batch entry, 40 of them each. */
static void set_tiles(attn__tile *tiles, int64_t count, const attn__problem *problem, int64_t b) {
  for (int64_t t = 0; t < count; t++)
    tiles[t] = (attn__tile){.sequence = attn__sequence_of(problem, b),
                            .b = b,
                            .first_head = 2,
                            .heads = 1,
                            .first_query = 40 * t,
                            .queries = 40};
}

static void test_outputs(void **state) {
  (void)state;
  attn__problem problem = problem_of(120, LEN);
  const int64_t lengths[BATCH] = {0, 60}, starts[BATCH + 1] = {0, 50, 120};
  attn__tile tiles[3];
  attn__ahead ahead = {.count = 1};
  set_tiles(tiles, 3, &problem, 1);
  attn__ahead_add_outputs(&ahead, &problem, tiles, 3);
  assert_int_equal(ahead.count, 4);
  for (int64_t t = 0; t < 3; t++) {
    const attn__rows *rows = &ahead.pieces[1 + t];
    assert_ptr_equal(rows->data, attn__output_row(&problem.output, 1, 2, 40 * t));
    assert_int_equal(rows->stride, DIM_V);
    assert_int_equal(rows->count, 40);
    assert_int_equal(rows->width, DIM_V);
  }
  problem.lengths_q = lengths; /* what is padding is not asked for */
  set_tiles(tiles, 3, &problem, 1);
  ahead.count = 0;
  attn__ahead_add_outputs(&ahead, &problem, tiles, 3);
  assert_int_equal(ahead.count, 2);
  assert_int_equal(ahead.pieces[1].count, 20);
  problem.lengths_q = NULL;
  problem.starts_q = starts; /* a packed sequence begins where it begins */
  set_tiles(tiles, 2, &problem, 1);
  ahead.count = 0;
  attn__ahead_add_outputs(&ahead, &problem, tiles, 2);
  assert_int_equal(ahead.count, 2);
  assert_ptr_equal(ahead.pieces[1].data, attn__output_row(&problem.output, 0, 2, 50 + 40));
  assert_int_equal(ahead.pieces[1].count, 30);
}

/* A part begins where its split does. */
static void test_parts(void **state) {
  (void)state;
  const attn__problem problem = problem_of(100, LEN);
  attn__plan plan = plan_of(&problem);
  const attn__kv_tile tile = {0, 0, 0, 100, 0}, next = {0, 2, 200, 100, 0};
  attn__ahead ahead;
  plan.splits = 3;
  plan.split_k = 200;
  plan.tile_k = 100;
  attn__ahead_look(&ahead, &problem, &plan, &tile, 100, 2 * plan.blocks * 3 + 1);
  assert_int_equal(ahead.count, 3);
  assert_rows(&ahead.pieces[1], &problem.key, &next, DIM);
  assert_rows(&ahead.pieces[2], &problem.value, &next, DIM_V);
}

static int64_t pieces_at_end(const attn__problem *problem, const attn__plan *plan, int64_t next) {
  const attn__kv_tile tile = {0, 0, 0, LEN, 0};
  attn__ahead ahead;
  attn__ahead_look(&ahead, problem, plan, &tile, LEN, next);
  return ahead.count;
}

static void test_nothing_to_ask_for(void **state) {
  (void)state;
  const attn__problem problem = problem_of(100, LEN);
  const attn__plan plan = plan_of(&problem);
  attn__plan small = plan;
  attn__problem centered = problem, short_of_queries = problem, short_of_keys = problem;
  const int64_t lengths[BATCH] = {LEN, 0};
  small.ahead = 0;
  centered.centers.data = queries;
  short_of_queries.lengths_q = short_of_keys.lengths_k = lengths;
  assert_int_equal(pieces_at_end(&problem, &plan, plan.all_blocks - 1), 3);
  assert_int_equal(pieces_at_end(&problem, &plan, plan.all_blocks), 0);
  assert_int_equal(pieces_at_end(&problem, &small, 1), 0);
  assert_int_equal(pieces_at_end(&centered, &plan, 1), 0);
  assert_int_equal(pieces_at_end(&short_of_queries, &plan, HEADS), 0);
  assert_int_equal(pieces_at_end(&short_of_keys, &plan, HEADS), 1); /* the queries, which see nothing */
}

/* Small inputs are in a cache. */
static void test_when(void **state) {
  (void)state;
  const attn__problem small = problem_of(100, 100), large = problem_of(LEN, LEN);
  assert_false(attn__plan_make(&small, &engine, 1).ahead);
  assert_true(attn__plan_make(&large, &engine, 1).ahead);
}

/* With one thread what is small is in a cache; few rows are multiplied where they stand; tiles of several heads have few
 * rows of each. */
static void test_when_outputs(void **state) {
  (void)state;
  const attn__problem small = problem_of(100, 100), large = problem_of(LEN, LEN), one = problem_of(1, LEN);
  attn__problem few_of_each = problem_of(4, LEN);
  few_of_each.heads_kv = 1;
  few_of_each.group = HEADS;
  assert_true(attn__plan_make(&large, &engine, 1).ahead_outputs);
  assert_false(attn__plan_make(&small, &engine, 1).ahead_outputs);
  assert_true(attn__plan_make(&small, &engine, 2).ahead_outputs);
  assert_true(attn__plan_make(&one, &engine, 2).direct);
  assert_false(attn__plan_make(&one, &engine, 2).ahead_outputs);
  assert_true(attn__plan_make(&few_of_each, &engine, 2).tile_heads > 1);
  assert_false(attn__plan_make(&few_of_each, &engine, 2).ahead_outputs);
}

static void assert_inside(const attn__rows *rows, const float *array, int64_t length) {
  assert_true(rows->count > 0);
  assert_true(rows->data >= array);
  assert_true(rows->data + (rows->count - 1) * rows->stride + rows->width <= array + length);
}

/* Windows, causal rules, groups of heads and lengths of every kind. */
static void test_rows_are_inside(void **state) {
  (void)state;
  random_source source = random_seeded(support_seed());
  for (int n = 0; n < TRIES; n++) {
    const int64_t len_q = random_between(&source, 1, LEN), len_k = random_between(&source, 1, LEN);
    attn__problem problem = problem_of(len_q, len_k);
    const int64_t lengths_k[BATCH] = {random_between(&source, 0, len_k), random_between(&source, 0, len_k)};
    const int64_t lengths_q[BATCH] = {random_between(&source, 0, len_q), random_between(&source, 0, len_q)};
    if (random_once_in(&source, 2)) problem.lengths_k = lengths_k;
    if (random_once_in(&source, 2)) problem.lengths_q = lengths_q;
    problem.causal = random_once_in(&source, 2);
    if (random_once_in(&source, 2)) problem.window_left = random_between(&source, 0, LEN);
    problem.offset = random_between(&source, -LEN, LEN);
    if (random_once_in(&source, 2)) { /* all heads share the first one's keys */
      problem.heads_kv = 1;
      problem.group = HEADS;
    }
    const attn__plan plan = plan_of(&problem);
    if (plan.empty) continue;
    const int64_t first = random_between(&source, 0, len_k - 1);
    const attn__kv_tile tile = {0, 0, first,
                                random_between(&source, 1, attn__min(plan.tile_k, len_k - first)), 0};
    attn__ahead ahead;
    attn__ahead_look(&ahead, &problem, &plan, &tile, random_between(&source, first + tile.count, len_k),
                     random_between(&source, 0, plan.all_blocks));
    assert_true(ahead.count <= ATTN__AHEAD_PIECES);
    for (int64_t p = 0; p < ahead.count; p++) {
      const float *data = ahead.pieces[p].data;
      if (data >= queries && data < queries + COUNT_OF(queries))
        assert_inside(&ahead.pieces[p], queries, COUNT_OF(queries));
      else if (ahead.pieces[p].width == DIM)
        assert_inside(&ahead.pieces[p], keys, COUNT_OF(keys));
      else
        assert_inside(&ahead.pieces[p], values, COUNT_OF(values));
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_next_tile),
      cmocka_unit_test(test_next_block),
      cmocka_unit_test(test_blocks_of_a_head),
      cmocka_unit_test(test_keys_at_hand),
      cmocka_unit_test(test_blocks_of_a_group),
      cmocka_unit_test(test_packed_sequences),
      cmocka_unit_test(test_rows_in_order),
      cmocka_unit_test(test_pages),
      cmocka_unit_test(test_how_much_is_asked_for),
      cmocka_unit_test(test_few_queries),
      cmocka_unit_test(test_heads_side_by_side),
      cmocka_unit_test(test_outputs),
      cmocka_unit_test(test_parts),
      cmocka_unit_test(test_nothing_to_ask_for),
      cmocka_unit_test(test_when),
      cmocka_unit_test(test_when_outputs),
      cmocka_unit_test(test_rows_are_inside),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
