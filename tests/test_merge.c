/* test_merge.c - results of parts of the keys, joined, are those of all keys.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>

#include "feature.h"

enum { MOST_PARTS = 7 };

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

/* Attention over all keys, and over parts of them. */
typedef struct split {
  attention_case whole;
  int64_t count;
  int64_t starts[MOST_PARTS + 1]; /* part n has keys [starts[n], starts[n + 1]) */
  tensor outputs[MOST_PARTS], lses[MOST_PARTS];
  const float *output_list[MOST_PARTS], *lse_list[MOST_PARTS];
} split;

/* Cuts anywhere; two at the same place make an empty part. */
static void choose_starts(split *s, int64_t count, random_source *source) {
  const int64_t len_k = s->whole.args.len_k;
  s->count = count;
  s->starts[0] = 0;
  for (int64_t n = 1; n < count; n++) {
    int64_t cut = random_between(source, 0, len_k), at = n;
    for (; at > 1 && s->starts[at - 1] > cut; at--) s->starts[at] = s->starts[at - 1];
    s->starts[at] = cut;
  }
  s->starts[count] = len_k;
}

static tensor like(const tensor *t, tensor_layout layout) {
  return tensor_make((int64_t[4]){t->batch, t->heads, t->rows, t->width}, layout, GUARD_AFTER);
}

/* The call for the keys of part n. Only part sink_part has the sinks. */
static attn_args args_of_part(const split *s, int64_t n, int64_t sink_part) {
  const attention_case *whole = &s->whole;
  const int64_t first = s->starts[n];
  attn_args args = whole->args;
  args.len_k = s->starts[n + 1] - first;
  args.key = tensor_row(&whole->key, 0, 0, first);
  args.value = tensor_row(&whole->value, 0, 0, first);
  args.offset -= first;
  args.window_prefix = args.window_prefix > first ? args.window_prefix - first : 0;
  if (args.mask) args.mask += first * args.mask_strides[3];
  if (args.bias) args.bias += first * args.bias_strides[3];
  if (n != sink_part) args.sinks = NULL;
  args.output = s->outputs[n].first;
  args.output_strides = s->outputs[n].strides;
  args.lse = s->lses[n].first;
  args.lse_strides = s->lses[n].strides;
  return args;
}

static void open_split(split *s, const case_spec *spec, const feature *on, random_source *source) {
  *s = (split){0};
  case_open(&s->whole, spec, source);
  if (on) feature_apply(on, &s->whole, source);
}

/* Computes the parts, laid out in one way for all of them. */
static void run_parts(split *s, int64_t count, tensor_layout layout, random_source *source) {
  choose_starts(s, count, source);
  const int64_t sink_part = random_between(source, 0, count - 1);
  for (int64_t n = 0; n < count; n++) {
    s->outputs[n] = like(&s->whole.output, layout);
    s->lses[n] = like(&s->whole.lse, layout);
    s->output_list[n] = s->outputs[n].first;
    s->lse_list[n] = s->lses[n].first;
    const attn_args args = args_of_part(s, n, sink_part);
    if (attn_global(context, &args) != ATTN_OK) fail_msg("%s", attn_last_error(context));
  }
}

static void free_parts(split *s) {
  for (int64_t n = 0; n < s->count; n++) {
    tensor_free(&s->outputs[n]);
    tensor_free(&s->lses[n]);
  }
}

static attn_merge_args merge_args(const split *s) {
  const attention_case *whole = &s->whole;
  return (attn_merge_args){.size = sizeof(attn_merge_args),
                           .parts = s->count,
                           .batch = whole->args.batch,
                           .heads = whole->args.heads_q,
                           .len_q = whole->args.len_q,
                           .dim_v = whole->output.width,
                           .outputs = s->output_list,
                           .lses = s->lse_list,
                           .outputs_strides = s->outputs[0].strides,
                           .lses_strides = s->lses[0].strides,
                           .output = whole->output.first,
                           .output_strides = whole->output.strides,
                           .lse = whole->lse.first,
                           .lse_strides = whole->lse.strides};
}

static void merge(const attn_merge_args *args) {
  if (attn_merge(context, args) != ATTN_OK) fail_msg("%s", attn_last_error(context));
}

