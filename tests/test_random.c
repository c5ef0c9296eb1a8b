/* test_random.c - random shapes, strides and options against the formulas in double.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "random_case.h"

enum { ROUNDS = 1500, MOST_WORK = 3000000 };

static attn_context *contexts[3]; /* of 1, 2 and 3 threads */

static int open_contexts(void **state) {
  (void)state;
  for (int32_t n = 0; n < 3; n++) contexts[n] = context_with_threads(n + 1);
  return 0;
}

static int close_contexts(void **state) {
  (void)state;
  for (int n = 0; n < 3; n++) attn_destroy(contexts[n]);
  return 0;
}

static void test_random_calls(void **state) {
  (void)state;
  const int64_t rounds = support_rounds(ROUNDS);
  for (int64_t round = 0; round < rounds; round++) {
    random_source source = random_seeded(support_seed() + (uint64_t)round);
    attention_case c;
    support_round_begins(round);
    const case_spec spec = random_case_spec(&source, MOST_WORK);
    case_open(&c, &spec, &source);
    case_run(&c, contexts[random_between(&source, 0, 2)]);
    case_check(&c, 4e-6);
    case_close(&c);
    support_round_ends();
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(test_random_calls, support_print_seed),
  };
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, open_contexts, close_contexts);
}
