/* test_refused_verbs.c - what attn_local, attn_self and attn_merge refuse: the code, the sentence that names
 * the argument, and nothing written.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <string.h>

#include "feature.h"
#include "layer.h"

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

/* A field of a struct, a value that it must not have, and the word that the sentence begins with. */
typedef struct spoiled_field {
  const char *word;
  size_t offset, size;
  const void *value;
} spoiled_field;

#define SPOILED(type, field, word, value)                                                                  \
  { word, offsetof(type, field), sizeof(((type *)0)->field), value }

static void spoil(void *structure, const spoiled_field *field) {
  memcpy((char *)structure + field->offset, field->value, field->size);
}

static void assert_refused(int32_t status, const char *word) {
  const char *sentence = attn_last_error(context);
  const size_t length = strlen(word);
  if (status != ATTN_ERROR_ARGUMENT) fail_msg("a spoiled %s gives status %d", word, (int)status);
  if (strncmp(sentence, word, length) != 0 || strncmp(sentence + length, ": ", 2) != 0)
    fail_msg("expected a sentence about %s, got \"%s\"", word, sentence);
}

static const int64_t zero = 0, one = 1, minus_one = -1, three = 3, huge = (int64_t)1 << 40;
static const int32_t zero32 = 0, three32 = 3, minus_one32 = -1;
static const float number = 1, not_a_number = NAN, infinity = INFINITY, negative = -1;
static const void *const nothing = NULL, *const something = &number;

static const int64_t falling[3] = {INT64_MIN, 1, 1}, *const falls = falling;

static const case_spec local_shape = {
    .batch = 2, .heads_q = 2, .len_q = 4, .len_k = 6, .dim = 3, .weights = 1, .lse = 1};

/* Windows and middles that do not go together, in attn_local; and the middles, in attn_global. */
static void test_local(void **state) {
  (void)state;
  const spoiled_field fields[] = {
      SPOILED(attn_args, has_window, "has_window", &zero32),
      SPOILED(attn_args, window_left, "window_left", &(int64_t){-2}),
      SPOILED(attn_args, window_right, "window_right", &(int64_t){-2}),
      SPOILED(attn_args, window_prefix, "window_prefix", &minus_one),
      SPOILED(attn_args, window_dilation, "window_dilation", &three),
      SPOILED(attn_args, window_dilation, "window_dilation", &minus_one),
      SPOILED(attn_args, centers, "centers", &something),
      SPOILED(attn_args, predict_matrix, "predict_matrix", &nothing),
      SPOILED(attn_args, predict_vector, "predict_vector", &nothing),
      SPOILED(attn_args, predict_dim, "predict_dim", &zero),
      SPOILED(attn_args, predict_dim, "predict_dim", &huge),
      SPOILED(attn_args, sigma, "sigma", &negative),
      SPOILED(attn_args, sigma, "sigma", &not_a_number),
      SPOILED(attn_args, sigma, "sigma", &infinity),
      SPOILED(attn_args, size, "args", &one),
      SPOILED(attn_args, size, "args", &huge),
  };
  random_source source = random_seeded(support_seed());
  attention_case c;
  case_open(&c, &local_shape, &source);
  c.args.has_window = 1;
  feature_apply(feature_named("predicted centers"), &c, &source);
  c.args.sigma = 1;
  for (size_t n = 0; n < COUNT_OF(fields); n++) {
    attn_args args = c.args;
    spoil(&args, &fields[n]);
    assert_refused(attn_local(context, &args), fields[n].word);
    case_assert_untouched(&c);
  }
  assert_refused(attn_global(context, &c.args), "predict_matrix");
  assert_refused(attn_local(context, NULL), "args");
  attn_args args = c.args;
  args.has_window = 0;
  args.window_left = args.window_right = args.predict_dim = 0;
  args.sigma = 0;
  args.predict_matrix = args.predict_vector = NULL;
  assert_refused(attn_local(context, &args), "has_window");
  case_assert_untouched(&c);
  case_run(&c, context);
  case_check_promise(&c);
  case_close(&c);
}

