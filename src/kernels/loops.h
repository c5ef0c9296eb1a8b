/* loops.h - kernels that are the same in every table: plain loops that the compiler vectorises.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_LOOPS_H
#define ATTN_LOOPS_H

#include <math.h>
#include <stdint.h>

static inline void add_distance(int64_t count, float *x, float slope, float first) {
  for (int32_t j = 0; j < (int32_t)count; j++) x[j] -= slope * fabsf(first + (float)j);
}

static inline void mask(int64_t count, float *x, const uint8_t *visible) {
  for (int64_t j = 0; j < count; j++) x[j] = visible[j] ? x[j] : -INFINITY;
}

static inline void subtract(int64_t count, float *x, float shift) {
  for (int64_t j = 0; j < count; j++) x[j] -= shift;
}

enum { DOT_SUMS = 16 };

static inline double dot(int64_t count, const float *a, const float *b) {
  double sums[DOT_SUMS] = {0}, rest = 0;
  int64_t d = 0;
  for (; d + DOT_SUMS <= count; d += DOT_SUMS)
    for (int n = 0; n < DOT_SUMS; n++) sums[n] += (double)a[d + n] * (double)b[d + n];
  for (; d < count; d++) rest += (double)a[d] * (double)b[d];
  for (int n = 0; n < 8; n++) sums[n] += sums[n + 8];
  for (int n = 0; n < 4; n++) sums[n] += sums[n + 4];
  return ((sums[0] + sums[2]) + (sums[1] + sums[3])) + rest;
}

#endif
