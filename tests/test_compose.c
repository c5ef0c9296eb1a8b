/* test_compose.c - every pair of options, and random threes, against the formulas in double.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "feature.h"

enum { ROUNDS = 400 };

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

/* Odd sizes: one tile of queries and keys; several of both; few queries with many keys. */
static const case_spec shapes[] = {
    {.batch = 3,
     .heads_q = 4,
     .heads_kv = 2,
     .len_q = 7,
     .len_k = 19,
     .dim = 5,
     .dim_v = 9,
     .lse = 1,
     .key_layout = LAYOUT_ROW_MAJOR,
     .output_layout = LAYOUT_MIXED},
    {.batch = 1, .heads_q = 1, .len_q = 67, .len_k = 137, .dim = 9, .dim_v = 3, .lse = 1},
    {.batch = 2,
     .heads_q = 6,
     .heads_kv = 2,
     .len_q = 1,
     .len_k = 290,
     .dim = 8,
     .dim_v = 10,
     .lse = 1,
     .value_layout = LAYOUT_BACKWARDS,
     .output_layout = LAYOUT_PADDED},
};

/* The options that are switched on together. */
typedef struct combination {
  const case_spec *shape;
  const feature *on[4]; /* NULL: none */
  int local;
  int hide_rows; /* every third query sees no key */
} combination;

static const int64_t strides_of_rows[4] = {0, 0, 1, 0};

static void hide_rows(attention_case *c) {
  uint8_t *mask = case_array(c, c->args.len_q);
  for (int64_t i = 0; i < c->args.len_q; i++) mask[i] = i % 3 != 0;
  c->args.mask = mask;
  c->args.mask_strides = strides_of_rows;
}

static void check_combination(const combination *tried, random_source *source) {
  attention_case c;
  case_open(&c, tried->shape, source);
  c.local = tried->local;
  if (tried->hide_rows) hide_rows(&c);
  for (size_t n = 0; n < COUNT_OF(tried->on); n++)
    if (tried->on[n]) feature_apply(tried->on[n], &c, source);
  case_run(&c, context);
  const int64_t unseeing = case_check_promise(&c);
  if (c.args.mask_strides == strides_of_rows) assert_true(unseeing > 0);
  case_close(&c);
}

static void test_nothing(void **state) {
  (void)state;
  random_source source = random_seeded(support_seed());
  for (size_t n = 0; n < COUNT_OF(shapes); n++)
    for (int hide = 0; hide < 2; hide++)
      check_combination(&(combination){.shape = &shapes[n], .hide_rows = hide}, &source);
}

/* Each feature alone and with each other that it goes with, on top of what is always on. */
static void check_pairs(combination tried) {
  random_source source = random_seeded(support_seed());
  for (int64_t a = 0; a < feature_count; a++) {
    if (tried.on[0] && !feature_agrees(tried.on[0], &features[a])) continue;
    tried.on[1] = &features[a];
    tried.on[2] = NULL;
    check_combination(&tried, &source);
    for (int64_t b = a + 1; b < feature_count; b++) {
      if (!feature_agrees(&features[a], &features[b])) continue;
      if (tried.on[0] && !feature_agrees(tried.on[0], &features[b])) continue;
      tried.on[2] = &features[b];
      check_combination(&tried, &source);
    }
  }
}

static void test_pairs(void **state) {
  (void)state;
  for (size_t n = 0; n < COUNT_OF(shapes); n++) check_pairs((combination){.shape = &shapes[n]});
}

static void test_pairs_with_hidden_rows(void **state) {
  (void)state;
  check_pairs((combination){.shape = &shapes[0], .hide_rows = 1});
}

static void test_pairs_of_local(void **state) {
  (void)state;
  const feature *window = feature_named("window");
  for (size_t n = 0; n < COUNT_OF(shapes); n++)
    check_pairs((combination){.shape = &shapes[n], .on = {window}, .local = 1});
}

static const feature *random_feature(random_source *source) {
  return &features[random_between(source, 0, feature_count - 1)];
}

/* Some that go with each other, in the order of the table. */
static void choose(const feature *on[3], random_source *source) {
  do
    for (int n = 0; n < 3; n++) on[n] = random_feature(source);
  while (on[0] >= on[1] || on[1] >= on[2] || !feature_agrees(on[0], on[1]) ||
         !feature_agrees(on[0], on[2]) || !feature_agrees(on[1], on[2]));
}

static case_spec random_shape(random_source *source) {
  case_spec spec = {.batch = random_between(source, 1, 4), .heads_kv = random_between(source, 1, 3)};
  spec.heads_q = spec.heads_kv * random_between(source, 1, 4);
  spec.len_q = random_between(source, 1, random_once_in(source, 6) ? 80 : 12);
  spec.len_k = random_between(source, 1, random_once_in(source, 6) ? 300 : 40);
  spec.dim = random_between(source, 1, 20);
  spec.dim_v = random_between(source, 1, 20);
  spec.lse = !random_once_in(source, 3);
  spec.query_layout = (tensor_layout)random_between(source, 0, LAYOUT_OUTPUTS - 1);
  spec.key_layout = (tensor_layout)random_between(source, 0, LAYOUT_OUTPUTS - 1);
  spec.value_layout = (tensor_layout)random_between(source, 0, LAYOUT_OUTPUTS - 1);
  spec.output_layout = (tensor_layout)random_between(source, 0, LAYOUT_OUTPUTS - 1);
  spec.side = random_once_in(source, 2) ? GUARD_BEFORE : GUARD_AFTER;
  return spec;
}

static void test_random_threes(void **state) {
  (void)state;
  const int64_t rounds = support_rounds(ROUNDS);
  for (int64_t round = 0; round < rounds; round++) {
    random_source source = random_seeded(support_seed() + (uint64_t)round);
    const case_spec shape = random_shape(&source);
    combination tried = {.shape = &shape};
    support_round_begins(round);
    choose(tried.on, &source);
    check_combination(&tried, &source);
    support_round_ends();
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nothing),
      cmocka_unit_test(test_pairs),
      cmocka_unit_test(test_pairs_with_hidden_rows),
      cmocka_unit_test(test_pairs_of_local),
      cmocka_unit_test_teardown(test_random_threes, support_print_seed),
  };
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, open_context, close_context);
}