/* Sigma is half of the left side, which then has to be one. */
static void test_sigma_of_no_side(void **state) {
  (void)state;
  random_source source = random_seeded(support_seed());
  attention_case c;
  case_open(&c, &local_shape, &source);
  c.args.has_window = 1;
  feature_apply(feature_named("centers"), &c, &source);
  assert_refused(attn_global(context, &c.args), "centers");
  for (c.args.window_left = -1; c.args.window_left < 1; c.args.window_left++) {
    c.args.sigma = 0;
    assert_refused(attn_local(context, &c.args), "sigma");
    c.args.sigma = 1;
    case_run(&c, context);
    case_check_promise(&c);
  }
  case_close(&c);
}

/* Strides of optional arrays that step out of what memory can hold, or write twice. */
static void test_strides(void **state) {
  (void)state;
  random_source source = random_seeded(support_seed());
  attention_case c;
  case_open(&c, &local_shape, &source);
  c.args.has_window = 1;
  c.args.window_left = 2;
  feature_apply(feature_named("centers"), &c, &source);
  feature_apply(feature_named("residual"), &c, &source);
  attn_args args = c.args;
  args.centers_strides = falls;
  assert_refused(attn_local(context, &args), "centers");
  args = c.args;
  args.residual_strides = falls;
  assert_refused(attn_local(context, &args), "residual");
  args = c.args;
  args.scores = c.weights.first;
  args.scores_strides = (const int64_t[3]){0, 0, 0};
  assert_refused(attn_local(context, &args), "scores");
  case_assert_untouched(&c);
  case_run(&c, context);
  case_check_promise(&c);
  case_close(&c);
}

static const layer_spec layer_shape = {.batch = 2,
                                       .heads_q = 4,
                                       .heads_kv = 2,
                                       .len = 5,
                                       .dim = 4,
                                       .dim_model = 6,
                                       .dim_output = 16,
                                       .biases = 15,
                                       .project = 1,
                                       .rope = ATTN_ROPE_HALF};

/* The layer is refused, writes nothing, and works again. */
static void check_layer_refused(layer_case *c, const attn_self_args *args, const char *word) {
  assert_refused(attn_self(context, args), word);
  case_assert_untouched(&c->options);
}

static void test_layer(void **state) {
  (void)state;
  const int64_t overlapping[2] = {30, 5}, narrow[2] = {5, 6}, apart[2] = {huge, (int64_t)1 << 31};
  const int64_t *const overlap = overlapping, *const tight = narrow, *const wide = apart;
  const spoiled_field fields[] = {
      SPOILED(attn_self_args, size, "args", &one),
      SPOILED(attn_self_args, attention, "attention", &nothing),
      SPOILED(attn_self_args, dim_model, "dim_model", &zero),
      SPOILED(attn_self_args, dim_model, "dim_model", &minus_one),
      SPOILED(attn_self_args, dim_output, "dim_output", &minus_one),
      SPOILED(attn_self_args, x, "x", &nothing),
      SPOILED(attn_self_args, output, "output", &nothing),
      SPOILED(attn_self_args, output_strides, "output", &overlap),
      SPOILED(attn_self_args, output_strides, "output", &tight),
      SPOILED(attn_self_args, output_strides, "output_strides", &wide),
      SPOILED(attn_self_args, x_strides, "x", &falls),
      SPOILED(attn_self_args, weight_qkv, "bias_qkv", &nothing),
      SPOILED(attn_self_args, weight_q, "weight_qkv", &something),
      SPOILED(attn_self_args, weight_k, "weight_qkv", &something),
      SPOILED(attn_self_args, weight_v, "weight_qkv", &something),
      SPOILED(attn_self_args, bias_q, "weight_qkv", &something),
      SPOILED(attn_self_args, bias_k, "weight_qkv", &something),
      SPOILED(attn_self_args, bias_v, "weight_qkv", &something),
      SPOILED(attn_self_args, weight_o, "bias_o", &nothing),
      SPOILED(attn_self_args, rope, "rope", &three32),
      SPOILED(attn_self_args, rope, "rope", &minus_one32),
      SPOILED(attn_self_args, rope_dim, "rope_dim", &three),
      SPOILED(attn_self_args, rope_dim, "rope_dim", &(int64_t){6}),
      SPOILED(attn_self_args, rope_dim, "rope_dim", &minus_one),
      SPOILED(attn_self_args, rope_base, "rope_base", &negative),
      SPOILED(attn_self_args, rope_base, "rope_base", &not_a_number),
      SPOILED(attn_self_args, rope_base, "rope_base", &infinity),
  };
  random_source source = random_seeded(support_seed());
  layer_case c;
  layer_open(&c, &layer_shape, &source);
  layer_run(&c, context);
  tensor_fill_canary(&c.options.output);
  tensor_fill_canary(&c.options.lse);
  for (size_t n = 0; n < COUNT_OF(fields); n++) {
    attn_self_args args = c.args;
    spoil(&args, &fields[n]);
    check_layer_refused(&c, &args, fields[n].word);
  }
  assert_refused(attn_self(context, NULL), "args");
  layer_run(&c, context);
  layer_check(&c);
  layer_close(&c);
}

