/* test_base.c - size arithmetic at the ends of its range.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"

#include "support.h"

static void test_smaller_and_larger(void **state) {
  (void)state;
  assert_int_equal(attn__min(-3, 4), -3);
  assert_int_equal(attn__min(4, -3), -3);
  assert_int_equal(attn__max(-3, 4), 4);
  assert_int_equal(attn__clamp(5, 1, 3), 3);
  assert_int_equal(attn__clamp(-5, 1, 3), 1);
  assert_int_equal(attn__clamp(2, 1, 3), 2);
}

static void test_rounding_up(void **state) {
  (void)state;
  assert_int_equal(attn__divide_up(0, 7), 0);
  assert_int_equal(attn__divide_up(7, 7), 1);
  assert_int_equal(attn__divide_up(8, 7), 2);
  assert_int_equal(attn__divide_up(INT64_MAX, 2), INT64_MAX / 2 + 1);
  assert_int_equal(attn__round_up(0, 64), 0);
  assert_int_equal(attn__round_up(1, 64), 64);
  assert_int_equal(attn__round_up(128, 64), 128);
}

static void test_saturating_addition(void **state) {
  (void)state;
  assert_int_equal(attn__add_saturating(2, -3), -1);
  assert_true(attn__add_saturating(INT64_MAX, 1) == INT64_MAX);
  assert_true(attn__add_saturating(1, INT64_MAX) == INT64_MAX);
  assert_true(attn__add_saturating(INT64_MIN, -1) == INT64_MIN);
  assert_true(attn__add_saturating(INT64_MIN, INT64_MAX) == -1);
}

static void test_checked_arithmetic(void **state) {
  (void)state;
  int64_t out = 0;
  assert_true(attn__multiply(-3, 5, &out));
  assert_int_equal(out, -15);
  assert_false(attn__multiply(INT64_MAX, 2, &out));
  assert_false(attn__multiply((int64_t)1 << 32, (int64_t)1 << 31, &out));
  assert_true(attn__add(INT64_MAX - 1, 1, &out));
  assert_true(out == INT64_MAX);
  assert_false(attn__add(INT64_MAX, 1, &out));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_smaller_and_larger),
      cmocka_unit_test(test_rounding_up),
      cmocka_unit_test(test_saturating_addition),
      cmocka_unit_test(test_checked_arithmetic),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
