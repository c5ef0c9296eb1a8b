/* test_tiled.c - attention against the formulas in double: every option, alone and at the edges.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <stdio.h>

#include "case.h"

static const double tolerance = 4e-6;

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

/* Runs one case, all results wanted, and compares it with the formulas. */
static void check_spec(case_spec spec) {
  random_source source = random_seeded(support_seed());
  attention_case c;
  spec.weights = spec.lse = 1;
  case_open(&c, &spec, &source);
  case_run(&c, context);
  case_check(&c, tolerance);
  case_check_alone(&c, context);
  case_close(&c);
}

static void test_the_textbook(void **state) {
  (void)state;
  const float x[4] = {1, 2, 3, 4};
  float output[4], weight = 0;
  const attn_args args = {.size = sizeof args,
                          .batch = 1,
                          .heads_q = 1,
                          .len_q = 1,
                          .len_k = 1,
                          .dim = 4,
                          .query = x,
                          .key = x,
                          .value = x,
                          .output = output,
                          .weights = &weight};
  assert_int_equal(attn_global(context, &args), ATTN_OK);
  assert_int_equal(count_different(4, output, x), 0);
  assert_true(weight == 1);
}

static void test_sizes(void **state) {
  (void)state;
  const int64_t lengths[] = {1, 2, 7, 16, 33, 64, 65, 129, 200};
  for (size_t q = 0; q < COUNT_OF(lengths); q++)
    for (size_t k = 0; k < COUNT_OF(lengths); k++)
      check_spec((case_spec){
          .batch = 1, .heads_q = 2, .len_q = lengths[q], .len_k = lengths[k], .dim = 9, .dim_v = 11});
}

static void test_head_sizes(void **state) {
  (void)state;
  const int64_t dims[] = {1, 2, 15, 16, 80, 96, 128, 256, 512, 1000};
  for (size_t d = 0; d < COUNT_OF(dims); d++)
    for (size_t v = 0; v < COUNT_OF(dims); v++)
      check_spec((case_spec){
          .batch = 1, .heads_q = 1, .len_q = 21, .len_k = 37, .dim = dims[d], .dim_v = dims[v]});
  for (size_t d = 0; d < COUNT_OF(dims); d++)
    check_spec(
        (case_spec){.batch = 2, .heads_q = 2, .len_q = 70, .len_k = 150, .dim = dims[d], .causal = 1});
}

static void test_grouped_queries(void **state) {
  (void)state;
  const int64_t lengths[] = {1, 3, 20, 70};
  for (int64_t heads_kv = 1; heads_kv <= 12; heads_kv++)
    for (size_t q = 0; q < COUNT_OF(lengths); q++) {
      if (12 % heads_kv) continue;
      check_spec((case_spec){.batch = 2,
                             .heads_q = 12,
                             .heads_kv = heads_kv,
                             .len_q = lengths[q],
                             .len_k = 37,
                             .dim = 8,
                             .causal = 1,
                             .causal_offset = 37 - lengths[q]});
    }
  check_spec((case_spec){.batch = 1, .heads_q = 150, .heads_kv = 1, .len_q = 1, .len_k = 20, .dim = 8});
}

static void check_offsets(int64_t len_q, int64_t len_k, int64_t step) {
  for (int64_t offset = -len_q - 2; offset <= len_k + 2; offset += step)
    check_spec((case_spec){.batch = 1,
                           .heads_q = 2,
                           .heads_kv = 1,
                           .len_q = len_q,
                           .len_k = len_k,
                           .dim = 5,
                           .causal = 1,
                           .causal_offset = offset});
}

static void test_causal_offsets(void **state) {
  (void)state;
  for (int64_t len_q = 1; len_q <= 6; len_q++)
    for (int64_t len_k = 1; len_k <= 7; len_k++) check_offsets(len_q, len_k, 1);
  check_offsets(17, 33, 1);
  check_offsets(130, 260, 31);
  check_offsets(260, 130, 31);
  check_offsets(1, 300, 7);
}