/* Merges into the arrays of the whole, where the formulas check them as they would an attention call. */
static void check_merged(split *s) {
  tensor_fill_canary(&s->whole.output);
  tensor_fill_canary(&s->whole.lse);
  const attn_merge_args args = merge_args(s);
  merge(&args);
  case_check_promise(&s->whole);
}

static const case_spec shape = {.batch = 2,
                                .heads_q = 4,
                                .heads_kv = 2,
                                .len_q = 9,
                                .len_k = 200,
                                .dim = 7,
                                .dim_v = 70,
                                .lse = 1,
                                .key_layout = LAYOUT_ROW_MAJOR,
                                .value_layout = LAYOUT_PADDED,
                                .output_layout = LAYOUT_MIXED};

static const int64_t counts[] = {1, 2, MOST_PARTS};

static void check_splits(const case_spec *spec, const feature *on) {
  random_source source = random_seeded(support_seed());
  split s;
  open_split(&s, spec, on, &source);
  for (size_t n = 0; n < COUNT_OF(counts); n++)
    for (int layout = 0; layout < LAYOUT_OUTPUTS; layout++) {
      run_parts(&s, counts[n], (tensor_layout)layout, &source);
      check_merged(&s);
      free_parts(&s);
    }
  case_close(&s.whole);
}

static void test_splits(void **state) {
  (void)state;
  const case_spec long_shape = {.batch = 1,
                                .heads_q = 2,
                                .len_q = 20,
                                .len_k = 1024,
                                .dim = 64,
                                .lse = 1,
                                .causal = 1,
                                .causal_offset = 1000};
  check_splits(&shape, NULL);
  check_splits(&long_shape, NULL);
}

static void test_splits_with_features(void **state) {
  (void)state;
  const char *const names[] = {"query lengths", "offset",          "causal",       "window",  "prefix",
                               "mask of keys",  "mask transposed", "masking bias", "alibi",   "softcap",
                               "sinks",         "scale",           "general",      "additive"};
  for (size_t n = 0; n < COUNT_OF(names); n++) check_splits(&shape, feature_named(names[n]));
}

/* Merges the parts of s into new arrays; returns these. */
static void merge_apart(const split *s, tensor *output, tensor *lse) {
  attn_merge_args args = merge_args(s);
  *output = like(&s->whole.output, LAYOUT_DENSE);
  *lse = like(&s->whole.lse, LAYOUT_DENSE);
  args.output = output->first;
  args.output_strides = NULL;
  args.lse = lse->first;
  args.lse_strides = NULL;
  merge(&args);
}

static void test_one_part_is_the_whole(void **state) {
  (void)state;
  random_source source = random_seeded(support_seed());
  split s;
  tensor output, lse;
  open_split(&s, &shape, feature_named("masking bias"), &source);
  run_parts(&s, 1, LAYOUT_PADDED, &source);
  merge_apart(&s, &output, &lse);
  assert_int_equal(tensor_count_different(&output, &s.outputs[0]), 0);
  assert_int_equal(tensor_count_different(&lse, &s.lses[0]), 0);
  tensor_free(&output);
  tensor_free(&lse);
  free_parts(&s);
  case_close(&s.whole);
}

/* Into each of the parts. */
static void test_in_place(void **state) {
  (void)state;
  for (int64_t n = 0; n < 3; n++) {
    random_source source = random_seeded(support_seed());
    split s;
    tensor output, lse;
    open_split(&s, &shape, feature_named("window"), &source);
    run_parts(&s, 3, LAYOUT_PADDED, &source);
    merge_apart(&s, &output, &lse);
    attn_merge_args args = merge_args(&s);
    args.output = s.outputs[n].first;
    args.output_strides = s.outputs[n].strides;
    args.lse = s.lses[n].first;
    args.lse_strides = s.lses[n].strides;
    merge(&args);
    assert_int_equal(tensor_count_different(&output, &s.outputs[n]), 0);
    assert_int_equal(tensor_count_different(&lse, &s.lses[n]), 0);
    tensor_free(&output);
    tensor_free(&lse);
    free_parts(&s);
    case_close(&s.whole);
  }
}

