/* case.c - one attention call as a test sees it.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "case.h"

#include <math.h>

#include "naive.h"

/* Below this, floats are denormal and relative errors mean nothing. */
static const double smallest_normal = 0x1p-126;

static tensor make_input(const int64_t shape[4], tensor_layout layout, guard_side side,
                         random_source *source) {
  tensor t = tensor_make(shape, layout, side);
  tensor_fill_normal(&t, source);
  return t;
}

static void open_tensors(attention_case *c, const case_spec *spec, random_source *source) {
  const attn_args *args = &c->args;
  const int64_t heads_kv = args->heads_kv ? args->heads_kv : args->heads_q;
  const int64_t dim_v = args->dim_v ? args->dim_v : args->dim;
  const int64_t query[4] = {args->batch, args->heads_q, args->len_q, args->dim};
  const int64_t key[4] = {args->batch, heads_kv, args->len_k, args->dim};
  const int64_t value[4] = {args->batch, heads_kv, args->len_k, dim_v};
  const int64_t output[4] = {args->batch, args->heads_q, args->len_q, dim_v};
  const int64_t weights[4] = {args->batch, args->heads_q, args->len_q, args->len_k};
  const int64_t lse[4] = {args->batch, args->heads_q, args->len_q, 1};
  c->query = make_input(query, spec->query_layout, spec->side, source);
  c->key = make_input(key, spec->key_layout, spec->side, source);
  c->value = make_input(value, spec->value_layout, spec->side, source);
  c->output = tensor_make(output, spec->output_layout, spec->side);
  if (spec->weights) c->weights = tensor_make(weights, spec->output_layout, spec->side);
  if (spec->lse) c->lse = tensor_make(lse, spec->output_layout, spec->side);
}

void case_open(attention_case *c, const case_spec *spec, random_source *source) {
  *c = (attention_case){.args = {.size = sizeof(attn_args),
                                 .batch = spec->batch,
                                 .heads_q = spec->heads_q,
                                 .heads_kv = spec->heads_kv,
                                 .len_q = spec->len_q,
                                 .len_k = spec->len_k,
                                 .dim = spec->dim,
                                 .dim_v = spec->dim_v,
                                 .has_scale = spec->has_scale,
                                 .scale = spec->scale,
                                 .causal = spec->causal,
                                 .offset = spec->causal_offset}};
  open_tensors(c, spec, source);
  c->args.query = c->query.first;
  c->args.key = c->key.first;
  c->args.value = c->value.first;
  c->args.output = c->output.first;
  c->args.weights = c->weights.first;
  c->args.lse = c->lse.first;
  c->args.query_strides = c->query.strides;
  c->args.key_strides = c->key.strides;
  c->args.value_strides = c->value.strides;
  c->args.output_strides = c->output.strides;
  c->args.weights_strides = c->weights.strides;
  c->args.lse_strides = c->lse.strides;
}

void case_close(attention_case *c) {
  tensor_free(&c->query);
  tensor_free(&c->key);
  tensor_free(&c->value);
  tensor_free(&c->output);
  tensor_free(&c->weights);
  tensor_free(&c->lse);
}

void case_run(attention_case *c, attn_context *context) {
  tensor_fill_canary(&c->output);
  tensor_fill_canary(&c->weights);
  tensor_fill_canary(&c->lse);
  if (attn_global(context, &c->args) != ATTN_OK) fail_msg("%s", attn_last_error(context));
}

/* The error of a result in units of bound; infinity where only one is NaN, or an infinity is missed. */
static double error_of(float result, double expected, double bound) {
  if (isnan(expected)) return isnan(result) ? 0 : INFINITY;
  if (isinf(expected)) return (double)result == expected ? 0 : INFINITY;
  if (isnan(result)) return INFINITY;
  const double difference = fabs((double)result - expected);
  return difference == 0 ? 0 : difference / fmax(bound, smallest_normal);
}

/* +0.0, sign included. */
static int is_plain_zero(float x) {
  return bits_of(x) == 0;
}

static void check_unseeing_row(const attention_case *c, int64_t b, int64_t h, int64_t i) {
  int64_t others = 0;
  for (int64_t d = 0; d < c->output.width; d++)
    others += !is_plain_zero(tensor_row(&c->output, b, h, i)[d]);
  for (int64_t j = 0; j < c->weights.width; j++)
    others += !is_plain_zero(tensor_row(&c->weights, b, h, i)[j]);
  if (others > 0)
    fail_msg("batch %ld head %ld query %ld sees no key and has %ld numbers other than +0.0", (long)b,
             (long)h, (long)i, (long)others);
}

static void check_row(const attention_case *c, int64_t at[3], const naive_row *row, double tolerance) {
  double error_output = 0, error_weights = 0, error_lse = 0;
  const int64_t b = at[0], h = at[1], i = at[2];
  for (int64_t d = 0; d < c->output.width; d++)
    error_output =
        fmax(error_output, error_of(tensor_row(&c->output, b, h, i)[d], row->output[d], row->bound[d]));
  for (int64_t j = 0; j < c->weights.width; j++)
    error_weights = fmax(error_weights,
                         error_of(tensor_row(&c->weights, b, h, i)[j], row->weights[j], row->weights[j]));
  if (c->lse.first) error_lse = error_of(*tensor_row(&c->lse, b, h, i), row->lse, fmax(1, fabs(row->lse)));
  if (error_output > tolerance || error_weights > tolerance || error_lse > tolerance)
    fail_msg("batch %ld head %ld query %ld: errors of output %g, weights %g, lse %g are above %g", (long)b,
             (long)h, (long)i, error_output, error_weights, error_lse, tolerance);
  if (row->lse == -INFINITY) check_unseeing_row(c, b, h, i);
}

void case_check(const attention_case *c, double tolerance) {
  naive_row row = naive_row_make(&c->args);
  for (int64_t b = 0; b < c->args.batch; b++)
    for (int64_t h = 0; h < c->args.heads_q; h++)
      for (int64_t i = 0; i < c->args.len_q; i++) {
        naive_attention(&c->args, b, h, i, &row);
        check_row(c, (int64_t[3]){b, h, i}, &row, tolerance);
      }
  naive_row_free(&row);
  assert_int_equal(tensor_count_spilled(&c->output), 0);
  assert_int_equal(tensor_count_spilled(&c->weights), 0);
  assert_int_equal(tensor_count_spilled(&c->lse), 0);
}

double case_output_error(const attention_case *c, int64_t b, int64_t h, int64_t i) {
  naive_row row = naive_row_make(&c->args);
  double error = 0;
  naive_attention(&c->args, b, h, i, &row);
  for (int64_t d = 0; d < c->output.width; d++)
    error = fmax(error, error_of(tensor_row(&c->output, b, h, i)[d], row.output[d], row.bound[d]));
  naive_row_free(&row);
  return error;
}

void case_assert_same_bits(const attention_case *a, const attention_case *b) {
  assert_int_equal(tensor_count_different(&a->output, &b->output), 0);
  assert_int_equal(tensor_count_different(&a->weights, &b->weights), 0);
  assert_int_equal(tensor_count_different(&a->lse, &b->lse), 0);
}

void case_assert_untouched(const attention_case *c) {
  assert_int_equal(tensor_count_untouched(&c->output),
                   c->output.batch * c->output.heads * c->output.rows * c->output.width);
  assert_int_equal(tensor_count_untouched(&c->weights),
                   c->weights.batch * c->weights.heads * c->weights.rows * c->weights.width);
  assert_int_equal(tensor_count_untouched(&c->lse), c->lse.batch * c->lse.heads * c->lse.rows);
}
