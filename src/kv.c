/* kv.c - where a tile of keys or values is.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "kv.h"

#include <math.h>
#include <string.h>

void attn__kv_key_transposed(const attn__problem *problem, const attn__kernels *kernels,
                             const attn__kv_tile *tile, float *out, int64_t stride) {
  const float *first = attn__input_row(&problem->key, tile->b, tile->h, tile->first);
  kernels->transpose(tile->count, problem->dim, first, problem->key.strides.row, out, stride);
}

attn__matrix attn__kv_values(const attn__problem *problem, const attn__kv_tile *tile, float *buffer) {
  const int64_t dim_v = problem->dim_v, stride = problem->value.strides.row;
  const float *first = attn__input_row(&problem->value, tile->b, tile->h, tile->first);
  if (stride >= dim_v && stride <= INT32_MAX) return (attn__matrix){first, stride};
  for (int64_t j = 0; j < tile->count; j++)
    memcpy(buffer + j * dim_v, first + j * stride, (size_t)dim_v * sizeof(float));
  return (attn__matrix){buffer, dim_v};
}

int32_t attn__kv_values_finite(const attn__problem *problem, const attn__kernels *kernels,
                               const attn__kv_tile *tile) {
  for (int64_t j = tile->first; j < tile->first + tile->count; j++)
    if (!kernels->all_finite(problem->dim_v, attn__input_row(&problem->value, tile->b, tile->h, j)))
      return 0;
  return 1;
}

attn__matrix attn__kv_values_cleared(const attn__problem *problem, const attn__kv_tile *tile,
                                     float *buffer) {
  const int64_t dim_v = problem->dim_v;
  for (int64_t j = 0; j < tile->count; j++) {
    const float *row = attn__input_row(&problem->value, tile->b, tile->h, tile->first + j);
    for (int64_t d = 0; d < dim_v; d++) buffer[j * dim_v + d] = isfinite(row[d]) ? row[d] : 0;
  }
  return (attn__matrix){buffer, dim_v};
}
