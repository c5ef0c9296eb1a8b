/* case.c - one attention call as a test sees it.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "case.h"

#include <math.h>

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
  *c = (attention_case){.spec = *spec,
                        .args = {.size = sizeof(attn_args),
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
  tensor *tensors[] = {&c->query, &c->key,    &c->value,   &c->output,  &c->weights,
                       &c->lse,   &c->scores, &c->centers, &c->residual};
  for (size_t n = 0; n < COUNT_OF(tensors); n++) tensor_free(tensors[n]);
  for (int n = 0; n < c->array_count; n++) guarded_free(&c->arrays[n]);
}

void *case_array(attention_case *c, int64_t bytes) {
  const int64_t size = (int64_t)sizeof(float), floats = (bytes + size - 1) / size;
  assert_true(c->array_count < CASE_ARRAYS);
  guarded *array = &c->arrays[c->array_count++];
  *array = guarded_make(floats, GUARD_AFTER);
  return (char *)array->data + (floats * size - bytes);
}

void case_run(attention_case *c, attn_context *context) {
  tensor *outputs[] = {&c->output, &c->weights, &c->lse, &c->scores};
  for (size_t n = 0; n < COUNT_OF(outputs); n++) tensor_fill_canary(outputs[n]);
  const int32_t status = c->local ? attn_local(context, &c->args) : attn_global(context, &c->args);
  if (status != ATTN_OK) fail_msg("%s: %s", c->name, attn_last_error(context));
}

void case_check_alone(const attention_case *c, attn_context *context) {
  const tensor *output = &c->output;
  tensor alone = tensor_make((int64_t[4]){output->batch, output->heads, output->rows, output->width},
                             LAYOUT_DENSE, c->spec.side);
  attn_args args = c->args;
  args.output = alone.first;
  args.output_strides = alone.strides;
  args.weights = args.lse = args.scores = NULL;
  const int32_t status = c->local ? attn_local(context, &args) : attn_global(context, &args);
  if (status != ATTN_OK) fail_msg("%s: output alone: %s", c->name, attn_last_error(context));
  if (tensor_count_different(output, &alone) > 0) fail_msg("%s: output alone: other bits", c->name);
  tensor_free(&alone);
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

/* One query, and where its results are. Packed sequences have no output past their length. */
typedef struct case_row {
  int64_t b, h, i;
  int64_t dim_v, len_k;
  const float *output, *weights, *lse, *scores; /* NULL: not there */
} case_row;

static case_row row_of(const attention_case *c, int64_t b, int64_t h, int64_t i) {
  const naive_sequence s = naive_sequence_of(&c->args, b);
  case_row row = {.b = b, .h = h, .i = i, .dim_v = c->output.width, .len_k = c->args.len_k};
  if (!c->args.starts_q || i < s.len_q) row.output = tensor_row(&c->output, s.batch_q, h, s.first_q + i);
  if (c->weights.first) row.weights = tensor_row(&c->weights, b, h, i);
  if (c->lse.first) row.lse = tensor_row(&c->lse, b, h, i);
  if (c->scores.first) row.scores = tensor_row(&c->scores, b, h, i);
  return row;
}

static int64_t count_not_zero(int64_t count, const float *x) {
  int64_t others = 0;
  for (int64_t n = 0; n < count; n++) others += !is_plain_zero(x[n]);
  return others;
}

/* What a row that sees no key has: +0.0 wherever no residual and no norm come after it. */
static void check_unseeing_row(const attention_case *c, const case_row *row, const naive_row *expected) {
  const attn_args *args = &c->args;
  const int finished =
      expected->exists && (args->norm || args->norm_gain || args->norm_shift || args->residual);
  int64_t others = 0;
  if (row->output && !finished) others += count_not_zero(row->dim_v, row->output);
  if (row->weights) others += count_not_zero(row->len_k, row->weights);
  if (row->lse) others += *row->lse != (float)expected->lse;
  if (others > 0)
    fail_msg("%s: batch %ld head %ld query %ld sees no key and has %ld numbers other than +0.0", c->name,
             (long)row->b, (long)row->h, (long)row->i, (long)others);
}

static double error_of_output(const case_row *row, const naive_row *expected) {
  double error = 0;
  for (int64_t d = 0; d < row->dim_v && row->output; d++)
    error = fmax(error, error_of(row->output[d], expected->output[d], expected->bound[d]));
  return error;
}

static double error_of_weights(const case_row *row, const naive_row *expected) {
  double error = 0;
  for (int64_t j = 0; j < row->len_k && row->weights; j++) {
    const double weight = expected->weights[j];
    error = fmax(error, error_of(row->weights[j], weight, weight * expected->growth[j]));
  }
  return error;
}

/* That of a score of 1 is that of the tolerance. */
static double error_of_scores(const case_row *row, const naive_row *expected) {
  double error = 0;
  for (int64_t j = 0; j < row->len_k && row->scores; j++)
    error = fmax(error, error_of(row->scores[j], expected->scores[j], 1));
  return error;
}