static void test_extreme_causal_offsets(void **state) {
  (void)state;
  const int64_t offsets[] = {INT64_MIN, INT64_MIN + 5, INT64_MAX - 5, INT64_MAX};
  for (size_t n = 0; n < COUNT_OF(offsets); n++)
    check_spec((case_spec){.batch = 1,
                           .heads_q = 1,
                           .len_q = 9,
                           .len_k = 9,
                           .dim = 4,
                           .causal = 1,
                           .causal_offset = offsets[n]});
}

static void test_no_keys(void **state) {
  (void)state;
  check_spec((case_spec){.batch = 2, .heads_q = 3, .len_q = 5, .len_k = 0, .dim = 4});
  check_spec((case_spec){.batch = 1, .heads_q = 1, .len_q = 70, .len_k = 0, .dim = 4, .dim_v = 3});
}

static void test_scales(void **state) {
  (void)state;
  const float scales[] = {0, -0.0f, 0.25f, -0.25f, 1, -1, 1e-30f};
  for (size_t n = 0; n < COUNT_OF(scales); n++)
    for (int32_t causal = 0; causal < 2; causal++)
      check_spec((case_spec){.batch = 1,
                             .heads_q = 2,
                             .len_q = 20,
                             .len_k = 150,
                             .dim = 6,
                             .has_scale = 1,
                             .scale = scales[n],
                             .causal = causal});
}

static case_spec layout_spec(tensor_layout query, tensor_layout key, tensor_layout value,
                             tensor_layout output) {
  return (case_spec){.batch = 2,
                     .heads_q = 4,
                     .heads_kv = 2,
                     .len_q = 19,
                     .len_k = 35,
                     .dim = 10,
                     .dim_v = 6,
                     .query_layout = query,
                     .key_layout = key,
                     .value_layout = value,
                     .output_layout = output};
}

static void test_layouts(void **state) {
  (void)state;
  for (int a = 0; a < LAYOUT_INPUTS; a++)
    for (int b = 0; b < LAYOUT_INPUTS; b++)
      for (int side = GUARD_BEFORE; side <= GUARD_AFTER; side++) {
        const tensor_layout one = (tensor_layout)a, other = (tensor_layout)b;
        const tensor_layout output = (tensor_layout)((a + b) % LAYOUT_OUTPUTS);
        case_spec spec = layout_spec(one, one, other, output);
        spec.side = (guard_side)side;
        check_spec(spec);
        spec = layout_spec(other, one, one, output);
        spec.side = (guard_side)side;
        spec.causal = 1;
        check_spec(spec);
      }
}

/* Queries, keys and values side by side in one array (batch, row, 3, head, element). */
static void test_packed_qkv(void **state) {
  (void)state;
  enum { BATCH = 2, LEN = 50, HEADS = 3, DIM = 8, ROW = 3 * HEADS * DIM };
  random_source source = random_seeded(support_seed());
  tensor packed = tensor_make((int64_t[4]){1, BATCH, LEN, ROW}, LAYOUT_DENSE, GUARD_AFTER);
  tensor_fill_normal(&packed, &source);
  const int64_t strides[3] = {LEN * ROW, DIM, ROW};
  attention_case c;
  case_open(&c, &(case_spec){.batch = BATCH, .heads_q = HEADS, .len_q = LEN, .len_k = LEN, .dim = DIM},
            &source);
  c.args.query = packed.first;
  c.args.key = packed.first + HEADS * DIM;
  c.args.value = packed.first + 2 * HEADS * DIM;
  c.args.query_strides = c.args.key_strides = c.args.value_strides = strides;
  case_run(&c, context);
  case_check(&c, tolerance);
  case_close(&c);
  tensor_free(&packed);
}

