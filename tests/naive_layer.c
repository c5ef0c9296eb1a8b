/* naive_layer.c - the formulas in double of a self-attention layer.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "naive_layer.h"

#include <math.h>
#include <stdlib.h>

#include "naive.h"

/* The length of x - middle. */
static double size_of(int64_t count, const double *x, double middle) {
  double sum = 0;
  for (int64_t d = 0; d < count; d++) sum += (x[d] - middle) * (x[d] - middle);
  return sqrt(sum);
}

static double mean_of(int64_t count, const double *x) {
  double sum = 0;
  for (int64_t d = 0; d < count; d++) sum += x[d];
  return sum / (double)count;
}

/* No norm makes an error larger than by its factor; but it spreads it over the row. */
static void normalise(const attn_args *args, int64_t count, double *x, double *bound) {
  const double epsilon = args->norm_epsilon > 0 ? (double)args->norm_epsilon : 1e-5;
  const double middle = args->norm == ATTN_NORM_LAYER ? mean_of(count, x) : 0;
  const double size = size_of(count, x, middle), error = size_of(count, bound, 0);
  const double factor = args->norm == ATTN_NORM_L2 ? 1 / fmax(size, epsilon)
                                                   : 1 / sqrt(size * size / (double)count + epsilon);
  for (int64_t d = 0; d < count; d++) {
    x[d] = (x[d] - middle) * factor;
    bound[d] = error * factor;
  }
}

/* Each number on the way may be rounded to a float: its rounding is far below a quarter of the tolerance, which
 * is relative down to the smallest normal float; a norm makes denormals, and their roundings, large again. */
void naive_finish(const attn_args *args, int64_t count, const float *residual, double *x, double *bound) {
  for (int64_t d = 0; d < count; d++) bound[d] = fmax(bound[d], 0x1p-126);
  for (int64_t d = 0; d < count && residual; d++) {
    x[d] += (double)residual[d];
    bound[d] += fabs((double)residual[d]) / 4;
  }
  if (args->norm != ATTN_NORM_NONE) normalise(args, count, x, bound);
  for (int64_t d = 0; d < count; d++) {
    const double gain = args->norm_gain ? (double)args->norm_gain[d] : 1;
    const double shift = args->norm_shift ? (double)args->norm_shift[d] : 0;
    x[d] = x[d] * gain + shift;
    if (args->norm || args->norm_gain || args->norm_shift)
      bound[d] = bound[d] * fabs(gain) + fabs(x[d]) / 4 + fabs(shift) / 4;
  }
}

static int64_t heads_kv_of(const attn_args *args) {
  return args->heads_kv ? args->heads_kv : args->heads_q;
}

static int64_t dim_v_of(const attn_args *args) {
  return args->dim_v ? args->dim_v : args->dim;
}

static int64_t larger(int64_t a, int64_t b) {
  return a > b ? a : b;
}

/* A projection of x: rows first to first + width of the weight and the bias. */
typedef struct projection {
  const float *weight, *bias; /* bias: NULL for none */
  int64_t width;
} projection;

static projection projection_of(const attn_self_args *args, char which) {
  const attn_args *attention = args->attention;
  const int64_t width_q = attention->heads_q * attention->dim;
  const int64_t width_k = heads_kv_of(attention) * attention->dim;
  const int64_t width_v = heads_kv_of(attention) * dim_v_of(attention);
  const int64_t first = which == 'q' ? 0 : which == 'k' ? width_q : width_q + width_k;
  const int64_t width = which == 'q' ? width_q : which == 'k' ? width_k : width_v;
  if (args->weight_qkv)
    return (projection){args->weight_qkv + first * args->dim_model,
                        args->bias_qkv ? args->bias_qkv + first : NULL, width};
  if (which == 'q') return (projection){args->weight_q, args->bias_q, width};
  if (which == 'k') return (projection){args->weight_k, args->bias_k, width};
  return (projection){args->weight_v, args->bias_v, width};
}

/* y: one row, y = x W^T + bias. */
static void project(const attn_self_args *args, const projection *p, const float *x, double *y) {
  for (int64_t n = 0; n < p->width; n++) {
    y[n] = p->bias ? (double)p->bias[n] : 0;
    for (int64_t e = 0; e < args->dim_model; e++)
      y[n] += (double)x[e] * (double)p->weight[n * args->dim_model + e];
  }
}

