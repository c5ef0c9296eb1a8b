/* peaks.h - the largest scores of a row, as exactly as its softmax shows them.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_PEAKS_H
#define ATTN_PEAKS_H

#include <math.h>

#include "score.h"

/* What is further from 0 lacks digits that a softmax shows. */
#define ATTN__PEAKS_SIZE 24.0f

/* How far below shift, the largest score of a row so far, others show in its softmax more than they are rounded. */
static inline float attn__peaks_near(float shift) {
  const float near = fabsf(shift) / 12;
  return near < 12 ? near : 12;
}

/* 1 if scores of a row may be worth sharpening, of which max is the largest. */
static inline int32_t attn__peaks_large(float shift, float max) {
  return fabsf(shift) > ATTN__PEAKS_SIZE && max > shift - attn__peaks_near(shift);
}

/* Where few dot scores of row r of a tile, edited, are near shift or above it, these are made once more in double; the row
 * becomes score - shift, and 0 is returned. Else the row stays as it is, and shift is returned. */
float attn__peaks_sharpen(const attn__problem *problem, const attn__kernels *kernels,
                          const attn__score_tile *tile, int64_t r, float shift);

#endif
