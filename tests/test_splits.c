/* test_splits.c - where plans split the keys, which parts are tasks, and which key heads share a tile.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"
#include "plan_case.h"

static int64_t splits_of(const attn__problem *problem, size_t engine) {
  return attn__plan_make(problem, &engines[engine], 2).splits;
}

/* Few rows sum more than 1024 keys in splits, of about the same length. */
static void test_splits_of_few_rows(void **state) {
  (void)state;
  const attn__problem short_keys = plain_problem(4, 16, 1024), few = plain_problem(4, 16, 1100);
  const attn__problem more = plain_problem(5, 13, 1100);
  for (size_t n = 0; n < COUNT_OF(engines); n++) {
    assert_int_equal(splits_of(&short_keys, n), 1);
    assert_true(splits_of(&few, n) == 2 && attn__plan_make(&few, &engines[n], 2).split_k < 700);
    assert_int_equal(splits_of(&more, n), 1);
  }
}

/* Other rows sum more than 8192 keys in splits. */
static void test_splits(void **state) {
  (void)state;
  const attn__problem most = plain_problem(1, 500, 8192), more = plain_problem(1, 500, 8193);
  const attn__problem many = plain_problem(1, 500, (int64_t)1 << 24);
  for (size_t n = 0; n < COUNT_OF(engines); n++) {
    assert_int_equal(splits_of(&most, n), 1);
    assert_int_equal(splits_of(&more, n), 2);
    assert_int_equal(splits_of(&many, n), 32);
  }
}

/* Where blocks are few, splits are tasks, if there is room for their states. */
static void test_parts_of_blocks(void **state) {
  (void)state;
  for (size_t n = 0; n < COUNT_OF(engines); n++) {
    attn__problem problem = plain_problem(1, 500, 8193);
    assert_int_equal(attn__plan_make(&problem, &engines[n], 1).part.count, 0);
    assert_int_equal(attn__plan_make(&problem, &engines[n], 2).part.count, 0); /* 8 or 9 blocks */
    const attn__plan plan = attn__plan_make(&problem, &engines[n], 5);
    assert_int_equal(plan.part.count, 2 * plan.all_blocks);
    problem.len_k *= 32;
    problem.dim_v = 512;
    assert_int_equal(attn__plan_make(&problem, &engines[n], 5).part.count, 0);
  }
}

/* Keys that a window hides need none. */
static void test_splits_and_windows(void **state) {
  (void)state;
  for (size_t n = 0; n < COUNT_OF(engines); n++) {
    attn__problem problem = plain_problem(1, 500, 100000);
    problem.window_left = 8191;
    assert_true(splits_of(&problem, n) > 1);
    problem.causal = 1; /* nothing to the right */
    assert_int_equal(splits_of(&problem, n), 1);
    problem.window_prefix = 1;
    assert_true(splits_of(&problem, n) > 1);
    problem.window_left = problem.window_prefix = INT64_MAX - 1;
    assert_true(splits_of(&problem, n) > 1);
    problem.window_left = problem.window_prefix = 0;
    problem.window_right = 8192;
    assert_int_equal(splits_of(&problem, n), 1);
    problem.predict_matrix = &problem.sigma; /* around middles that are not positions */
    problem.predict_dim = 1;
    assert_true(splits_of(&problem, n) > 1);
  }
}

/* Eight key heads of four queries, whose rows lie side by side. */
static attn__problem side_by_side(int64_t batch, int64_t len_k) {
  attn__problem problem = plain_problem(4, 1, len_k);
  problem.batch = batch;
  problem.heads_kv = 8;
  problem.heads_q = 32;
  problem.key.strides = problem.value.strides = (attn__strides){len_k * 8 * 64, 64, 8 * 64};
  return problem;
}

static int64_t kv_heads_of(const attn__problem *problem, size_t engine, int64_t threads) {
  const attn__plan plan = attn__plan_make(problem, &engines[engine], threads);
  assert_int_equal(plan.kv_groups, attn__divide_up(problem->heads_kv, plan.kv_heads));
  assert_true(plan.kv_heads == 1 || plan.tile_heads == problem->group * plan.kv_heads);
  assert_true(plan.kv_heads == 1 || plan.stretch_k > 0);
  return plan.kv_heads;
}

