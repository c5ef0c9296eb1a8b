/* multiply.h - the product, a slab of rows and a panel of columns at a time in registers.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * For simd.c: MULTIPLY_SLAB rows x MULTIPLY_VECS vectors of sums, the vectors of a row of b and one number of
 * a fill the registers. Sums start at 0, are short and are added to c at the end, which keeps the errors of
 * long sums small.
 */
#ifndef ATTN_MULTIPLY_H
#define ATTN_MULTIPLY_H

#include "kernels/ask.h"
#include "kernels/kernels.h"

enum {
  MULTIPLY_PANEL = MULTIPLY_VECS * VEC_WIDTH,
  MULTIPLY_ASK = 16,    /* lines that are asked for at a time */
  MULTIPLY_INNER = 128, /* the longest sum in one register, unless it is to be whole */
};

/* The first count numbers of a vector of sums go to c. */
static ALWAYS_INLINE void multiply_put_part(float *c, int64_t count, int32_t accumulate, vec sum) {
  if (count >= VEC_WIDTH)
    vec_store(c, accumulate ? vec_add(vec_load(c), sum) : sum);
  else if (count > 0)
    vec_store_part(c, count, accumulate ? vec_add(vec_load_part(c, count, sum), sum) : sum);
}

/* The sums of rows [row, row + rows) and columns [col, ...), vecs vectors of each, go to c. */
static ALWAYS_INLINE void multiply_put(const attn__product *p, const int rows, const int vecs, int64_t row,
                                       int64_t col, vec (*sums)[MULTIPLY_VECS]) {
  const int64_t stride = p->stride_c, count = p->cols - col;
  float *c = p->c + row * stride + col;
  if (count < vecs * VEC_WIDTH) {
    UNROLLED for (int r = 0; r < rows; r++, c += stride) {
      UNROLLED for (int v = 0; v < vecs; v++)
          multiply_put_part(c + v * VEC_WIDTH, count - v * VEC_WIDTH, p->accumulate, sums[r][v]);
    }
  } else if (p->accumulate) {
    UNROLLED for (int r = 0; r < rows; r++, c += stride) {
      UNROLLED for (int v = 0; v < vecs; v++)
          vec_store(c + v * VEC_WIDTH, vec_add(vec_load(c + v * VEC_WIDTH), sums[r][v]));
    }
  } else {
    UNROLLED for (int r = 0; r < rows; r++, c += stride) {
      UNROLLED for (int v = 0; v < vecs; v++) vec_store(c + v * VEC_WIDTH, sums[r][v]);
    }
  }
}

/* What is a constant at every call: vectors of a panel that hold something; whether its rows follow one another. */
typedef struct multiply_form {
  int vecs, packed;
} multiply_form;

/* Where the operands of a slab are. */
typedef struct multiply_operands {
  const float *a, *b;
  int64_t stride_a, stride_b;
} multiply_operands;

static ALWAYS_INLINE multiply_operands multiply_at(const attn__product *p, int64_t row, int64_t col,
                                                   int64_t stride_b) {
  return (multiply_operands){p->a + row * p->stride_a, p->b.data + col / MULTIPLY_PANEL * p->b.step,
                             p->stride_a, stride_b};
}

/* sums += rows of count columns of a times as many rows of a panel. */
static ALWAYS_INLINE void multiply_add(const multiply_operands x, const int rows, const int vecs,
                                       int64_t count, vec (*sums)[MULTIPLY_VECS]) {
  const float *a = x.a, *b = x.b;
  BY_EIGHTS for (int64_t k = 0; k < count; k++, a++, b += x.stride_b) {
    vec right[MULTIPLY_VECS];
    UNROLLED for (int v = 0; v < vecs; v++) right[v] = vec_load(b + v * VEC_WIDTH);
    UNROLLED for (int r = 0; r < rows; r++) {
      const vec left = vec_set(a[r * x.stride_a]);
      UNROLLED for (int v = 0; v < vecs; v++) sums[r][v] = vec_fma(left, right[v], sums[r][v]);
    }
  }
}

static ALWAYS_INLINE void multiply_clear(const int rows, const int vecs, vec (*sums)[MULTIPLY_VECS]) {
  UNROLLED for (int r = 0; r < rows; r++) {
    UNROLLED for (int v = 0; v < vecs; v++) sums[r][v] = vec_set(0);
  }
}

/* Rows [row, row + rows) and columns [col, ...) of one panel. rows and form are constants at every call. */
static ALWAYS_INLINE void multiply_slab(const attn__product *p, const int rows, const multiply_form form,
                                        int64_t row, int64_t col) {
  const multiply_operands x = multiply_at(p, row, col, form.packed ? MULTIPLY_PANEL : p->b.stride);
  vec sums[MULTIPLY_SLAB][MULTIPLY_VECS];
  multiply_clear(rows, form.vecs, sums);
  multiply_add(x, rows, form.vecs, p->inner, sums);
  multiply_put(p, rows, form.vecs, row, col, sums);
}

