/* reference.c - the kernels in plain C and libm: the definition, the fallback, the oracle of the others.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>

#include "kernels/kernels.h"
#include "kernels/loops.h"

enum { PANEL = 16, SLAB = 4 };

static void multiply_row(const attn__product *p, int64_t row, int64_t col) {
  const float *a = p->a + row * p->stride_a, *b = p->b.data + col / PANEL * p->b.step;
  float *c = p->c + row * p->stride_c + col;
  double sums[PANEL] = {0};
  for (int64_t k = 0; k < p->inner; k++, b += p->b.stride)
    for (int64_t j = 0; j < PANEL; j++) sums[j] += (double)a[k] * (double)b[j];
  for (int64_t j = 0; j < PANEL && j < p->cols - col; j++)
    c[j] = (float)(p->accumulate ? (double)c[j] + sums[j] : sums[j]);
}

static void multiply(const attn__product *p) {
  for (int64_t col = 0; col < p->cols; col += PANEL)
    for (int64_t row = 0; row < p->rows; row++) multiply_row(p, row, col);
}

/* Row number row of all products: of product row / p->rows. */
static void transposed_row(const attn__product *p, int64_t row) {
  const int64_t n = row / p->rows, r = row % p->rows;
  const float *a = p->a + n * p->step_a + r * p->stride_a, *b = p->b.data + n * p->step_b;
  float *c = p->c + n * p->step_c + r * p->stride_c;
  for (int64_t col = 0; col < p->cols; col++, b += p->b.stride) {
    double sum = 0;
    for (int64_t k = 0; k < p->inner; k++) sum += (double)a[k] * (double)b[k];
    c[col] = (float)sum;
  }
}

static void multiply_transposed(const attn__product *p) {
  for (int64_t row = 0; row < (p->more + 1) * p->rows; row++) transposed_row(p, row);
}

static void multiply_in_place(const attn__product *p) {
  for (int64_t row = 0; row < (p->more + 1) * p->rows; row++)
    for (int64_t col = 0; col < p->cols; col++) {
      const int64_t n = row / p->rows, r = row % p->rows;
      const float *a = p->a + n * p->step_a + r * p->stride_a, *b = p->b.data + n * p->step_b + col;
      float *c = p->c + n * p->step_c + r * p->stride_c + col;
      double sum = p->accumulate ? (double)*c : 0;
      for (int64_t k = 0; k < p->inner; k++) sum += (double)a[k] * (double)b[k * p->b.stride];
      *c = (float)sum;
    }
}

static float row_max(int64_t count, const float *x) {
  float max = -INFINITY;
  for (int64_t j = 0; j < count; j++) max = x[j] > max ? x[j] : max;
  return max;
}

static int64_t above(int64_t count, const float *x, float limit, int64_t most, int32_t *found) {
  int64_t seen = 0;
  for (int64_t j = 0; j < count; j++) {
    if (!(x[j] > limit)) continue;
    if (seen == most) return most + 1;
    found[seen++] = (int32_t)j;
  }
  return seen;
}

static float exp_sum(int64_t count, const float *x, float shift, float *out) {
  float sum = 0;
  for (int64_t j = 0; j < count; j++) {
    out[j] = expf(x[j] - shift);
    sum += out[j];
  }
  return sum;
}

static void row_maxima(int64_t rows, int64_t count, const float *x, int64_t stride, float *maxima) {
  for (int64_t r = 0; r < rows; r++) maxima[r] = row_max(count, x + r * stride);
}

static void weigh_rows(int64_t rows, int64_t count, float *x, int64_t stride, const float *shifts,
                       float *sums) {
  for (int64_t r = 0; r < rows; r++) {
    float *row = x + r * stride;
    for (int64_t j = 0; j < count; j++)
      if (row[j] - shifts[r] < ATTN__WEIGHT_LIMIT) row[j] = -INFINITY;
    sums[r] = exp_sum(count, row, shifts[r], row);
  }
}

static void scale(int64_t count, const float *x, float factor, float *out) {
  for (int64_t j = 0; j < count; j++) out[j] = factor * x[j];
}

static void divide(int64_t count, const float *x, float divisor, float *out) {
  for (int64_t j = 0; j < count; j++) out[j] = x[j] / divisor;
}

static void additive(const attn__additive *scores, int64_t count, float *out) {
  for (int64_t j = 0; j < count; j++) {
    float sum = 0;
    for (int64_t d = 0; d < scores->dim; d++)
      sum += scores->weight[d] * tanhf(scores->query[d] + scores->keys[d * scores->stride + j]);
    out[j] = sum;
  }
}

static void softcap(int64_t count, float *x, float cap) {
  for (int64_t j = 0; j < count; j++) x[j] = cap * tanhf(x[j] / cap);
}

static void add_bias(int64_t count, float *x, const float *bias) {
  for (int64_t j = 0; j < count; j++) x[j] = bias[j] == -INFINITY ? -INFINITY : x[j] + bias[j];
}

static int32_t all_finite(int64_t count, const float *x) {
  for (int64_t j = 0; j < count; j++)
    if (!isfinite(x[j])) return 0;
  return 1;
}

static void copy(int64_t rows, int64_t cols, const float *in, int64_t in_stride, float *out,
                 int64_t out_stride) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < cols; c++) out[r * out_stride + c] = in[r * in_stride + c];
}

static void transpose(const attn__rows *rows, float factor, float *out, int64_t out_stride) {
  for (int64_t r = 0; r < rows->count; r++)
    for (int64_t c = 0; c < rows->width; c++)
      out[c * out_stride + r] = factor * rows->data[r * rows->stride + c];
}

const attn__kernels attn__kernels_reference = {
    .name = "reference",
    .panel = PANEL,
    .slab = SLAB,
    .multiply = multiply,
    .few = 8,
    .multiply_transposed = multiply_transposed,
    .multiply_in_place = multiply_in_place,
    .row_max = row_max,
    .exp_sum = exp_sum,
    .row_maxima = row_maxima,
    .weigh_rows = weigh_rows,
    .scale = scale,
    .divide = divide,
    .additive = additive,
    .softcap = softcap,
    .add_bias = add_bias,
    .add_distance = add_distance,
    .mask = mask,
    .subtract = subtract,
    .above = above,
    .dot = dot,
    .all_finite = all_finite,
    .copy = copy,
    .transpose = transpose,
};
