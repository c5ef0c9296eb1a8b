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

#endif
