/* naive.c - the formulas in double, one row at a time.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "naive.h"

#include <math.h>
#include <stdlib.h>

#include "naive_layer.h"

static int64_t heads_kv_of(const attn_args *args) {
  return args->heads_kv ? args->heads_kv : args->heads_q;
}

static int64_t dim_v_of(const attn_args *args) {
  return args->dim_v ? args->dim_v : args->dim;
}

static int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

naive_sequence naive_sequence_of(const attn_args *args, int64_t b) {
  naive_sequence s = {.batch_q = b, .len_q = args->len_q, .batch_k = b, .len_k = args->len_k};
  if (args->starts_q) {
    s.batch_q = 0;
    s.first_q = args->starts_q[b];
    s.len_q = args->starts_q[b + 1] - args->starts_q[b];
  }
  if (args->starts_k) {
    s.batch_k = 0;
    s.first_k = args->starts_k[b];
    s.len_k = args->starts_k[b + 1] - args->starts_k[b];
  }
  if (args->lengths_q) s.len_q = smaller(s.len_q, args->lengths_q[b]);
  if (args->lengths_k) s.len_k = smaller(s.len_k, args->lengths_k[b]);
  s.offset = args->offsets ? args->offsets[b] : args->offset;
  return s;
}

naive_row naive_row_make(const attn_args *args) {
  naive_row row = {.len_k = args->len_k, .dim_v = dim_v_of(args)};
  row.output = calloc((size_t)row.dim_v, sizeof(double));
  row.bound = calloc((size_t)row.dim_v, sizeof(double));
  row.weights = calloc((size_t)row.len_k + 1, sizeof(double));
  row.growth = calloc((size_t)row.len_k + 1, sizeof(double));
  row.scores = calloc((size_t)row.len_k + 1, sizeof(double));
  return row;
}

void naive_row_free(naive_row *row) {
  free(row->output);
  free(row->bound);
  free(row->weights);
  free(row->growth);
  free(row->scores);
}

/* An array of (batch, heads, rows, width). */
static const float *row_of(const float *data, const int64_t *strides, const int64_t shape[4],
                           const int64_t at[3]) {
  const int64_t dense[3] = {shape[1] * shape[2] * shape[3], shape[2] * shape[3], shape[3]};
  const int64_t *step = strides ? strides : dense;
  return data + at[0] * step[0] + at[1] * step[1] + at[2] * step[2];
}

/* Where element (b, h, i, j) of an array of (batch, heads_q, len_q, len_k) is. */
static int64_t place_of(const attn_args *args, const int64_t *strides, const int64_t at[4]) {
  const int64_t row = args->len_k, head = args->len_q * row, batch = args->heads_q * head;
  const int64_t dense[4] = {batch, head, row, 1}, *step = strides ? strides : dense;
  return at[0] * step[0] + at[1] * step[1] + at[2] * step[2] + at[3] * step[3];
}

/* A query, and what decides about all of its keys. */
typedef struct query {
  const attn_args *args;
  naive_sequence sequence;
  int64_t b, h, i;
  const float *row;
  double position, middle, sigma; /* sigma is 0 where there is no Gaussian */
  double middle_error;            /* of a predicted middle, in units of the tolerance */
  int undecided;
} query;

static double dot(int64_t count, const float *a, const float *b) {
  double sum = 0;
  for (int64_t d = 0; d < count; d++) sum += (double)a[d] * (double)b[d];
  return sum;
}

/* The middle's error has two parts: that of the energy, as steep as the sigmoid is there, and its own rounding,
 * which whole numbers do not have. Windows end at keys where their middle is one. */
static void predict_middle(query *q) {
  const attn_args *args = q->args;
  double energy = 0, size = 0;
  for (int64_t p = 0; p < args->predict_dim; p++) {
    const double v = (double)args->predict_vector[p];
    energy += v * tanh(dot(args->dim, args->predict_matrix + p * args->dim, q->row));
    size += fabs(v);
  }
  const double sigmoid = 1 / (1 + exp(-energy)), keys = (double)q->sequence.len_k;
  const double from_energy = keys * sigmoid * (1 - sigmoid) * size;
  q->middle = keys * sigmoid;
  q->middle_error = from_energy + q->middle / 32;
  const double gap = fabs(q->middle - nearbyint(q->middle));
  q->undecided = gap < 2e-6 * (gap > 0 ? q->middle_error : from_energy);
}

static query query_of(const attn_args *args, int64_t b, int64_t h, int64_t i) {
  query q = {.args = args, .sequence = naive_sequence_of(args, b), .b = b, .h = h, .i = i};
  const int64_t rows = args->starts_q ? args->starts_q[args->batch] : args->len_q;
  const int64_t shape[4] = {args->batch, args->heads_q, rows, args->dim};
  const int64_t at[3] = {q.sequence.batch_q, h, q.sequence.first_q + i};
  const int64_t one[4] = {args->batch, args->heads_q, args->len_q, 1}, center[3] = {b, h, i};
  q.row = row_of(args->query, args->query_strides, shape, at);
  q.position = (double)i + (double)q.sequence.offset;
  q.middle = q.position;
  if (i >= q.sequence.len_q) return q;
  if (args->centers) q.middle = (double)*row_of(args->centers, args->centers_strides, one, center);
  if (args->predict_matrix) predict_middle(&q);
  if (args->centers || args->predict_matrix)
    q.sigma = args->sigma > 0 ? (double)args->sigma : (double)args->window_left / 2;
  return q;
}