/* A merge of two rows of two numbers, given their log-sum-exps. */
static void merge_two(const float lse_a[2], const float lse_b[2], const float b[4], float output[4],
                      float lse[2]) {
  static const float a[4] = {1, 2, 3, 4};
  const attn_merge_args args = {.size = sizeof args,
                                .parts = 2,
                                .batch = 1,
                                .heads = 1,
                                .len_q = 2,
                                .dim_v = 2,
                                .outputs = (const float *const[2]){a, b},
                                .lses = (const float *const[2]){lse_a, lse_b},
                                .output = output,
                                .lse = lse};
  merge(&args);
}

static void test_parts_that_saw_nothing(void **state) {
  (void)state;
  const float none[2] = {-INFINITY, -INFINITY}, some[2] = {-INFINITY, 3};
  const float garbage[4] = {NAN, INFINITY, NAN, -INFINITY};
  float output[4], lse[2];
  merge_two(some, none, garbage, output, lse);
  assert_int_equal(count_different(4, output, (const float[4]){0, 0, 3, 4}), 0);
  assert_int_equal(count_different(2, lse, some), 0);
}

/* No LSE is too far from another for their exponentials. */
static void test_far_lses(void **state) {
  (void)state;
  const float high[2] = {3e4f, 1e30f}, low[2] = {-3e4f, -1e30f}, ones[4] = {1, 1, 1, 1};
  float output[4], lse[2];
  merge_two(high, low, ones, output, lse);
  assert_int_equal(count_different(4, output, (const float[4]){1, 2, 3, 4}), 0);
  assert_int_equal(count_different(2, lse, high), 0);
  merge_two(low, high, ones, output, lse);
  assert_int_equal(count_different(4, output, ones), 0);
  merge_two(low, low, ones, output, lse);
  assert_int_equal(count_different(4, output, (const float[4]){1, 1.5f, 2, 2.5f}), 0);
}

static void test_lse_is_not_needed(void **state) {
  (void)state;
  random_source source = random_seeded(support_seed());
  split s;
  open_split(&s, &shape, NULL, &source);
  run_parts(&s, 3, LAYOUT_DENSE, &source);
  attn_merge_args args = merge_args(&s);
  args.lse = NULL;
  tensor_fill_canary(&s.whole.lse);
  merge(&args);
  assert_int_equal(tensor_count_untouched(&s.whole.lse), shape.batch * shape.heads_q * shape.len_q);
  assert_int_equal(tensor_count_untouched(&s.whole.output), 0);
  free_parts(&s);
  case_close(&s.whole);
}

/* Work for many threads. */
static void test_numbers_of_threads(void **state) {
  (void)state;
  const int32_t threads[] = {1, 2, 3, 8};
  const case_spec large = {
      .batch = 2, .heads_q = 4, .len_q = 300, .len_k = 10, .dim = 4, .dim_v = 90, .lse = 1, .causal = 1};
  random_source source = random_seeded(support_seed());
  attn_context *usual = context;
  split s;
  tensor output, lse, others, other_lse;
  open_split(&s, &large, NULL, &source);
  run_parts(&s, MOST_PARTS, LAYOUT_ROW_MAJOR, &source);
  merge_apart(&s, &output, &lse);
  for (size_t n = 0; n < COUNT_OF(threads); n++) {
    context = context_with_threads(threads[n]);
    merge_apart(&s, &others, &other_lse);
    assert_int_equal(tensor_count_different(&output, &others), 0);
    assert_int_equal(tensor_count_different(&lse, &other_lse), 0);
    tensor_free(&others);
    tensor_free(&other_lse);
    attn_destroy(context);
  }
  context = usual;
  tensor_free(&output);
  tensor_free(&lse);
  free_parts(&s);
  case_close(&s.whole);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_splits),
      cmocka_unit_test(test_splits_with_features),
      cmocka_unit_test(test_one_part_is_the_whole),
      cmocka_unit_test(test_in_place),
      cmocka_unit_test(test_parts_that_saw_nothing),
      cmocka_unit_test(test_far_lses),
      cmocka_unit_test(test_lse_is_not_needed),
      cmocka_unit_test(test_numbers_of_threads),
  };
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, open_context, close_context);
}
