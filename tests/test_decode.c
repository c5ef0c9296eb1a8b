/* test_decode.c - few queries and long keys: in place, split and joined, against the formulas, and with the
 * same bits whoever takes the splits; and more queries, whose keys are split as well.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "feature.h"

static const double tolerance = 4e-6;

static case_spec random_spec(random_source *source) {
  const int64_t longest[] = {3, 300, 1100, 9000};
  case_spec spec = {.batch = random_between(source, 1, 3),
                    .heads_kv = random_between(source, 1, 3),
                    .len_q = random_between(source, 1, 3),
                    .len_k = random_between(source, 1, longest[random_between(source, 0, 3)]),
                    .dim = random_between(source, 1, 130),
                    .dim_v = random_between(source, 1, 130),
                    .causal = random_once_in(source, 2),
                    .weights = random_once_in(source, 3),
                    .lse = random_once_in(source, 2),
                    .key_layout = (tensor_layout)random_between(source, 0, LAYOUT_INPUTS - 1),
                    .value_layout = (tensor_layout)random_between(source, 0, LAYOUT_INPUTS - 1)};
  spec.heads_q = spec.heads_kv * random_between(source, 1, 4);
  if (spec.causal) spec.causal_offset = random_between(source, -2, spec.len_k);
  return spec;
}

static void open_with(attention_case *c, const case_spec *spec, const char *option, random_source *source) {
  case_open(c, spec, source);
  if (option) feature_apply(feature_named(option), c, source);
}

/* The same call, which is closed, by one thread and by several. */
static void check_same_bits(attention_case *one, attention_case *several, attn_context *const contexts[2]) {
  case_run(one, contexts[0]);
  case_run(several, contexts[1]);
  case_check(one, tolerance);
  case_assert_same_bits(one, several);
  case_close(one);
  case_close(several);
}

/* One thread goes through the splits of a block in turn; several take them as they come. */
static void check_threads(const case_spec *spec, const char *option, random_source *source,
                          attn_context *const contexts[2]) {
  attention_case one, several;
  random_source again = *source;
  open_with(&one, spec, option, source);
  open_with(&several, spec, option, &again);
  check_same_bits(&one, &several, contexts);
}

static void check_rounds(int64_t rounds, case_spec (*spec_of)(random_source *source)) {
  attn_context *contexts[2] = {context_with_threads(1), context_with_threads(8)};
  for (int64_t round = 0; round < rounds; round++) {
    random_source source = random_seeded(support_seed() + (uint64_t)round);
    support_round_begins(round);
    const case_spec spec = spec_of(&source);
    check_threads(&spec, NULL, &source, contexts);
    support_round_ends();
  }
  attn_destroy(contexts[0]);
  attn_destroy(contexts[1]);
}

static void test_random_calls(void **state) {
  (void)state;
  check_rounds(support_rounds(60), random_spec);
}

/* Blocks of several tiles, of one head and of several, some of which see no key of a split. */
static void test_many_rows(void **state) {
  (void)state;
  const case_spec specs[] = {
      {.batch = 1, .heads_q = 1, .len_q = 150, .len_k = 17000, .dim = 64},
      {.batch = 1,
       .heads_q = 1,
       .len_q = 150,
       .len_k = 8300,
       .dim = 64,
       .causal = 1,
       .causal_offset = 8120},
      {.batch = 1,
       .heads_q = 3,
       .heads_kv = 1,
       .len_q = 25,
       .len_k = 9000,
       .dim = 30,
       .dim_v = 70,
       .lse = 1},
      {.batch = 2, .heads_q = 1, .len_q = 40, .len_k = 16400, .dim = 5, .causal = 1, .weights = 1},
  };
  attn_context *contexts[2] = {context_with_threads(1), context_with_threads(3)};
  random_source source = random_seeded(support_seed());
  for (size_t n = 0; n < COUNT_OF(specs); n++) check_threads(&specs[n], NULL, &source, contexts);
  const case_spec spec = {.batch = 2, .heads_q = 1, .len_q = 70, .len_k = 9000, .dim = 6, .lse = 1};
  const char *const options[] = {"packed keys", "key lengths",        "window",  "prefix",
                                 "dilation",    "window to the left", "centers", "masking bias"};
  for (size_t n = 0; n < COUNT_OF(options); n++) check_threads(&spec, options[n], &source, contexts);
  attn_destroy(contexts[0]);
  attn_destroy(contexts[1]);
}

static case_spec side_by_side(random_source *source) {
  case_spec spec = random_spec(source);
  spec.heads_kv = random_between(source, 2, 9);
  spec.heads_q = spec.heads_kv * random_between(source, 1, 4);
  spec.key_layout = spec.value_layout = LAYOUT_ROW_MAJOR;
  return spec;
}

/* Heads of keys and values side by side: of all of them or of some, in stretches of keys that end anywhere. */
static void test_heads_side_by_side(void **state) {
  (void)state;
  check_rounds(support_rounds(40), side_by_side);
  attn_context *contexts[2] = {context_with_threads(1), context_with_threads(8)};
  const case_spec spec = {.batch = 11, /* enough for several threads, and so for other heads in a tile */
                          .heads_q = 12,
                          .heads_kv = 6,
                          .len_q = 3,
                          .len_k = 200,
                          .dim = 20,
                          .key_layout = LAYOUT_ROW_MAJOR,
                          .value_layout = LAYOUT_ROW_MAJOR};
  random_source source = random_seeded(support_seed());
  for (int64_t n = 0; n < feature_count; n++) check_threads(&spec, features[n].name, &source, contexts);
  attn_destroy(contexts[0]);
  attn_destroy(contexts[1]);
}