/* Turns the pairs of each head of dim elements by position * base^(-2 n / rope_dim). */
static void rotate(const attn_self_args *args, double position, int64_t width, double *y) {
  const int64_t dim = args->attention->dim, turned = args->rope_dim ? args->rope_dim : dim;
  const double base = args->rope_base > 0 ? (double)args->rope_base : 10000;
  for (int64_t head = 0; head < width && args->rope; head += dim)
    for (int64_t n = 0; n < turned / 2; n++) {
      const int half = args->rope == ATTN_ROPE_HALF;
      double *first = y + head + (half ? n : 2 * n), *second = half ? first + turned / 2 : first + 1;
      const double angle = position * pow(base, -2 * (double)n / (double)turned);
      const double a = *first, b = *second;
      *first = a * cos(angle) - b * sin(angle);
      *second = b * cos(angle) + a * sin(angle);
    }
}

/* All rows of queries, keys or values: (batch, row, head, element). Rows of x past both lengths are not read;
 * what becomes of them is 0. */
static float *project_all(const attn_self_args *args, char which, int64_t strides[3]) {
  const attn_args *attention = args->attention;
  const projection p = projection_of(args, which);
  const int64_t dim = which == 'v' ? dim_v_of(attention) : attention->dim, len = attention->len_q;
  const int64_t dense[2] = {len * args->dim_model, args->dim_model};
  const int64_t *step = args->x_strides ? args->x_strides : dense;
  float *all = calloc((size_t)(attention->batch * len * p.width) + 1, sizeof *all);
  double *y = calloc((size_t)p.width + 1, sizeof *y);
  for (int64_t b = 0; b < attention->batch; b++) {
    const naive_sequence s = naive_sequence_of(attention, b);
    for (int64_t i = 0; i < larger(s.len_q, s.len_k); i++) {
      project(args, &p, args->x + b * step[0] + i * step[1], y);
      if (which != 'v') rotate(args, (double)i + (double)s.offset, p.width, y);
      for (int64_t n = 0; n < p.width; n++) all[(b * len + i) * p.width + n] = (float)y[n];
    }
  }
  free(y);
  strides[0] = len * p.width;
  strides[1] = dim;
  strides[2] = p.width;
  return all;
}

void naive_layer_open(naive_layer *layer, const attn_self_args *args) {
  *layer = (naive_layer){.args = args, .heads = *args->attention};
  layer->query = project_all(args, 'q', layer->strides_q);
  layer->key = project_all(args, 'k', layer->strides_k);
  layer->value = project_all(args, 'v', layer->strides_v);
  layer->heads.query = layer->query;
  layer->heads.key = layer->key;
  layer->heads.value = layer->value;
  layer->heads.query_strides = layer->strides_q;
  layer->heads.key_strides = layer->strides_k;
  layer->heads.value_strides = layer->strides_v;
  layer->heads.residual = layer->heads.norm_gain = layer->heads.norm_shift = NULL;
  layer->heads.norm = ATTN_NORM_NONE;
}

void naive_layer_close(naive_layer *layer) {
  free(layer->query);
  free(layer->key);
  free(layer->value);
}

/* Adds what one head gives to a row of the output. The bound of a head is doubled, and half a unit joins it,
 * as the library's queries, keys and values are rounded as well. */
static void add_head(const attn_self_args *args, int64_t h, const naive_row *row, double *output,
                     double *bound) {
  const int64_t width = args->attention->heads_q * row->dim_v;
  const int64_t count = args->dim_output ? args->dim_output : args->dim_model;
  for (int64_t d = 0; d < row->dim_v; d++) {
    const int64_t at = h * row->dim_v + d;
    for (int64_t n = 0; n < count; n++) {
      const double weight = args->weight_o ? (double)args->weight_o[n * width + at] : n == at;
      output[n] += weight * row->output[d];
      bound[n] += fabs(weight) * (2 * row->bound[d] + 0.5);
    }
  }
}

double naive_layer_row(const naive_layer *layer, int64_t b, int64_t i, double *output, double *bound) {
  const attn_self_args *args = layer->args;
  const attn_args *attention = args->attention;
  const int64_t count = args->dim_output ? args->dim_output : args->dim_model;
  const int64_t dense[3] = {attention->len_q * count, 0, count};
  const int64_t *step = attention->residual_strides ? attention->residual_strides : dense;
  double largest = 0;
  for (int64_t n = 0; n < count; n++) output[n] = bound[n] = 0;
  if (i >= naive_sequence_of(attention, b).len_q) return 0;
  for (int64_t n = 0; n < count && args->bias_o; n++) output[n] = (double)args->bias_o[n];
  naive_row row = naive_row_make(&layer->heads);
  for (int64_t h = 0; h < attention->heads_q; h++) {
    naive_attention(&layer->heads, b, h, i, &row);
    add_head(args, h, &row, output, bound);
    largest = fmax(largest, row.largest);
  }
  naive_row_free(&row);
  naive_finish(attention, count,
               attention->residual ? attention->residual + b * step[0] + i * step[2] : NULL, output, bound);
  return largest;
}
