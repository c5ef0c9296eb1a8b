/* norm.h - what becomes of an output row at the end: residual, norm, gain and shift.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_NORM_H
#define ATTN_NORM_H

#include <stdint.h>

typedef struct attn__norm {
  int32_t active; /* 0: nothing is to be done */
  int32_t kind;   /* ATTN_NORM_... */
  float epsilon;
  const float *gain, *shift; /* NULL: 1, 0 */
} attn__norm;

/* row = normalised(row + residual) * gain + shift, count numbers; residual NULL: 0. */
void attn__norm_row(const attn__norm *norm, int64_t count, const float *residual, float *row);

#endif