/* A batch entry has the same bits alone, where its splits are parts, and among many, where they are not. */
static void test_batch_entry_alone(void **state) {
  (void)state;
  case_spec spec = {
      .batch = 40, .heads_q = 4, .heads_kv = 1, .len_q = 2, .len_k = 8500, .dim = 8, .lse = 1};
  attention_case all, alone;
  attn_context *context = context_with_threads(2);
  random_source source = random_seeded(support_seed());
  case_open(&all, &spec, &source);
  case_run(&all, context);
  spec.batch = 1;
  case_open(&alone, &spec, &source);
  for (int64_t b = 0; b < all.args.batch; b += 13) {
    alone.args.query = tensor_row(&all.query, b, 0, 0);
    alone.args.key = tensor_row(&all.key, b, 0, 0);
    alone.args.value = tensor_row(&all.value, b, 0, 0);
    case_run(&alone, context);
    for (int64_t h = 0; h < spec.heads_q; h++)
      for (int64_t i = 0; i < spec.len_q; i++)
        assert_int_equal(
            count_different(spec.dim, tensor_row(&alone.output, 0, h, i), tensor_row(&all.output, b, h, i)),
            0);
  }
  case_close(&all);
  case_close(&alone);
  attn_destroy(context);
}

/* Keys far apart in size: each split's largest score is another one. */
static void check_moving_score(int64_t len_q) {
  const case_spec spec = {.batch = 1,
                          .heads_q = 3,
                          .len_q = len_q,
                          .len_k = 13000,
                          .dim = 4,
                          .has_scale = 1,
                          .scale = 1,
                          .lse = 1};
  attention_case c;
  attn_context *context = context_with_threads(2);
  random_source source = random_seeded(support_seed());
  case_open(&c, &spec, &source);
  for (int64_t h = 0; h < spec.heads_q; h++)
    for (int64_t j = 0; j < spec.len_k; j++) {
      float *key = tensor_row(&c.key, 0, h, j);
      for (int64_t d = 0; d < spec.dim; d++) key[d] = d == 0 ? (float)((h - 1) * (j / 100)) : 0;
    }
  for (int64_t h = 0; h < spec.heads_q; h++)
    for (int64_t i = 0; i < spec.len_q; i++) tensor_row(&c.query, 0, h, i)[0] = (float)(i % 2 + 1);
  case_run(&c, context);
  case_check(&c, tolerance);
  case_close(&c);
  attn_destroy(context);
}

static void test_the_largest_score_moves(void **state) {
  (void)state;
  check_moving_score(2);
  check_moving_score(70);
}

/* Outputs of later splits that a float as large as that of the first would each round away, but not all together. */
static void check_small_outputs(int64_t len_q, int32_t threads) {
  const case_spec spec = {.batch = 1, .heads_q = 1, .len_q = len_q, .len_k = 32 * 1024, .dim = 4};
  attention_case c;
  attn_context *context = context_with_threads(threads);
  random_source source = random_seeded(support_seed());
  case_open(&c, &spec, &source);
  for (int64_t i = 0; i < len_q; i++) memset(tensor_row(&c.query, 0, 0, i), 0, 4 * sizeof(float));
  for (int64_t j = 0; j < spec.len_k; j++) {
    float *value = tensor_row(&c.value, 0, 0, j);
    for (int64_t d = 0; d < spec.dim; d++) value[d] = j < 1024 ? 0x1p14F : 0x1p-10F;
  }
  case_run(&c, context);
  case_check(&c, 2e-7);
  case_close(&c);
  attn_destroy(context);
}

static void test_small_outputs_of_splits(void **state) {
  (void)state;
  for (int32_t threads = 1; threads <= 2; threads++) {
    check_small_outputs(1, threads);
    check_small_outputs(20, threads);
  }
}

/* Rows that see one split of many. The output of the first is -0, as it sees 0 and, with less weight, the smallest number. */
static void open_tiny(attention_case *c, random_source *source) {
  const case_spec spec = {.batch = 1,
                          .heads_q = 1,
                          .len_q = 20,
                          .len_k = 40000,
                          .dim = 4,
                          .has_scale = 1,
                          .scale = 1,
                          .causal = 1,
                          .causal_offset = 1};
  case_open(c, &spec, source);
  for (int64_t d = 0; d < 4; d++) {
    tensor_row(&c->query, 0, 0, 0)[d] = 1;
    for (int64_t j = 0; j < spec.len_k; j++) {
      tensor_row(&c->key, 0, 0, j)[d] = j == 0 ? 0 : -1;
      tensor_row(&c->value, 0, 0, j)[d] = j == 0 ? 0 : -0x1p-149F;
    }
  }
}

static void test_a_single_split_is_not_changed(void **state) {
  (void)state;
  attention_case one, two;
  attn_context *contexts[2] = {context_with_threads(1), context_with_threads(2)};
  random_source source = random_seeded(support_seed()), again = source;
  open_tiny(&one, &source);
  open_tiny(&two, &again);
  check_same_bits(&one, &two, contexts);
  attn_destroy(contexts[0]);
  attn_destroy(contexts[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(test_random_calls, support_print_seed),
      cmocka_unit_test_teardown(test_many_rows, support_print_seed),
      cmocka_unit_test_teardown(test_heads_side_by_side, support_print_seed),
      cmocka_unit_test(test_batch_entry_alone),
      cmocka_unit_test(test_the_largest_score_moves),
      cmocka_unit_test(test_small_outputs_of_splits),
      cmocka_unit_test(test_a_single_split_is_not_changed),
  };
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, NULL, NULL);
}
