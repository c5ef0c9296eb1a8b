/* test_accuracy.c - the error of the output on random unit-normal inputs, and that it does not grow with
 * the length.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The error of a number is |output - formula| / sum over keys of weight * |value|.
 */
#include <math.h>
#include <stdio.h>

#include "case.h"

enum { ROWS = 200 };

static const double largest_error = 2e-6;

static attn_context *context;

static int open_context(void **state) {
  (void)state;
  context = context_with_threads(0);
  return 0;
}

static int close_context(void **state) {
  (void)state;
  attn_destroy(context);
  return 0;
}

/* The largest error over some rows, the first and the last among them; a round is a row. */
static double error_of_length(int64_t len, int64_t dim, int32_t causal) {
  const int64_t rows = support_rounds(len) < len ? support_rounds(len) : len;
  const case_spec spec = {.batch = 1,
                          .heads_q = 1,
                          .len_q = rows,
                          .len_k = len,
                          .dim = dim,
                          .causal = causal,
                          .causal_offset = len - rows};
  random_source source = random_seeded(support_seed());
  attention_case c;
  case_open(&c, &spec, &source);
  case_run(&c, context);
  double error = fmax(case_output_error(&c, 0, 0, 0), case_output_error(&c, 0, 0, rows - 1));
  for (int64_t n = 0; n < support_rounds(ROWS); n++)
    error = fmax(error, case_output_error(&c, 0, 0, random_between(&source, 0, rows - 1)));
  case_close(&c);
  printf("length %5ld, head size %3ld%s: error at most %.2e\n", (long)len, (long)dim,
         causal ? ", causal" : "", error);
  return error;
}

static void check_growth(int64_t dim, int32_t causal) {
  const double small = error_of_length(512, dim, causal), middle = error_of_length(2048, dim, causal);
  const double large = error_of_length(8192, dim, causal);
  assert_true(small < largest_error && middle < largest_error && large < largest_error);
  assert_true(large < 1.5 * fmax(small, middle));
}

static void test_head_size_64(void **state) {
  (void)state;
  check_growth(64, 0);
  check_growth(64, 1);
}

static void test_head_size_128(void **state) {
  (void)state;
  check_growth(128, 0);
  check_growth(128, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_head_size_64),
      cmocka_unit_test(test_head_size_128),
  };
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, open_context, close_context);
}
