/* peaks.h - the largest scores of a row, as exactly as its softmax shows them.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_PEAKS_H
#define ATTN_PEAKS_H

#include <math.h>

#include "score.h"

/* What is further from 0 lacks digits that a softmax shows. */
#define ATTN__PEAKS_SIZE 24.0f

/* How far below the largest score of a row others show in its softmax more than they are rounded: 2 at the size
 * above, and further as roundings grow. */
static inline float attn__peaks_near(float largest) {
  const float near = fabsf(largest) / 12;
  return near < 12 ? near : 12;
}

/* 1 if scores of a row may be worth sharpening, of which max is the largest; of all so far, largest is. */
static inline int32_t attn__peaks_large(float largest, float max) {
  return fabsf(largest) > ATTN__PEAKS_SIZE && max > largest - attn__peaks_near(largest);
}

/* Where a few dot scores of row r of a tile, edited, are near the largest of the row so far or above it, these are made once
 * more in double, and the row becomes score - largest; else it stays as it is. Returns what is still to be subtracted from
 * it, 0 or largest. Sharpened scores may be above largest by 0.5 at most. */
float attn__peaks_sharpen(const attn__problem *problem, const attn__kernels *kernels,
                          const attn__score_tile *tile, int64_t r, float largest);

#endif