static const float *key_row(const query *q, int64_t j) {
  const attn_args *args = q->args;
  const int64_t heads = heads_kv_of(args),
                rows = args->starts_k ? args->starts_k[args->batch] : args->len_k;
  const int64_t shape[4] = {args->batch, heads, rows, args->dim};
  const int64_t at[3] = {q->sequence.batch_k, q->h / (args->heads_q / heads), q->sequence.first_k + j};
  return row_of(args->key, args->key_strides, shape, at);
}

static const float *value_row(const query *q, int64_t j) {
  const attn_args *args = q->args;
  const int64_t heads = heads_kv_of(args),
                rows = args->starts_k ? args->starts_k[args->batch] : args->len_k;
  const int64_t shape[4] = {args->batch, heads, rows, dim_v_of(args)};
  const int64_t at[3] = {q->sequence.batch_k, q->h / (args->heads_q / heads), q->sequence.first_k + j};
  return row_of(args->value, args->value_strides, shape, at);
}

static double bias_of(const query *q, int64_t j) {
  if (!q->args->bias) return 0;
  const int64_t at[4] = {q->b, q->h, q->i, j};
  return (double)q->args->bias[place_of(q->args, q->args->bias_strides, at)];
}

/* Around a middle that is NaN there is every key, so that it is not lost. */
static int in_window(const query *q, int64_t j) {
  const attn_args *args = q->args;
  const double dilation = args->window_dilation > 1 ? (double)args->window_dilation : 1;
  const double distance = (double)j - q->middle;
  if (args->window_left >= 0 && distance < -(double)args->window_left * dilation) return 0;
  if (args->window_right >= 0 && distance > (double)args->window_right * dilation) return 0;
  return dilation == 1 || fmod(distance, dilation) == 0;
}

static int sees(const query *q, int64_t j) {
  const attn_args *args = q->args;
  const int64_t at[4] = {q->b, q->h, q->i, j};
  if (q->i >= q->sequence.len_q || j >= q->sequence.len_k) return 0;
  if (args->causal && (double)j > q->position) return 0;
  if (args->has_window && j >= args->window_prefix && !in_window(q, j)) return 0;
  if (args->mask && !args->mask[place_of(args, args->mask_strides, at)]) return 0;
  return bias_of(q, j) != -INFINITY;
}

int naive_sees(const attn_args *args, int64_t b, int64_t h, int64_t i, int64_t j) {
  const query q = query_of(args, b, h, i);
  return sees(&q, j);
}

/* q^T W k, as (W^T q) . k. */
static double general(const query *q, const float *key) {
  const int64_t dim = q->args->dim;
  double sum = 0;
  for (int64_t e = 0; e < dim; e++) {
    double turned = 0;
    for (int64_t d = 0; d < dim; d++)
      turned += (double)q->row[d] * (double)q->args->score_weight[d * dim + e];
    sum += turned * (double)key[e];
  }
  return sum;
}

/* v . tanh(q + k). */
static double additive(const query *q, const float *key) {
  double sum = 0;
  for (int64_t d = 0; d < q->args->dim; d++)
    sum += (double)q->args->score_weight[d] * tanh((double)q->row[d] + (double)key[d]);
  return sum;
}

static double scale_of(const attn_args *args) {
  if (args->has_scale) return (double)args->scale;
  return args->score_function == ATTN_SCORE_DOT ? 1 / sqrt((double)args->dim) : 1;
}

/* The score with key j: scaled, after the softcap, and with all that is added. */
static void score_stages(const query *q, int64_t j, double stage[3]) {
  const attn_args *args = q->args;
  const float *key = key_row(q, j);
  const double cap = (double)args->softcap;
  const double raw = args->score_function == ATTN_SCORE_GENERAL    ? general(q, key)
                     : args->score_function == ATTN_SCORE_ADDITIVE ? additive(q, key)
                                                                   : dot(args->dim, q->row, key);
  stage[0] = scale_of(args) * raw;
  stage[1] = cap > 0 ? cap * tanh(stage[0] / cap) : stage[0];
  stage[2] = stage[1] + bias_of(q, j);
  if (args->alibi_slopes) stage[2] -= (double)args->alibi_slopes[q->h] * fabs(q->position - (double)j);
}

