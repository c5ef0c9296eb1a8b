/* naive.c - the formulas in double, one row at a time.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "naive.h"

#include <math.h>
#include <stdlib.h>

static int64_t heads_kv_of(const attn_args *args) {
  return args->heads_kv ? args->heads_kv : args->heads_q;
}

static int64_t dim_v_of(const attn_args *args) {
  return args->dim_v ? args->dim_v : args->dim;
}

naive_row naive_row_make(const attn_args *args) {
  naive_row row = {.len_k = args->len_k, .dim_v = dim_v_of(args)};
  row.output = calloc((size_t)row.dim_v, sizeof(double));
  row.bound = calloc((size_t)row.dim_v, sizeof(double));
  row.weights = calloc((size_t)row.len_k + 1, sizeof(double));
  return row;
}

void naive_row_free(naive_row *row) {
  free(row->output);
  free(row->bound);
  free(row->weights);
}

/* An array of (batch, heads, rows, width). */
static const float *row_of(const float *data, const int64_t *strides, const int64_t shape[4],
                           const int64_t at[3]) {
  const int64_t dense[3] = {shape[1] * shape[2] * shape[3], shape[2] * shape[3], shape[3]};
  const int64_t *step = strides ? strides : dense;
  return data + at[0] * step[0] + at[1] * step[1] + at[2] * step[2];
}

static const float *query_row(const attn_args *args, int64_t b, int64_t h, int64_t i) {
  const int64_t shape[4] = {args->batch, args->heads_q, args->len_q, args->dim}, at[3] = {b, h, i};
  return row_of(args->query, args->query_strides, shape, at);
}

static const float *key_row(const attn_args *args, int64_t b, int64_t h, int64_t j) {
  const int64_t shape[4] = {args->batch, heads_kv_of(args), args->len_k, args->dim}, at[3] = {b, h, j};
  return row_of(args->key, args->key_strides, shape, at);
}

static const float *value_row(const attn_args *args, int64_t b, int64_t h, int64_t j) {
  const int64_t shape[4] = {args->batch, heads_kv_of(args), args->len_k, dim_v_of(args)};
  const int64_t at[3] = {b, h, j};
  return row_of(args->value, args->value_strides, shape, at);
}

int naive_sees(const attn_args *args, int64_t i, int64_t j) {
  return !args->causal || j - i <= args->offset;
}

static double scale_of(const attn_args *args) {
  return args->has_scale ? (double)args->scale : 1 / sqrt((double)args->dim);
}

static double dot(int64_t count, const float *a, const float *b) {
  double sum = 0;
  for (int64_t d = 0; d < count; d++) sum += (double)a[d] * (double)b[d];
  return sum;
}

/* x[0..count) becomes its softmax, where -infinity stands for what is masked; returns the log-sum-exp. A
 * row of nothing but that has weights of 0. */
static double softmax(int64_t count, double *x) {
  double max = -INFINITY, sum = 0;
  for (int64_t j = 0; j < count; j++)
    if (isnan(x[j]) || x[j] > max) max = x[j];
  const double shift = max == -INFINITY ? 0 : max;
  for (int64_t j = 0; j < count; j++) sum += x[j] = exp(x[j] - shift);
  for (int64_t j = 0; j < count; j++) x[j] /= sum == 0 ? 1 : sum;
  return shift + log(sum);
}

void naive_attention(const attn_args *args, int64_t b, int64_t h, int64_t i, naive_row *row) {
  const int64_t head = h / (args->heads_q / heads_kv_of(args));
  const float *query = query_row(args, b, h, i);
  const double scale = scale_of(args);
  for (int64_t j = 0; j < row->len_k; j++)
    row->weights[j] =
        naive_sees(args, i, j) ? scale * dot(args->dim, query, key_row(args, b, head, j)) : -INFINITY;
  row->lse = softmax(row->len_k, row->weights);
  for (int64_t d = 0; d < row->dim_v; d++) row->output[d] = row->bound[d] = 0;
  if (row->lse == -INFINITY) return;
  for (int64_t j = 0; j < row->len_k; j++) {
    if (!naive_sees(args, i, j)) {
      row->weights[j] = 0; /* where the row is NaN too */
      continue;
    }
    const float *value = value_row(args, b, head, j);
    for (int64_t d = 0; d < row->dim_v; d++) {
      row->output[d] += row->weights[j] * (double)value[d];
      row->bound[d] += row->weights[j] * fabs((double)value[d]);
    }
  }
}

double naive_softmax(int64_t count, const float *x, double scale, double *out) {
  for (int64_t j = 0; j < count; j++) out[j] = scale * (double)x[j];
  return softmax(count, out);
}
