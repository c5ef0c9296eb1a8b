/* multiply.h - the product, a slab of rows and a panel of columns at a time in registers.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * For simd.c: MULTIPLY_SLAB rows x MULTIPLY_VECS vectors of sums, the vectors of a row of b and one number of
 * a fill the registers. Sums start at 0, are short and are added to c at the end, which keeps the errors of
 * long sums small.
 */
#ifndef ATTN_MULTIPLY_H
#define ATTN_MULTIPLY_H

#include "kernels/kernels.h"

enum {
  MULTIPLY_PANEL = MULTIPLY_VECS * VEC_WIDTH,
  MULTIPLY_INNER = 128, /* the longest sum in one register */
};

#ifdef __clang__
#define UNROLLED       _Pragma("unroll")
#define UNROLLED_TWICE _Pragma("unroll 2")
#else
#define UNROLLED       _Pragma("GCC unroll 16")
#define UNROLLED_TWICE _Pragma("GCC unroll 2")
#endif
#define ALWAYS_INLINE inline __attribute__((always_inline))

/* The first count numbers of a vector of sums go to c. */
static ALWAYS_INLINE void multiply_put(float *c, int64_t count, int32_t accumulate, vec sum) {
  if (count >= VEC_WIDTH)
    vec_store(c, accumulate ? vec_add(vec_load(c), sum) : sum);
  else if (count > 0)
    vec_store_part(c, count, accumulate ? vec_add(vec_load_part(c, count, sum), sum) : sum);
}

/* Rows [row, row + rows) and columns [col, ...) of one panel, whose first vecs vectors hold something. rows
 * and vecs are constants at every call. */
static ALWAYS_INLINE void multiply_slab(const attn__product *p, const int rows, const int vecs, int64_t row,
                                        int64_t col) {
  vec sums[MULTIPLY_SLAB][MULTIPLY_VECS];
  const int64_t stride_a = p->stride_a, inner = p->inner;
  const float *a = p->a + row * stride_a, *b = p->b.data + col / MULTIPLY_PANEL * p->b.step;
  float *c = p->c + row * p->stride_c + col;
  UNROLLED for (int r = 0; r < rows; r++) {
    UNROLLED for (int v = 0; v < vecs; v++) sums[r][v] = vec_set(0);
  }
  UNROLLED_TWICE for (int64_t k = 0; k < inner; k++, a++, b += MULTIPLY_PANEL) {
    vec right[MULTIPLY_VECS];
    UNROLLED for (int v = 0; v < vecs; v++) right[v] = vec_load(b + v * VEC_WIDTH);
    UNROLLED for (int r = 0; r < rows; r++) {
      const vec left = vec_set(a[r * stride_a]);
      UNROLLED for (int v = 0; v < vecs; v++) sums[r][v] = vec_fma(left, right[v], sums[r][v]);
    }
  }
  UNROLLED for (int r = 0; r < rows; r++) {
    UNROLLED for (int v = 0; v < vecs; v++) multiply_put(
        c + r * p->stride_c + v * VEC_WIDTH, p->cols - col - v * VEC_WIDTH, p->accumulate, sums[r][v]);
  }
}

static ALWAYS_INLINE void multiply_panel(const attn__product *p, const int vecs, int64_t col) {
  int64_t row = 0;
  for (; row + MULTIPLY_SLAB <= p->rows; row += MULTIPLY_SLAB)
    multiply_slab(p, MULTIPLY_SLAB, vecs, row, col);
  for (; row + 4 <= p->rows; row += 4) multiply_slab(p, 4, vecs, row, col);
  for (; row + 2 <= p->rows; row += 2) multiply_slab(p, 2, vecs, row, col);
  if (row < p->rows) multiply_slab(p, 1, vecs, row, col);
}

static void multiply_piece(const attn__product *p) {
  for (int64_t col = 0; col < p->cols; col += MULTIPLY_PANEL)
    if (p->cols - col > MULTIPLY_PANEL / 2)
      multiply_panel(p, MULTIPLY_VECS, col);
    else
      multiply_panel(p, MULTIPLY_VECS / 2, col);
}

static void multiply(const attn__product *p) {
  attn__product piece = *p;
  for (int64_t first = 0; first < p->inner; first += MULTIPLY_INNER) {
    piece.inner = p->inner - first < MULTIPLY_INNER ? p->inner - first : MULTIPLY_INNER;
    multiply_piece(&piece);
    piece.a += MULTIPLY_INNER;
    piece.b.data += MULTIPLY_INNER * p->b.stride;
    piece.accumulate = 1;
  }
}

#endif