/* The largest errors that pass. */
typedef struct limits {
  double output, others;
} limits;

static void check_row(const attention_case *c, const case_row *row, const naive_row *expected,
                      limits most) {
  const double output = error_of_output(row, expected), weights = error_of_weights(row, expected);
  const double scores = error_of_scores(row, expected);
  const double lse = row->lse ? error_of(*row->lse, expected->lse, fmax(1, fabs(expected->lse))) : 0;
  if (output > most.output || fmax(weights, fmax(lse, scores)) > most.others)
    fail_msg("%s: batch %ld head %ld query %ld: error of output %g, at most %g; of weights %g, lse %g, "
             "scores %g, at most %g",
             c->name, (long)row->b, (long)row->h, (long)row->i, output, most.output, weights, lse, scores,
             most.others);
  if (expected->seen == 0 || expected->lse == -INFINITY) check_unseeing_row(c, row, expected);
}

/* An output is the mean of many errors; a single weight or score may have twice as much. Both grow with the
 * scores. */
static limits promised(const naive_row *expected) {
  const double growth = fmax(1, expected->largest / 5);
  return (limits){2e-6 * growth, 4e-6 * growth};
}

/* Every row within tolerance, or (0) within what is promised; returns how many see no key. */
static int64_t check_rows(const attention_case *c, double tolerance) {
  naive_row expected = naive_row_make(&c->args);
  int64_t unseeing = 0;
  for (int64_t b = 0; b < c->args.batch; b++)
    for (int64_t h = 0; h < c->args.heads_q; h++)
      for (int64_t i = 0; i < c->args.len_q; i++) {
        const case_row row = row_of(c, b, h, i);
        naive_attention(&c->args, b, h, i, &expected);
        if (!expected.undecided)
          check_row(c, &row, &expected,
                    tolerance > 0 ? (limits){tolerance, tolerance} : promised(&expected));
        unseeing += expected.seen == 0;
      }
  naive_row_free(&expected);
  return unseeing;
}

/* Of packed sequences only rows that stand for a query are written. */
static int64_t count_output_rows(const attention_case *c) {
  int64_t rows = 0;
  for (int64_t b = 0; b < c->args.batch; b++)
    rows += c->args.starts_q ? naive_sequence_of(&c->args, b).len_q : c->args.len_q;
  return rows * c->args.heads_q;
}

/* All that had to be written was, and nothing else. */
static void check_written(const attention_case *c) {
  const tensor *outputs[] = {&c->output, &c->weights, &c->lse, &c->scores};
  const int64_t rows = c->output.batch * c->output.heads * c->output.rows;
  for (size_t n = 0; n < COUNT_OF(outputs); n++) {
    const int64_t unwritten = n == 0 ? (rows - count_output_rows(c)) * c->output.width : 0;
    if (tensor_count_spilled(outputs[n]) > 0) fail_msg("%s: spilled beside array %zu", c->name, n);
    if (tensor_count_untouched(outputs[n]) != unwritten)
      fail_msg("%s: array %zu is not written as it should be", c->name, n);
  }
}

void case_check(const attention_case *c, double tolerance) {
  check_rows(c, tolerance);
  check_written(c);
}

int64_t case_check_promise(const attention_case *c) {
  const int64_t unseeing = check_rows(c, 0);
  check_written(c);
  return unseeing;
}

void case_check_row(const attention_case *c, const int64_t at[3], const naive_row *expected, double times) {
  const case_row row = row_of(c, at[0], at[1], at[2]);
  const limits most = promised(expected);
  check_row(c, &row, expected, (limits){times * most.output, times * most.others});
}

double case_output_error(const attention_case *c, int64_t b, int64_t h, int64_t i) {
  naive_row expected = naive_row_make(&c->args);
  const case_row row = row_of(c, b, h, i);
  naive_attention(&c->args, b, h, i, &expected);
  const double error = error_of_output(&row, &expected);
  naive_row_free(&expected);
  return error;
}

void case_assert_same_bits(const attention_case *a, const attention_case *b) {
  assert_int_equal(tensor_count_different(&a->output, &b->output), 0);
  assert_int_equal(tensor_count_different(&a->weights, &b->weights), 0);
  assert_int_equal(tensor_count_different(&a->lse, &b->lse), 0);
  assert_int_equal(tensor_count_different(&a->scores, &b->scores), 0);
}

void case_assert_untouched(const attention_case *c) {
  const tensor *outputs[] = {&c->output, &c->weights, &c->lse, &c->scores};
  for (size_t n = 0; n < COUNT_OF(outputs); n++)
    assert_int_equal(tensor_count_untouched(outputs[n]),
                     outputs[n]->batch * outputs[n]->heads * outputs[n]->rows * outputs[n]->width);
}