static void test_dense_is_the_default(void **state) {
  (void)state;
  const case_spec spec = {.batch = 2,
                          .heads_q = 4,
                          .heads_kv = 2,
                          .len_q = 19,
                          .len_k = 35,
                          .dim = 10,
                          .dim_v = 6,
                          .weights = 1,
                          .lse = 1};
  random_source source = random_seeded(1), again = random_seeded(1);
  attention_case a, b;
  case_open(&a, &spec, &source);
  case_open(&b, &spec, &again);
  b.args.query_strides = b.args.key_strides = b.args.value_strides = b.args.output_strides = NULL;
  b.args.weights_strides = b.args.lse_strides = NULL;
  case_run(&a, context);
  case_run(&b, context);
  case_assert_same_bits(&a, &b);
  case_close(&a);
  case_close(&b);
}

/* What else is wanted changes no bit of the output. */
static void test_wanted_results_are_independent(void **state) {
  (void)state;
  attention_case all, some;
  for (int wanted = 0; wanted < 3; wanted++) {
    case_spec spec = {.batch = 1,
                      .heads_q = 2,
                      .len_q = 90,
                      .len_k = 170,
                      .dim = 10,
                      .causal = 1,
                      .weights = 1,
                      .lse = 1};
    random_source source = random_seeded(1), again = random_seeded(1);
    case_open(&all, &spec, &source);
    case_run(&all, context);
    spec.weights = wanted & 1;
    spec.lse = wanted >> 1;
    case_open(&some, &spec, &again);
    case_run(&some, context);
    assert_int_equal(tensor_count_different(&all.output, &some.output), 0);
    assert_int_equal(tensor_count_different(&some.weights, &all.weights), 0);
    assert_int_equal(tensor_count_different(&some.lse, &all.lse), 0);
    case_close(&all);
    case_close(&some);
  }
}

/* Large scores need the largest to be subtracted, and the rescaling where it comes late. */
static void test_large_scores(void **state) {
  (void)state;
  const case_spec spec = {.batch = 1,
                          .heads_q = 1,
                          .len_q = 40,
                          .len_k = 400,
                          .dim = 4,
                          .has_scale = 1,
                          .scale = 1,
                          .weights = 1,
                          .lse = 1};
  random_source source = random_seeded(support_seed());
  attention_case c;
  case_open(&c, &spec, &source);
  for (int64_t j = 0; j < spec.len_k; j++) {
    float *key = tensor_row(&c.key, 0, 0, j);
    for (int64_t d = 0; d < spec.dim; d++) key[d] = (float)(int)(key[d] * 8); /* exact products */
    key[0] = (float)(j / 4);                                                  /* the largest moves on */
  }
  for (int64_t i = 0; i < spec.len_q; i++) {
    float *query = tensor_row(&c.query, 0, 0, i);
    for (int64_t d = 0; d < spec.dim; d++) query[d] = (float)(int)(query[d] * 8);
    query[0] = (float)(i - 20);
  }
  case_run(&c, context);
  case_check(&c, tolerance);
  case_close(&c);
}

/* Each row of the output times numbers, or plus numbers, without a norm. */
static void test_gain_or_shift_alone(void **state) {
  (void)state;
  const case_spec spec = {.batch = 1, .heads_q = 2, .len_q = 5, .len_k = 6, .dim = 3, .lse = 1};
  const float numbers[3] = {2, -3, 0.5f};
  for (int shift = 0; shift < 2; shift++) {
    random_source source = random_seeded(support_seed());
    attention_case c;
    case_open(&c, &spec, &source);
    *(shift ? &c.args.norm_shift : &c.args.norm_gain) = numbers;
    case_run(&c, context);
    case_check_promise(&c);
    case_close(&c);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gain_or_shift_alone),
      cmocka_unit_test(test_the_textbook),
      cmocka_unit_test(test_sizes),
      cmocka_unit_test(test_head_sizes),
      cmocka_unit_test(test_grouped_queries),
      cmocka_unit_test(test_causal_offsets),
      cmocka_unit_test(test_extreme_causal_offsets),
      cmocka_unit_test(test_no_keys),
      cmocka_unit_test(test_scales),
      cmocka_unit_test(test_layouts),
      cmocka_unit_test(test_packed_qkv),
      cmocka_unit_test(test_dense_is_the_default),
      cmocka_unit_test(test_wanted_results_are_independent),
      cmocka_unit_test(test_large_scores),
  };
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, open_context, close_context);
}
