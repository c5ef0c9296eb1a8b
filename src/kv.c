/* kv.c - where a tile of keys or values is.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "kv.h"

#include <math.h>

#include "attn/attn.h"

static attn__rows rows_of(const attn__input *input, const attn__kv_tile *tile, int64_t width) {
  return (attn__rows){attn__input_row(input, tile->b, tile->h, tile->first), input->strides.row,
                      tile->count, (tile->more + 1) * width};
}

attn__rows attn__kv_key_rows(const attn__problem *problem, const attn__kv_tile *tile) {
  return rows_of(&problem->key, tile, problem->dim);
}

attn__rows attn__kv_value_rows(const attn__problem *problem, const attn__kv_tile *tile) {
  return rows_of(&problem->value, tile, problem->dim_v);
}

int32_t attn__kv_heads_side_by_side(const attn__problem *problem) {
  const attn__strides *key = &problem->key.strides, *value = &problem->value.strides;
  return problem->heads_kv > 1 && key->head == problem->dim && key->row > key->head &&
         value->head == problem->dim_v && value->row > value->head;
}

attn__matrix attn__kv_keys(const attn__problem *problem, const attn__engine *engine,
                           const attn__kernels *kernels, const attn__kv_tile *tile, float *buffer) {
  const attn__rows rows = attn__kv_key_rows(problem, tile);
  const float factor = problem->score_function == ATTN_SCORE_ADDITIVE ? 1 : problem->scale;
  return attn__product_pack_transposed(engine, kernels, &rows, factor, buffer);
}

attn__matrix attn__kv_keys_in_place(const attn__problem *problem, const attn__kv_tile *tile) {
  const attn__rows rows = attn__kv_key_rows(problem, tile);
  return (attn__matrix){rows.data, rows.stride, 0};
}

attn__matrix attn__kv_values_in_place(const attn__problem *problem, const attn__engine *engine,
                                      const attn__kv_tile *tile) {
  const attn__rows rows = attn__kv_value_rows(problem, tile);
  return (attn__matrix){rows.data, rows.stride, engine->panel};
}

attn__matrix attn__kv_values(const attn__problem *problem, const attn__engine *engine,
                             const attn__kernels *kernels, const attn__kv_tile *tile, float *buffer) {
  const attn__rows rows = attn__kv_value_rows(problem, tile);
  if (engine->panel == 0 && rows.stride >= rows.width && rows.stride <= INT32_MAX)
    return (attn__matrix){rows.data, rows.stride, 0};
  return attn__product_pack(engine, kernels, &rows, buffer);
}

int32_t attn__kv_values_finite(const attn__problem *problem, const attn__kernels *kernels,
                               const attn__kv_tile *tile) {
  const attn__rows rows = attn__kv_value_rows(problem, tile);
  if (rows.stride == rows.width) return kernels->all_finite(rows.count * rows.width, rows.data);
  for (int64_t r = 0; r < rows.count; r++)
    if (!kernels->all_finite(rows.width, rows.data + r * rows.stride)) return 0;
  return 1;
}

attn__matrix attn__kv_values_cleared(const attn__problem *problem, const attn__engine *engine,
                                     const attn__kernels *kernels, const attn__kv_tile *tile,
                                     float *buffer) {
  const attn__rows rows = attn__kv_value_rows(problem, tile);
  const int64_t floats = attn__product_floats(engine, rows.count, rows.width);
  const attn__matrix matrix = attn__product_pack(engine, kernels, &rows, buffer);
  for (int64_t n = 0; n < floats; n++)
    if (!isfinite(buffer[n])) buffer[n] = 0;
  return matrix;
}
