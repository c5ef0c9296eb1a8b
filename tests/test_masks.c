/* test_masks.c - every boolean mask of up to 3 queries and 6 keys, with the other rules of what is visible.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "case.h"

enum { MOST_QUERIES = 3, MOST_KEYS = 6 };

static attn_context *context;

static int open_context(void **state) {
  (void)state;
  context = context_with_threads(2);
  return 0;
}

static int close_context(void **state) {
  (void)state;
  attn_destroy(context);
  return 0;
}

/* Mask number n of a number of masks is for batch entry n: bit i * len_k + j says if query i sees key j. */
static void set_masks(attention_case *c) {
  const int64_t bits = c->args.len_q * c->args.len_k;
  uint8_t *mask = case_array(c, bits << bits);
  for (int64_t n = 0; n < (int64_t)1 << bits; n++)
    for (int64_t bit = 0; bit < bits; bit++) mask[n * bits + bit] = n >> bit & 1;
  c->args.mask = mask;
}

/* What a row gives depends on its own part of the mask: one expected row for each of these is enough. */
static void check_query(attention_case *c, int64_t i, naive_row *expected) {
  const int64_t len_k = c->args.len_k, shift = i * len_k, parts = (int64_t)1 << len_k;
  for (int64_t part = 0; part < parts; part++) {
    naive_attention(&c->args, part << shift, 0, i, expected);
    for (int64_t n = 0; n < c->args.batch; n++)
      if ((n >> shift & (parts - 1)) == part) case_check_row(c, (int64_t[3]){n, 0, i}, expected, 1);
  }
}

/* Bits of rules: causal, window, softcap. */
static void set_rules(attention_case *c, int rules) {
  c->args.causal = rules & 1;
  c->args.offset = c->args.len_k - c->args.len_q;
  c->args.has_window = rules >> 1 & 1;
  c->args.window_left = c->args.has_window ? 2 : 0;
  c->args.window_right = c->args.has_window;
  c->args.softcap = rules >> 2 & 1 ? 0.5f : 0;
}

static void check_masks(int64_t len_q, int64_t len_k) {
  const case_spec spec = {.batch = (int64_t)1 << (len_q * len_k),
                          .heads_q = 1,
                          .len_q = len_q,
                          .len_k = len_k,
                          .dim = 3,
                          .dim_v = 2,
                          .weights = 1,
                          .lse = 1,
                          .query_layout = LAYOUT_SHARED,
                          .key_layout = LAYOUT_SHARED,
                          .value_layout = LAYOUT_SHARED};
  random_source source = random_seeded(support_seed());
  attention_case c;
  case_open(&c, &spec, &source);
  set_masks(&c);
  naive_row expected = naive_row_make(&c.args);
  for (int rules = 0; rules < 8; rules++) {
    set_rules(&c, rules);
    case_run(&c, context);
    for (int64_t i = 0; i < len_q; i++) check_query(&c, i, &expected);
  }
  naive_row_free(&expected);
  case_close(&c);
}

static void test_every_mask(void **state) {
  (void)state;
  for (int64_t len_q = 1; len_q <= MOST_QUERIES; len_q++)
    for (int64_t len_k = 1; len_k <= MOST_KEYS; len_k++) check_masks(len_q, len_k);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_mask),
  };
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, open_context, close_context);
}