/* Options that a layer does not take, or not in this form. */
static void test_attention_of_layer(void **state) {
  (void)state;
  const spoiled_field fields[] = {
      SPOILED(attn_args, size, "attention", &one),
      SPOILED(attn_args, len_k, "attention", &three),
      SPOILED(attn_args, query, "attention", &something),
      SPOILED(attn_args, key, "attention", &something),
      SPOILED(attn_args, value, "attention", &something),
      SPOILED(attn_args, output, "attention", &something),
      SPOILED(attn_args, query_strides, "attention", &something),
      SPOILED(attn_args, key_strides, "attention", &something),
      SPOILED(attn_args, value_strides, "attention", &something),
      SPOILED(attn_args, output_strides, "attention", &something),
      SPOILED(attn_args, starts_q, "attention", &something),
      SPOILED(attn_args, starts_k, "attention", &something),
      SPOILED(attn_args, heads_kv, "heads_q", &three),
      SPOILED(attn_args, softcap, "softcap", &negative),
      SPOILED(attn_args, norm, "norm", &(int32_t){4}),
      SPOILED(attn_args, norm_epsilon, "norm_epsilon", &not_a_number),
      SPOILED(attn_args, centers, "has_window", &something),
  };
  random_source source = random_seeded(support_seed());
  layer_case c;
  layer_open(&c, &layer_shape, &source);
  layer_run(&c, context);
  tensor_fill_canary(&c.options.output);
  tensor_fill_canary(&c.options.lse);
  for (size_t n = 0; n < COUNT_OF(fields); n++) {
    attn_args attention = c.attention;
    attn_self_args args = c.args;
    spoil(&attention, &fields[n]);
    args.attention = &attention;
    check_layer_refused(&c, &args, fields[n].word);
  }
  layer_close(&c);
}

/* What each row is added to, where its strides step out of memory. */
static void test_residual_of_layer(void **state) {
  (void)state;
  random_source source = random_seeded(support_seed());
  layer_case c;
  layer_open(&c, &layer_shape, &source);
  layer_run(&c, context);
  tensor_fill_canary(&c.options.output);
  tensor_fill_canary(&c.options.lse);
  attn_args attention = c.attention;
  attn_self_args args = c.args;
  attention.residual = &number;
  attention.residual_strides = falls;
  args.attention = &attention;
  check_layer_refused(&c, &args, "residual");
  layer_close(&c);
}