/* The same of a whole slab that asks all along for what comes next. */
static ALWAYS_INLINE void multiply_slab_asking(const attn__product *p, const int vecs, int64_t row,
                                               int64_t col) {
  multiply_operands x = multiply_at(p, row, col, p->b.stride);
  vec sums[MULTIPLY_SLAB][MULTIPLY_VECS];
  int64_t rest = p->inner;
  multiply_clear(MULTIPLY_SLAB, vecs, sums);
  for (; rest >= ATTN__AHEAD_STEP; rest -= ATTN__AHEAD_STEP) {
    ask_far(p->ahead, p->ahead->pace);
    multiply_add(x, MULTIPLY_SLAB, vecs, ATTN__AHEAD_STEP, sums);
    x.a += ATTN__AHEAD_STEP;
    x.b += ATTN__AHEAD_STEP * x.stride_b;
  }
  multiply_add(x, MULTIPLY_SLAB, vecs, rest, sums);
  multiply_put(p, MULTIPLY_SLAB, vecs, row, col, sums);
}

/* The rows from row on, fewer than a slab, in one or two parts: the second has 4. */
static ALWAYS_INLINE void multiply_rest(const attn__product *p, const int vecs, int64_t row, int64_t col) {
  const multiply_form form = {vecs, 0};
  while (row < p->rows) {
    const int64_t left = p->rows - row;
    const int64_t count = left < 7 ? left : left - 4;
    if (MULTIPLY_SLAB > 6 && count == 6) multiply_slab(p, 6, form, row, col);
    if (count == 5) multiply_slab(p, 5, form, row, col);
    if (count == 4) multiply_slab(p, 4, form, row, col);
    if (count == 3) multiply_slab(p, 3, form, row, col);
    if (count == 2) multiply_slab(p, 2, form, row, col);
    if (count == 1) multiply_slab(p, 1, form, row, col);
    row += count;
  }
}

static void multiply_rest_of_panel(const attn__product *p, int64_t row, int64_t col) {
  multiply_rest(p, MULTIPLY_VECS, row, col);
}

static void multiply_rest_of_half(const attn__product *p, int64_t row, int64_t col) {
  multiply_rest(p, MULTIPLY_VECS / 2, row, col);
}

static ALWAYS_INLINE void multiply_panel(const attn__product *p, const multiply_form form, int64_t col) {
  int64_t row = 0;
  for (; row + MULTIPLY_SLAB <= p->rows; row += MULTIPLY_SLAB) {
    if (p->ahead) ask_near(p->ahead, MULTIPLY_ASK);
    multiply_slab(p, MULTIPLY_SLAB, form, row, col);
  }
  (form.vecs == MULTIPLY_VECS ? multiply_rest_of_panel : multiply_rest_of_half)(p, row, col);
}

static ALWAYS_INLINE void multiply_panels(const attn__product *p, const int packed) {
  for (int64_t col = 0; col < p->cols; col += MULTIPLY_PANEL)
    if (p->cols - col > MULTIPLY_PANEL / 2)
      multiply_panel(p, (multiply_form){MULTIPLY_VECS, packed}, col);
    else
      multiply_panel(p, (multiply_form){MULTIPLY_VECS / 2, packed}, col);
}

static ALWAYS_INLINE void multiply_panel_asking(const attn__product *p, const int vecs, int64_t col) {
  int64_t row = 0;
  for (; row + MULTIPLY_SLAB <= p->rows; row += MULTIPLY_SLAB) multiply_slab_asking(p, vecs, row, col);
  (vecs == MULTIPLY_VECS ? multiply_rest_of_panel : multiply_rest_of_half)(p, row, col);
}

static void multiply_asking(const attn__product *p) {
  for (int64_t col = 0; col < p->cols; col += MULTIPLY_PANEL)
    if (p->cols - col > MULTIPLY_PANEL / 2)
      multiply_panel_asking(p, MULTIPLY_VECS, col);
    else
      multiply_panel_asking(p, MULTIPLY_VECS / 2, col);
}

static void multiply_piece(const attn__product *p) {
  if (p->ahead && p->ahead->pace > 0)
    multiply_asking(p);
  else if (p->b.stride == MULTIPLY_PANEL)
    multiply_panels(p, 1);
  else
    multiply_panels(p, 0);
}

static void multiply(const attn__product *p) {
  const int64_t longest = p->whole ? p->inner : MULTIPLY_INNER;
  attn__product piece = *p;
  for (int64_t first = 0; first < p->inner; first += longest) {
    piece.inner = p->inner - first < longest ? p->inner - first : longest;
    multiply_piece(&piece);
    piece.a += longest;
    piece.b.data += longest * p->b.stride;
    piece.accumulate = 1;
  }
}

#endif
