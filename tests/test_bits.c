/* test_bits.c - with every option on in turn: the same bits from any number of threads, twice, and for a batch
 * entry alone.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "feature.h"

enum { CONTEXTS = 4 };

static const int32_t threads[CONTEXTS] = {1, 2, 3, 8};
static attn_context *contexts[CONTEXTS];

static int open_contexts(void **state) {
  (void)state;
  for (int n = 0; n < CONTEXTS; n++) contexts[n] = context_with_threads(threads[n]);
  return 0;
}

static int close_contexts(void **state) {
  (void)state;
  for (int n = 0; n < CONTEXTS; n++) attn_destroy(contexts[n]);
  return 0;
}

/* Work for many threads: several tiles of queries and keys; few queries with many keys. */
static const case_spec shapes[] = {
    {.batch = 2,
     .heads_q = 4,
     .heads_kv = 2,
     .len_q = 75,
     .len_k = 270,
     .dim = 20,
     .dim_v = 36,
     .weights = 1,
     .lse = 1},
    {.batch = 2, .heads_q = 8, .heads_kv = 2, .len_q = 2, .len_k = 900, .dim = 64, .weights = 1, .lse = 1},
    {.batch = 2, .heads_q = 1, .len_q = 130, .len_k = 131, .dim = 64, .lse = 1},
};

/* Always with the same inputs. */
static void open_features(attention_case *c, const case_spec *shape, const feature *on) {
  random_source source = random_seeded(support_seed());
  case_open(c, shape, &source);
  if (on) feature_apply(on, c, &source);
}

static void assert_same_bits(const attention_case *expected, const attention_case *tried, int32_t count) {
  int64_t different = tensor_count_different(&expected->output, &tried->output);
  different += tensor_count_different(&expected->weights, &tried->weights);
  different += tensor_count_different(&expected->lse, &tried->lse);
  different += tensor_count_different(&expected->scores, &tried->scores);
  if (different > 0)
    fail_msg("%s: with %d threads %ld numbers differ", expected->name, (int)count, (long)different);
}

static const int64_t *dense_strides(const attn_args *args, int64_t strides[4]) {
  strides[3] = 1;
  strides[2] = args->len_k;
  strides[1] = args->len_q * strides[2];
  strides[0] = args->heads_q * strides[1];
  return strides;
}

/* The call for batch entry b alone, into its place in the results. */
static attn_args entry_of(const attention_case *c, int64_t b) {
  static int64_t dense[4];
  attn_args args = c->args;
  args.batch = 1;
  if (args.starts_q) {
    args.starts_q += b;
  } else {
    args.query += b * args.query_strides[0];
    args.output += b * args.output_strides[0];
    if (args.residual) args.residual += b * args.residual_strides[0];
  }
  if (args.starts_k) {
    args.starts_k += b;
  } else {
    args.key += b * args.key_strides[0];
    args.value += b * args.value_strides[0];
  }
  if (args.weights) args.weights += b * args.weights_strides[0];
  if (args.scores) args.scores += b * args.scores_strides[0];
  if (args.centers) args.centers += b * args.centers_strides[0];
  args.lse += b * args.lse_strides[0];
  if (args.offsets) args.offsets += b;
  if (args.lengths_q) args.lengths_q += b;
  if (args.lengths_k) args.lengths_k += b;
  const int64_t *mask = args.mask_strides ? args.mask_strides : dense_strides(&args, dense);
  const int64_t *bias = args.bias_strides ? args.bias_strides : dense_strides(&args, dense);
  if (args.mask) args.mask += b * mask[0];
  if (args.bias) args.bias += b * bias[0];
  return args;
}

static void run_alone(attention_case *c, attn_context *context) {
  tensor *outputs[] = {&c->output, &c->weights, &c->lse, &c->scores};
  for (size_t n = 0; n < COUNT_OF(outputs); n++) tensor_fill_canary(outputs[n]);
  for (int64_t b = 0; b < c->args.batch; b++) {
    const attn_args args = entry_of(c, b);
    if ((c->local ? attn_local(context, &args) : attn_global(context, &args)) != ATTN_OK)
      fail_msg("%s: %s", c->name, attn_last_error(context));
  }
}

static void check_feature(const case_spec *shape, const feature *on) {
  attention_case expected, tried;
  open_features(&expected, shape, on);
  open_features(&tried, shape, on);
  case_run(&expected, contexts[0]);
  for (int n = 0; n < CONTEXTS; n++) {
    case_run(&tried, contexts[n]);
    assert_same_bits(&expected, &tried, threads[n]);
    if (n % 2 == 0) continue;
    run_alone(&tried, contexts[n]);
    assert_same_bits(&expected, &tried, threads[n]);
  }
  case_close(&expected);
  case_close(&tried);
}

static void check_shape(const case_spec *shape) {
  check_feature(shape, NULL);
  for (int64_t n = 0; n < feature_count; n++) check_feature(shape, &features[n]);
}

static void test_several_tiles(void **state) {
  (void)state;
  check_shape(&shapes[0]);
}

static void test_few_queries(void **state) {
  (void)state;
  check_shape(&shapes[1]);
}

static void test_without_weights(void **state) {
  (void)state;
  check_shape(&shapes[2]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_several_tiles),
      cmocka_unit_test(test_few_queries),
      cmocka_unit_test(test_without_weights),
  };
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, open_contexts, close_contexts);
}