/* The scores that the softmax sees, in weights, and those that the caller wants. */
static void make_scores(const query *q, naive_row *row) {
  const int before_masks = q->args->scores && q->args->scores_stage < 2;
  for (int64_t j = 0; j < row->len_k; j++) {
    const int visible = sees(q, j), wanted = before_masks && j < q->sequence.len_k;
    double stage[3] = {0};
    row->weights[j] = row->scores[j] = -INFINITY;
    if (!visible && !wanted) continue;
    score_stages(q, j, stage);
    for (int n = 0; n < 3; n++)
      if (isfinite(stage[n])) row->largest = fmax(row->largest, fabs(stage[n]));
    if (visible) row->weights[j] = stage[2];
    if (visible || wanted) row->scores[j] = stage[q->args->scores_stage];
    row->seen += visible;
  }
}

/* 1 if no score is above -infinity, be they masked or not. */
static int all_masked(const naive_row *row) {
  for (int64_t j = 0; j < row->len_k; j++)
    if (row->weights[j] != -INFINITY) return 0;
  return 1;
}

/* x[0..count) becomes its softmax, where -infinity stands for what is masked; returns the log-sum-exp. The
 * sink (-infinity: none) is in the sum only. A row of nothing but -infinity has weights of 0. */
static double softmax(int64_t count, double *x, double sink) {
  double max = sink, sum = 0;
  for (int64_t j = 0; j < count; j++)
    if (isnan(x[j]) || x[j] > max) max = x[j];
  const double shift = max == -INFINITY ? 0 : max;
  for (int64_t j = 0; j < count; j++) sum += x[j] = exp(x[j] - shift);
  sum += exp(sink - shift);
  for (int64_t j = 0; j < count; j++) x[j] /= sum == 0 ? 1 : sum;
  return shift + log(sum);
}

/* Multiplies by the Gaussian; its exponent is rounded as a score is, and a predicted middle moves it. */
static void weigh(const query *q, naive_row *row) {
  for (int64_t j = 0; j < row->len_k; j++) {
    row->growth[j] = 1;
    if (q->sigma == 0) continue;
    const double distance = ((double)j - q->middle) / q->sigma, exponent = distance * distance / 2;
    row->weights[j] *= exp(-exponent);
    row->growth[j] = 1 + exponent / 5 + fabs(distance) / q->sigma * q->middle_error;
  }
}

/* Outputs may leave out weights below this, but for rounding e^-80 of the largest, which a Gaussian may take away
 * (docs/numerics.md). */
static double faint_weight(const naive_row *row) {
  double largest = 0;
  for (int64_t j = 0; j < row->len_k; j++) largest = fmax(largest, row->weights[j]);
  return 1.001 * exp(-80) * largest;
}

static void add_values(const query *q, naive_row *row, double faint) {
  for (int64_t j = 0; j < row->len_k; j++) {
    if (!sees(q, j)) {
      row->weights[j] = 0; /* where the row is NaN too */
      continue;
    }
    const float *value = value_row(q, j);
    const double growth = row->weights[j] < faint ? 1e7 : row->growth[j]; /* all of it may be missing */
    for (int64_t d = 0; d < row->dim_v; d++) {
      row->output[d] += row->weights[j] * (double)value[d];
      row->bound[d] += row->weights[j] * growth * fabs((double)value[d]);
    }
  }
}

static const float *residual_row(const query *q) {
  const attn_args *args = q->args;
  const int64_t rows = args->starts_q ? args->starts_q[args->batch] : args->len_q;
  const int64_t shape[4] = {args->batch, args->heads_q, rows, dim_v_of(args)};
  const int64_t at[3] = {q->sequence.batch_q, q->h, q->sequence.first_q + q->i};
  return args->residual ? row_of(args->residual, args->residual_strides, shape, at) : NULL;
}

static void clear(naive_row *row) {
  for (int64_t d = 0; d < row->dim_v; d++) row->output[d] = row->bound[d] = 0;
  for (int64_t j = 0; j < row->len_k; j++) row->weights[j] = 0;
  for (int64_t j = 0; j < row->len_k; j++) row->scores[j] = -INFINITY;
  row->exists = 0;
  row->undecided = 0;
  row->seen = 0;
  row->largest = 0;
  row->lse = -INFINITY;
}

void naive_attention(const attn_args *args, int64_t b, int64_t h, int64_t i, naive_row *row) {
  const query q = query_of(args, b, h, i);
  clear(row);
  if (i >= q.sequence.len_q) return;
  row->exists = 1;
  row->undecided = q.undecided;
  make_scores(&q, row);
  const int nothing = all_masked(row);
  row->lse = softmax(row->len_k, row->weights, args->sinks ? (double)args->sinks[h] : -INFINITY);
  const double faint = faint_weight(row);
  weigh(&q, row);
  if (!nothing) add_values(&q, row, faint);
  naive_finish(args, row->dim_v, residual_row(&q), row->output, row->bound);
}

double naive_softmax(int64_t count, const float *x, double scale, double *out) {
  for (int64_t j = 0; j < count; j++) out[j] = scale * (double)x[j];
  return softmax(count, out, -INFINITY);
}
