/* norm.c - what becomes of an output row at the end: residual, norm, gain and shift.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "norm.h"

#include <math.h>
#include <stddef.h>

#include "attn/attn.h"

static double mean(int64_t count, const float *row) {
  double sum = 0;
  for (int64_t d = 0; d < count; d++) sum += (double)row[d];
  return sum / (double)count;
}

/* The mean of (row - middle)^2. */
static double mean_square(int64_t count, const float *row, double middle) {
  double sum = 0;
  for (int64_t d = 0; d < count; d++) sum += ((double)row[d] - middle) * ((double)row[d] - middle);
  return sum / (double)count;
}

/* A norm is (row - middle) * factor. */
typedef struct affine {
  double middle, factor;
} affine;

static affine affine_of(const attn__norm *norm, int64_t count, const float *row) {
  const double epsilon = (double)norm->epsilon;
  affine a = {0, 1};
  if (norm->kind == ATTN_NORM_LAYER) a.middle = mean(count, row);
  if (norm->kind == ATTN_NORM_L2)
    a.factor = 1 / fmax(sqrt(mean_square(count, row, 0) * (double)count), epsilon);
  else if (norm->kind != ATTN_NORM_NONE)
    a.factor = 1 / sqrt(mean_square(count, row, a.middle) + epsilon);
  return a;
}

void attn__norm_row(const attn__norm *norm, int64_t count, const float *residual, float *row) {
  if (residual)
    for (int64_t d = 0; d < count; d++) row[d] += residual[d];
  const affine a = affine_of(norm, count, row);
  for (int64_t d = 0; d < count; d++) {
    const double gain = norm->gain ? (double)norm->gain[d] : 1,
                 shift = norm->shift ? (double)norm->shift[d] : 0;
    row[d] = (float)(((double)row[d] - a.middle) * a.factor * gain + shift);
  }
}