/* Weights one by one are all there, and without an output projection the output is as wide as the heads. */
static void test_weights_of_layer(void **state) {
  (void)state;
  const char *const words[] = {"weight_q", "weight_k", "weight_v"};
  random_source source = random_seeded(support_seed());
  layer_spec spec = layer_shape;
  layer_case c;
  spec.single = 1;
  layer_open(&c, &spec, &source);
  layer_run(&c, context);
  tensor_fill_canary(&c.options.output);
  tensor_fill_canary(&c.options.lse);
  const size_t fields[] = {offsetof(attn_self_args, weight_q), offsetof(attn_self_args, weight_k),
                           offsetof(attn_self_args, weight_v)};
  for (size_t n = 0; n < COUNT_OF(fields); n++) {
    attn_self_args args = c.args;
    memcpy((char *)&args + fields[n], &nothing, sizeof nothing);
    check_layer_refused(&c, &args, words[n]);
  }
  attn_self_args args = c.args;
  args.weight_o = args.bias_o = NULL;
  args.dim_output = 15;
  check_layer_refused(&c, &args, "dim_output");
  layer_close(&c);
}

static void test_merge(void **state) {
  (void)state;
  const float part[6] = {0}, lse[3] = {0};
  const float *const parts[2] = {part, part}, *const holes[2] = {part, NULL};
  const float *const lses[2] = {lse, lse}, *const no_lses[2] = {NULL, lse};
  const float *const *const with_hole = holes, *const *const without = no_lses;
  const int64_t repeated[3] = {0, 0, 0}, *const strides = repeated;
  float output[6] = {canary(), canary(), canary(), canary(), canary(), canary()}, merged[3] = {canary()};
  const attn_merge_args plain = {.size = sizeof plain,
                                 .parts = 2,
                                 .batch = 1,
                                 .heads = 1,
                                 .len_q = 3,
                                 .dim_v = 2,
                                 .outputs = parts,
                                 .lses = lses,
                                 .output = output,
                                 .lse = merged};
  const spoiled_field fields[] = {
      SPOILED(attn_merge_args, size, "args", &one),
      SPOILED(attn_merge_args, parts, "parts", &zero),
      SPOILED(attn_merge_args, parts, "parts", &minus_one),
      SPOILED(attn_merge_args, batch, "batch", &minus_one),
      SPOILED(attn_merge_args, heads, "heads", &minus_one),
      SPOILED(attn_merge_args, len_q, "len_q", &minus_one),
      SPOILED(attn_merge_args, dim_v, "dim_v", &zero),
      SPOILED(attn_merge_args, outputs, "outputs", &nothing),
      SPOILED(attn_merge_args, outputs, "outputs", &with_hole),
      SPOILED(attn_merge_args, lses, "lses", &nothing),
      SPOILED(attn_merge_args, lses, "lses", &without),
      SPOILED(attn_merge_args, output, "output", &nothing),
      SPOILED(attn_merge_args, output_strides, "output", &strides),
      SPOILED(attn_merge_args, lse_strides, "lse", &strides),
  };
  for (size_t n = 0; n < COUNT_OF(fields); n++) {
    attn_merge_args args = plain;
    spoil(&args, &fields[n]);
    assert_refused(attn_merge(context, &args), fields[n].word);
    for (int d = 0; d < 6; d++) assert_true(is_canary(output[d]));
    assert_true(is_canary(merged[0]));
  }
  assert_refused(attn_merge(context, NULL), "args");
  assert_int_equal(attn_merge(context, &plain), ATTN_OK);
  assert_int_equal(count_different(6, output, part), 0);
}

static void test_no_context(void **state) {
  (void)state;
  assert_int_equal(attn_local(NULL, NULL), ATTN_ERROR_ARGUMENT);
  assert_int_equal(attn_self(NULL, NULL), ATTN_ERROR_ARGUMENT);
  assert_int_equal(attn_merge(NULL, NULL), ATTN_ERROR_ARGUMENT);
  assert_int_equal(strncmp(attn_last_error(NULL), "context: ", 9), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_local),
      cmocka_unit_test(test_sigma_of_no_side),
      cmocka_unit_test(test_strides),
      cmocka_unit_test(test_layer),
      cmocka_unit_test(test_attention_of_layer),
      cmocka_unit_test(test_residual_of_layer),
      cmocka_unit_test(test_weights_of_layer),
      cmocka_unit_test(test_merge),
      cmocka_unit_test(test_no_context),
  };
  return cmocka_run_group_tests(tests, open_context, close_context);
}
