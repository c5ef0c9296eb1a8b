/* few.h - products of few rows, whose right operand is read from memory once, where it stands.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * For simd.c. Some rows of b at a time meet every row of a; all but the first find them in the first-level
 * cache. The rows of b are read as several streams, a row of each at a time: a core that reads one stream
 * waits for most of its lines, and more so where pages are small.
 */
#ifndef ATTN_FEW_H
#define ATTN_FEW_H

#include "kernels/multiply.h"

enum {
  FEW_DOT_ROWS = 2, /* rows of a whose dot products are made together */
  FEW_DOT_COLS = 4, /* and rows of b, one of each stream: 8 sums */
  FEW_ROWS = 8,     /* of a, at most */
  FEW_PART = 128,   /* columns of b that are gone through together */
  FEW_MIX = 8,      /* rows of b, one of each stream, that are added up before the sum goes to c */
};

/* c = a b^T for rows [row, row + rows) of a and row col of each stream of b. */
static ALWAYS_INLINE void few_dots(const attn__product *p, const int rows, int64_t row, int64_t col,
                                   int64_t stream) {
  vec sums[FEW_DOT_ROWS][FEW_DOT_COLS];
  const int64_t stride_a = p->stride_a, stride_b = stream * p->b.stride, inner = p->inner;
  const float *a = p->a + row * stride_a, *b = p->b.data + col * p->b.stride;
  UNROLLED for (int r = 0; r < rows; r++) {
    UNROLLED for (int j = 0; j < FEW_DOT_COLS; j++) sums[r][j] = vec_set(0);
  }
  int64_t k = 0;
  for (; k + VEC_WIDTH <= inner; k += VEC_WIDTH) {
    UNROLLED for (int r = 0; r < rows; r++) {
      const vec left = vec_load(a + r * stride_a + k);
      UNROLLED for (int j = 0; j < FEW_DOT_COLS; j++) sums[r][j] =
          vec_fma(left, vec_load(b + j * stride_b + k), sums[r][j]);
    }
  }
  if (k < inner) {
    const vec zero = vec_set(0);
    UNROLLED for (int r = 0; r < rows; r++) {
      const vec left = vec_load_part(a + r * stride_a + k, inner - k, zero);
      UNROLLED for (int j = 0; j < FEW_DOT_COLS; j++) sums[r][j] =
          vec_fma(left, vec_load_part(b + j * stride_b + k, inner - k, zero), sums[r][j]);
    }
  }
  UNROLLED for (int r = 0; r < rows; r++) {
    float dots[FEW_DOT_COLS], *c = p->c + (row + r) * p->stride_c + col;
    vec_store_sums(dots, sums[r]);
    UNROLLED for (int j = 0; j < FEW_DOT_COLS; j++) c[j * stream] = dots[j];
  }
}

/* The dot product of a row of a and a row of b. */
static float few_dot(const attn__product *p, int64_t row, int64_t col) {
  const float *a = p->a + row * p->stride_a, *b = p->b.data + col * p->b.stride;
  vec sum = vec_set(0);
  int64_t k = 0;
  for (; k + VEC_WIDTH <= p->inner; k += VEC_WIDTH) sum = vec_fma(vec_load(a + k), vec_load(b + k), sum);
  if (k < p->inner) {
    const int64_t count = p->inner - k;
    sum = vec_fma(vec_load_part(a + k, count, vec_set(0)), vec_load_part(b + k, count, vec_set(0)), sum);
  }
  return vec_sum(sum);
}

static void multiply_transposed(const attn__product *p) {
  const int64_t stream = p->cols / FEW_DOT_COLS;
  for (int64_t col = 0; col < stream; col++) {
    int64_t row = 0;
    for (; row + FEW_DOT_ROWS <= p->rows; row += FEW_DOT_ROWS) few_dots(p, FEW_DOT_ROWS, row, col, stream);
    if (row < p->rows) few_dots(p, 1, row, col, stream);
  }
  for (int64_t col = stream * FEW_DOT_COLS; col < p->cols; col++)
    for (int64_t row = 0; row < p->rows; row++) p->c[row * p->stride_c + col] = few_dot(p, row, col);
}

/* A row of c += the numbers of a row of a times rows of b: number k of each of count streams. */
static ALWAYS_INLINE void few_mix(const attn__product *p, const int count, int64_t row, int64_t k,
                                  int64_t stream) {
  vec left[FEW_MIX];
  const int64_t stride_b = stream * p->b.stride, cols = p->cols;
  const float *a = p->a + row * p->stride_a + k, *b = p->b.data + k * p->b.stride;
  float *c = p->c + row * p->stride_c;
  UNROLLED for (int i = 0; i < count; i++) left[i] = vec_set(a[i * stream]);
  int64_t col = 0;
  for (; col + VEC_WIDTH <= cols; col += VEC_WIDTH) {
    vec sum = vec_mul(left[0], vec_load(b + col));
    UNROLLED for (int i = 1; i < count; i++) sum = vec_fma(left[i], vec_load(b + i * stride_b + col), sum);
    vec_store(c + col, vec_add(vec_load(c + col), sum));
  }
  if (col == cols) return;
  const vec zero = vec_set(0);
  vec sum = zero;
  UNROLLED for (int i = 0; i < count; i++) sum =
      vec_fma(left[i], vec_load_part(b + i * stride_b + col, cols - col, zero), sum);
  vec_store_part(c + col, cols - col, vec_add(vec_load_part(c + col, cols - col, zero), sum));
}

/* part = a b for up to FEW_PART columns. */
static void few_part(const attn__product *p, float *part) {
  attn__product to_part = *p;
  const int64_t stream = p->inner / FEW_MIX;
  to_part.c = part;
  to_part.stride_c = FEW_PART;
  for (int64_t n = 0; n < p->rows * FEW_PART; n++) part[n] = 0;
  for (int64_t k = 0; k < stream; k++) {
    for (int64_t row = 0; row < p->rows; row++) few_mix(&to_part, FEW_MIX, row, k, stream);
  }
  for (int64_t k = stream * FEW_MIX; k < p->inner; k++)
    for (int64_t row = 0; row < p->rows; row++) few_mix(&to_part, 1, row, k, 0);
}

/* Short sums are made apart from c, as in multiply: c may be the sum of many. */
static void multiply_in_place(const attn__product *p) {
  float part[FEW_ROWS * FEW_PART];
  for (int64_t col = 0; col < p->cols; col += FEW_PART) {
    attn__product piece = *p;
    piece.cols = p->cols - col < FEW_PART ? p->cols - col : FEW_PART;
    piece.b.data += col;
    few_part(&piece, part);
    for (int64_t row = 0; row < p->rows; row++) {
      float *c = p->c + row * p->stride_c + col;
      const float *sums = part + row * FEW_PART;
      for (int64_t j = 0; j < piece.cols; j++) c[j] = p->accumulate ? c[j] + sums[j] : sums[j];
    }
  }
}

#endif
