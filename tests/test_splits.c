/* test_splits.c - where plans split the keys, and which parts are tasks, in which order.
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
  problem.key.strides = (attn__strides){len_k * 8 * 64, 64, 8 * 64};
  return problem;
}

/* Few rows take a split of all heads whose rows share pages, then the next, each part once. */
static void test_heads_that_share_pages(void **state) {
  (void)state;
  const attn__problem problem = side_by_side(3, 5000);
  for (int64_t threads = 1; threads <= 2; threads++) {
    const attn__plan plan = attn__plan_make(&problem, &engines[FEW], threads);
    assert_true(plan.splits == 5 && plan.together == 8 && plan.part.count == 3 * 8 * 5);
    assert_int_equal(plan.tasks, plan.part.count);
    for (int64_t task = 0; task < plan.tasks; task++) {
      const int64_t entry = task / 40, split = task % 40 / 8, head = task % 8;
      assert_int_equal(attn__plan_part(&plan, task), (entry * 8 + head) * 5 + split);
    }
  }
}

static int64_t together_of(const attn__problem *problem, size_t engine) {
  return attn__plan_make(problem, &engines[engine], 1).together;
}

/* Block by block: heads apart, one head, more rows, keys in one piece, too many states for the scratch. */
static void test_heads_that_do_not(void **state) {
  (void)state;
  attn__problem problem = side_by_side(1, 5000);
  assert_int_equal(together_of(&problem, FEW), 8);
  assert_int_equal(together_of(&problem, 0), 1);
  problem.key.strides = (attn__strides){8 * 5000 * 64, 5000 * 64, 64};
  assert_int_equal(together_of(&problem, FEW), 1);
  problem.key.strides = (attn__strides){0, 0, 64}; /* all heads the same */
  assert_int_equal(together_of(&problem, FEW), 1);
  problem = side_by_side(1, 5000);
  problem.heads_kv = 1;
  assert_int_equal(together_of(&problem, FEW), 1);
  problem = side_by_side(1, 5000);
  problem.len_q = 3;
  assert_int_equal(together_of(&problem, FEW), 1);
  problem = side_by_side(1, 1000);
  assert_int_equal(together_of(&problem, FEW), 1);
  problem = side_by_side(1000, 5000);
  assert_int_equal(together_of(&problem, FEW), 1);
  const attn__plan plan = attn__plan_make(&problem, &engines[FEW], 1);
  assert_int_equal(plan.part.count, 0);
  for (int64_t task = 0; task < 12; task++) assert_int_equal(attn__plan_part(&plan, task), task);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_splits_of_few_rows),     cmocka_unit_test(test_splits),
      cmocka_unit_test(test_parts_of_blocks),        cmocka_unit_test(test_splits_and_windows),
      cmocka_unit_test(test_heads_that_share_pages), cmocka_unit_test(test_heads_that_do_not),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
