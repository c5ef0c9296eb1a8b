/* kv.h - where a tile of keys or values is.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_KV_H
#define ATTN_KV_H

#include "kernels/kernels.h"
#include "problem.h"
#include "product.h"

/* Which tile: rows [first, first + count) of key head h of batch entry b, and of so many more heads side by side with it, as
 * they stand in the arrays. */
typedef struct attn__kv_tile {
  int64_t b, h, first, count, more;
} attn__kv_tile;

/* The rows of a tile as they stand; what is of more than one head only these tell of, and whether all is finite. */
attn__rows attn__kv_key_rows(const attn__problem *problem, const attn__kv_tile *tile);
attn__rows attn__kv_value_rows(const attn__problem *problem, const attn__kv_tile *tile);

/* 1 if the keys of several heads lie side by side, and the values: a row of each, one right after the other, then the next
 * rows. */
int32_t attn__kv_heads_side_by_side(const attn__problem *problem);

/* A tile of keys as the right operand of Q K^T, dim x count, packed in buffer: scaled, but for additive scores. */
attn__matrix attn__kv_keys(const attn__problem *problem, const attn__engine *engine,
                           const attn__kernels *kernels, const attn__kv_tile *tile, float *buffer);

/* Tiles where they stand, as rows: for products of few rows, and of values that are whole panels of columns. */
attn__matrix attn__kv_keys_in_place(const attn__problem *problem, const attn__kv_tile *tile);
attn__matrix attn__kv_values_in_place(const attn__problem *problem, const attn__engine *engine,
                                      const attn__kv_tile *tile);

/* A tile of values as the right operand of P V, count x dim_v: where it stands, if the engine can read it
 * there, else packed in buffer. */
attn__matrix attn__kv_values(const attn__problem *problem, const attn__engine *engine,
                             const attn__kernels *kernels, const attn__kv_tile *tile, float *buffer);

/* 1 if every number of a tile of values is finite, else 0. */
int32_t attn__kv_values_finite(const attn__problem *problem, const attn__kernels *kernels,
                               const attn__kv_tile *tile);

/* As attn__kv_values, always packed, with 0 for every number that is not finite. */
attn__matrix attn__kv_values_cleared(const attn__problem *problem, const attn__engine *engine,
                                     const attn__kernels *kernels, const attn__kv_tile *tile,
                                     float *buffer);

#endif
