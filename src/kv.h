/* kv.h - where a tile of keys or values is.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_KV_H
#define ATTN_KV_H

#include "kernels/kernels.h"
#include "problem.h"

/* A matrix in memory: row r begins at data + r * stride. */
typedef struct attn__matrix {
  const float *data;
  int64_t stride;
} attn__matrix;

/* Which tile: rows [first, first + count) of key head h of batch entry b, as they stand in the arrays. */
typedef struct attn__kv_tile {
  int64_t b, h, first, count;
} attn__kv_tile;

/* Writes a tile of keys transposed, dim rows of stride numbers, as the right operand of Q K^T. */
void attn__kv_key_transposed(const attn__problem *problem, const attn__kernels *kernels,
                             const attn__kv_tile *tile, float *out, int64_t stride);

/* A tile of values, count rows of dim_v: where it stands, or copied to buffer (count x dim_v) where its
 * rows overlap or run backwards. */
attn__matrix attn__kv_values(const attn__problem *problem, const attn__kv_tile *tile, float *buffer);

/* 1 if every number of a tile of values is finite, else 0. */
int32_t attn__kv_values_finite(const attn__problem *problem, const attn__kernels *kernels,
                               const attn__kv_tile *tile);

/* As attn__kv_values, always copied, with 0 for every number that is not finite. */
attn__matrix attn__kv_values_cleared(const attn__problem *problem, const attn__kv_tile *tile,
                                     float *buffer);

#endif