/* Few rows of all key heads are a tile, of 32 rows at most, and of fewer heads where threads would have nothing to do. */
static void test_heads_side_by_side(void **state) {
  (void)state;
  attn__problem problem = side_by_side(3, 5000);
  assert_int_equal(kv_heads_of(&problem, FEW, 1), 8);
  assert_int_equal(kv_heads_of(&problem, FEW, 15), 8);
  assert_int_equal(kv_heads_of(&problem, FEW, 30), 4);
  assert_int_equal(kv_heads_of(&problem, FEW, 1000), 1);
  assert_true(attn__plan_make(&problem, &engines[FEW], 1000).stretch_k > 0); /* the bits follow it */
  const attn__plan plan = attn__plan_make(&problem, &engines[FEW], 15);
  assert_true(plan.splits == 5 && plan.all_blocks == 3 && plan.part.count == 15 && plan.tasks == 15);
  problem.len_q = 2;
  assert_int_equal(kv_heads_of(&problem, FEW, 1), 4);
  problem = side_by_side(1, 1000);
  assert_int_equal(kv_heads_of(&problem, FEW, 2), 4);
  problem.heads_kv = 9;
  problem.heads_q = 36;
  assert_int_equal(kv_heads_of(&problem, FEW, 1), 5); /* and 4, not 8 and 1 */
  problem = side_by_side(1, 5000);
  problem.dim = problem.dim_v = 1024; /* of wide heads fewer rows are a tile */
  problem.key.strides = problem.value.strides = (attn__strides){0, 1024, 8 * 1024};
  assert_int_equal(kv_heads_of(&problem, FEW, 1), 4);
  problem = side_by_side(1, 3000); /* three parts are not for two threads */
  assert_int_equal(kv_heads_of(&problem, FEW, 2), 4);
  problem = side_by_side(1, 32768); /* states of parts that do not fit */
  problem.dim = problem.dim_v = 256;
  problem.key.strides = problem.value.strides = (attn__strides){0, 256, 8 * 256};
  assert_int_equal(kv_heads_of(&problem, FEW, 2), 4);
  assert_int_equal(attn__plan_make(&problem, &engines[FEW], 2).strands, 2);
}

/* Head by head: heads apart, one head, more rows, middles of each head. */
static void test_heads_that_are_not(void **state) {
  (void)state;
  attn__problem problem = side_by_side(1, 5000);
  assert_int_equal(kv_heads_of(&problem, 0, 1), 1);
  problem.value.strides = (attn__strides){8 * 5000 * 64, 5000 * 64, 64};
  assert_int_equal(kv_heads_of(&problem, FEW, 1), 1);
  assert_int_equal(attn__plan_make(&problem, &engines[FEW], 1).stretch_k, 0);
  problem.key.strides = problem.value.strides = (attn__strides){0, 0, 64}; /* all heads the same */
  assert_int_equal(kv_heads_of(&problem, FEW, 1), 1);
  problem = side_by_side(1, 5000);
  problem.heads_kv = 1;
  assert_int_equal(kv_heads_of(&problem, FEW, 1), 1);
  problem = side_by_side(1, 5000);
  problem.len_q = 3;
  assert_int_equal(kv_heads_of(&problem, FEW, 1), 1);
  problem = side_by_side(1, 5000);
  problem.predict_matrix = &problem.sigma;
  problem.predict_dim = 1;
  assert_int_equal(attn__plan_make(&problem, &engines[FEW], 1).stretch_k, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_splits_of_few_rows), cmocka_unit_test(test_splits),
      cmocka_unit_test(test_parts_of_blocks),    cmocka_unit_test(test_splits_and_windows),
      cmocka_unit_test(test_heads_side_by_side), cmocka_unit_test(test_heads_that_are_not),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
