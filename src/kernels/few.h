/* few.h - products of few rows, whose right operand is read from memory once, where it stands.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * For simd.c. b is a tile that fits into a cache: rows of a after the first few find it there. The rows of b
 * are read as several streams, a row of each at a time: a core that reads one stream waits for most of its
 * lines, and more so where pages are small. The first rows of a that meet a row of b ask for the row after it: what
 * fetches ahead by itself begins anew with each page, and this leads it on. Where the product says so, they ask for as
 * much of what comes next too.
 */
#ifndef ATTN_FEW_H
#define ATTN_FEW_H

#include "kernels/multiply.h"

enum {
  FEW_ROWS = 8,  /* of a, at most */
  FEW_LANES = 4, /* rows of a whose dot products are made together, and streams, at most */
  FEW_STREAMS = VEC_REGISTERS == 32 ? 4 : 3,  /* for so many rows: all sums stay in registers */
  FEW_PART = ATTN__FEW_TOGETHER * 128,        /* numbers of c that are gone through together */
  FEW_MIX_ROWS = VEC_REGISTERS == 32 ? 2 : 1, /* rows of a that meet what is loaded of b together */
  FEW_MIX = 8, /* rows of b, one of each stream, that are added up before the sum goes to c */
};

/* How many rows apart so many streams of rows begin: an odd number, as streams that are a power of 2 of bytes
 * apart share the same few places of a cache. 0 if there are fewer rows than streams. */
static inline int64_t few_stream(int64_t rows, int64_t streams) {
  const int64_t stream = rows / streams;
  return stream > 0 && stream % 2 == 0 ? stream - 1 : stream;
}

/* The same of rows that dot products are made of. Those of a stretch are far apart anyway, and all go into streams. */
static inline int64_t few_dot_stream(const attn__product *p, int64_t rows, int64_t streams) {
  return p->stretch > 0 ? rows / streams : few_stream(rows, streams);
}

/* What is a constant at every call: rows of a, and of b those that they meet together, one of each stream; whether they ask
 * for lines of what comes next. */
typedef struct few_form {
  int rows, streams, asks;
} few_form;

/* The first rows of a, unless they ask for lines, ask for as much of what comes next as the row of each stream is. */
static inline void few_ask_rows(const attn__product *p, const few_form form, int64_t row, int64_t width) {
  if (p->ahead && row == 0 && !form.asks)
    ask_scattered_lines(p->ahead, form.streams * ((width + ASK_LINE - 1) / ASK_LINE));
}

/* Product number n of those that p is. */
static inline attn__product few_product(const attn__product *p, int64_t n) {
  attn__product product = *p;
  product.a += n * p->step_a;
  product.b.data += n * p->step_b;
  product.c += n * p->step_c;
  return product;
}

/* How many of so many rows of b all products meet before the next ones. */
static inline int64_t few_stretch(const attn__product *p, int64_t rows) {
  return p->stretch > 0 && p->stretch < rows ? p->stretch : rows;
}

/* 1 if there is one product, which meets these rows at once. */
static inline int32_t few_is_whole(const attn__product *p, int64_t rows) {
  return p->more == 0 && few_stretch(p, rows) == rows;
}

/* 1 if the first rows of a ask for what comes next line by line, not by rows of it: four are multiplied for so long that many
 * requests at once hold them up. One or two are slower so. */
static inline int32_t few_asks_lines(const attn__product *p) {
  return FEW_STREAMS == 4 && p->rows >= 4 && ask_has_lines(p->ahead);
}

/* Lines that are asked for with a vector of each stream, if they are: as many as these are read. */
static ALWAYS_INLINE int few_lines(const few_form form) {
  return form.asks * ((form.streams * VEC_WIDTH + ASK_LINE - 1) / ASK_LINE);
}

/* The sums of rows of a from row on times row col of each stream of b. Row 0 asks for the rows after these. */
static ALWAYS_INLINE void few_multiply(const attn__product *p, const few_form form, int64_t row,
                                       int64_t col, int64_t stream, vec (*sums)[FEW_LANES]) {
  const int rows = form.rows, streams = form.streams;
  vec right[FEW_LANES];
  const int64_t stride_a = p->stride_a, stride_b = stream * p->b.stride, inner = p->inner;
  const float *a = p->a + row * stride_a, *b = p->b.data + col * p->b.stride;
  const vec zero = vec_set(0);
  UNROLLED for (int r = 0; r < rows; r++) {
    UNROLLED for (int j = 0; j < FEW_LANES; j++) sums[r][j] = zero;
  }
  int64_t k = 0;
  for (; k + VEC_WIDTH <= inner; k += VEC_WIDTH) {
    UNROLLED for (int j = 0; j < streams; j++) {
      right[j] = vec_load(b + j * stride_b + k);
      if (row == 0) ask_beyond(b + j * stride_b + k, p->b.stride);
    }
    ask_lines(p->ahead, few_lines(form));
    UNROLLED for (int r = 0; r < rows; r++) {
      const vec left = vec_load(a + r * stride_a + k);
      UNROLLED for (int j = 0; j < streams; j++) sums[r][j] = vec_fma(left, right[j], sums[r][j]);
    }
  }
  if (k < inner) {
    ask_lines(p->ahead, few_lines(form));
    UNROLLED for (int j = 0; j < streams; j++) right[j] =
        vec_load_part(b + j * stride_b + k, inner - k, zero);
    UNROLLED for (int r = 0; r < rows; r++) {
      const vec left = vec_load_part(a + r * stride_a + k, inner - k, zero);
      UNROLLED for (int j = 0; j < streams; j++) sums[r][j] = vec_fma(left, right[j], sums[r][j]);
    }
  }
}

/* c = a b^T for these. */
static ALWAYS_INLINE void few_dots(const attn__product *p, const few_form form, int64_t row, int64_t col,
                                   int64_t stream) {
  vec sums[FEW_LANES][FEW_LANES];
  few_multiply(p, form, row, col, stream, sums);
  UNROLLED for (int r = 0; r < form.rows; r++) {
    float dots[FEW_LANES], *c = p->c + (row + r) * p->stride_c + col;
    vec_store_sums(dots, sums[r]);
    UNROLLED for (int j = 0; j < form.streams; j++) c[j * stream] = dots[j];
  }
}

/* c = a b^T for rows of a from row on. */
static ALWAYS_INLINE void few_rows(const attn__product *p, const few_form form, int64_t row) {
  const few_form single = {form.rows, 1, 0};
  int64_t first = 0, stream;
  for (; (stream = few_dot_stream(p, p->cols - first, form.streams)) > 0; first += stream * form.streams)
    for (int64_t col = first; col < first + stream; col++) {
      few_ask_rows(p, form, row, p->inner);
      few_dots(p, form, row, col, stream);
    }
  for (int64_t col = first; col < p->cols; col++) few_dots(p, single, row, col, 0);
}

#ifdef VEC_FOURS
/* A vector holds the dot products of four rows of a and a row of each of four streams. Those of count such rows, up to four,
 * go to c: by fours where there are four, which takes less than one by one. */
static inline void few_put(const float *dots, int64_t count, float *c, int64_t stride_c, int64_t stream) {
  vec turned[4];
  if (count < 4) {
    for (const float *end = dots + count * VEC_WIDTH; dots < end; dots += VEC_WIDTH, c++) {
      UNROLLED for (int r = 0; r < 4; r++) {
        UNROLLED for (int j = 0; j < 4; j++) c[r * stride_c + j * stream] = dots[4 * r + j];
      }
    }
    return;
  }
  UNROLLED for (int i = 0; i < 4; i++) turned[i] = vec_load(dots + i * VEC_WIDTH);
  vec_turn_fours(turned);
  UNROLLED for (int j = 0; j < 4; j++) vec_store_fours(c + j * stream, stride_c, turned[j]);
}

/* few_rows for four rows and streams. */
static ALWAYS_INLINE void few_four_rows(const attn__product *p, const few_form form, int64_t row) {
  const few_form single = {4, 1, 0};
  float dots[4 * VEC_WIDTH], *c = p->c + row * p->stride_c;
  vec sums[FEW_LANES][FEW_LANES];
  int64_t first = 0, stream;
  for (; (stream = few_dot_stream(p, p->cols - first, 4)) > 0; first += stream * 4)
    for (int64_t n = 0; n < stream; n++) {
      few_ask_rows(p, form, row, p->inner);
      few_multiply(p, form, row, first + n, stream, sums);
      vec_store(dots + n % 4 * VEC_WIDTH, vec_sums(sums));
      if (n % 4 == 3 || n + 1 == stream)
        few_put(dots, n % 4 + 1, c + first + n / 4 * 4, p->stride_c, stream);
    }
  for (int64_t col = first; col < p->cols; col++) few_dots(p, single, row, col, 0);
}
#else
static ALWAYS_INLINE void few_four_rows(const attn__product *p, const few_form form, int64_t row) {
  few_rows(p, form, row);
}
#endif

/* The first four rows, which ask for lines. */
static NEVER_INLINE void few_four_asking(const attn__product *p) {
  few_four_rows(p, (few_form){4, FEW_STREAMS, 1}, 0);
}

/* The products of some rows of b. */
static void few_transposed(const attn__product *p) {
  int64_t row = 0;
  if (few_asks_lines(p)) {
    few_four_asking(p);
    row = 4;
  }
  for (; row + 4 <= p->rows; row += 4) few_four_rows(p, (few_form){4, FEW_STREAMS, 0}, row);
  for (; row + 2 <= p->rows; row += 2) few_rows(p, (few_form){2, 4, 0}, row);
  if (row < p->rows) few_rows(p, (few_form){1, 4, 0}, row);
}

/* A stretch of rows of b after another meets all products. */
static void multiply_transposed(const attn__product *p) {
  const int64_t stretch = few_stretch(p, p->cols);
  if (few_is_whole(p, p->cols)) {
    few_transposed(p);
    return;
  }
  for (int64_t col = 0; col < p->cols; col += stretch)
    for (int64_t n = 0; n <= p->more; n++) {
      attn__product some = few_product(p, n);
      some.cols = p->cols - col < stretch ? p->cols - col : stretch;
      some.b.data += col * p->b.stride;
      some.c += col;
      few_transposed(&some);
    }
}

/* c + left . right, both of count vectors, in two chains of sums, the second from c on: one would be waited for. */
static ALWAYS_INLINE vec few_added(const int count, const vec *left, const vec *right, vec c) {
  vec sum = vec_mul(left[0], right[0]);
  UNROLLED for (int i = 1; i < count / 2; i++) sum = vec_fma(left[i], right[i], sum);
  UNROLLED for (int i = (count + 1) / 2; i < count; i++) c = vec_fma(left[i], right[i], c);
  return vec_add(c, sum);
}

/* Rows of c from row on += those of a times rows of b: number k of each stream. Row 0 asks for the rows after these. */
static ALWAYS_INLINE void few_mix(const attn__product *p, const few_form form, int64_t row, int64_t k,
                                  int64_t stream) {
  const int rows = form.rows, count = form.streams;
  vec left[FEW_MIX_ROWS][FEW_MIX] = {{vec_set(0)}}; /* for analysers, which lose count */
  vec right[FEW_MIX] = {vec_set(0)};
  const int64_t stride_a = p->stride_a, stride_b = stream * p->b.stride, stride_c = p->stride_c;
  const int64_t cols = p->cols;
  const float *a = p->a + row * stride_a + k, *b = p->b.data + k * p->b.stride;
  float *c = p->c + row * stride_c;
  UNROLLED for (int r = 0; r < rows; r++) {
    UNROLLED for (int i = 0; i < count; i++) left[r][i] = vec_set(a[r * stride_a + i * stream]);
  }
  int64_t col = 0;
  for (; col + VEC_WIDTH <= cols; col += VEC_WIDTH) {
    UNROLLED for (int i = 0; i < count; i++) {
      right[i] = vec_load(b + i * stride_b + col);
      if (row == 0) ask_beyond(b + i * stride_b + col, p->b.stride);
    }
    ask_lines(p->ahead, few_lines(form));
    UNROLLED for (int r = 0; r < rows; r++) {
      float *at = c + r * stride_c + col;
      vec_store(at, few_added(count, left[r], right, vec_load(at)));
    }
  }
  if (col == cols) return;
  ask_lines(p->ahead, few_lines(form));
  const vec zero = vec_set(0);
  UNROLLED for (int i = 0; i < count; i++) right[i] =
      vec_load_part(b + i * stride_b + col, cols - col, zero);
  UNROLLED for (int r = 0; r < rows; r++) {
    float *at = c + r * stride_c + col;
    vec_store_part(at, cols - col, few_added(count, left[r], right, vec_load_part(at, cols - col, zero)));
  }
}

/* The same for all rows from row on. */
static ALWAYS_INLINE void few_mix_from(const attn__product *p, const int streams, int64_t row, int64_t k,
                                       int64_t stream) {
  for (; row + FEW_MIX_ROWS <= p->rows; row += FEW_MIX_ROWS)
    few_mix(p, (few_form){FEW_MIX_ROWS, streams, 0}, row, k, stream);
  for (; row < p->rows; row++) few_mix(p, (few_form){1, streams, 0}, row, k, stream);
}

/* The same for all rows and FEW_MIX streams; the first rows ask for lines. */
static NEVER_INLINE void few_mix_asking(const attn__product *p, int64_t k, int64_t stream) {
  few_mix(p, (few_form){FEW_MIX_ROWS, FEW_MIX, 1}, 0, k, stream);
  few_mix_from(p, FEW_MIX, FEW_MIX_ROWS, k, stream);
}

/* c += a b for some rows of b. */
static void few_add(const attn__product *p, int32_t by_lines) {
  int64_t first = 0, stream;
  for (; (stream = few_stream(p->inner - first, FEW_MIX)) > 0; first += stream * FEW_MIX)
    for (int64_t k = first; k < first + stream; k++)
      if (by_lines && few_asks_lines(p)) {
        few_mix_asking(p, k, stream);
      } else {
        few_ask_rows(p, (few_form){0, FEW_MIX, 0}, 0, p->cols);
        few_mix_from(p, FEW_MIX, 0, k, stream);
      }
  for (int64_t k = first; k < p->inner; k++) few_mix_from(p, 1, 0, k, 0);
}

/* c += a b of all products, which a stretch of rows of b after another meets. */
static void few_add_all(const attn__product *p, int32_t by_lines) {
  const int64_t stretch = few_stretch(p, p->inner);
  if (few_is_whole(p, p->inner)) {
    few_add(p, by_lines);
    return;
  }
  for (int64_t k = 0; k < p->inner; k += stretch)
    for (int64_t n = 0; n <= p->more; n++) {
      attn__product some = few_product(p, n);
      some.inner = p->inner - k < stretch ? p->inner - k : stretch;
      some.a += k;
      some.b.data += k * p->b.stride;
      few_add(&some, by_lines);
    }
}

/* Short sums are made apart from c, as in multiply: c may be the sum of many. What comes next is asked for by lines if rows
 * of b have no gaps between them: else that is 2 to 22 % slower. */
static void multiply_in_place(const attn__product *p) {
  float part[FEW_PART];
  const int64_t rows = (p->more + 1) * p->rows, most = FEW_PART / rows / ASK_LINE * ASK_LINE;
  for (int64_t col = 0; col < p->cols; col += most) {
    attn__product piece = *p;
    piece.cols = p->cols - col < most ? p->cols - col : most;
    piece.b.data += col;
    piece.c = part;
    piece.stride_c = (piece.cols + ASK_LINE - 1) / ASK_LINE * ASK_LINE;
    piece.step_c = p->rows * piece.stride_c;
    for (int64_t n = 0; n < rows * piece.stride_c; n++) part[n] = 0;
    few_add_all(&piece, p->b.stride == p->cols);
    for (int64_t row = 0; row < rows; row++) {
      float *c = p->c + row / p->rows * p->step_c + row % p->rows * p->stride_c + col;
      const float *sums = part + row * piece.stride_c;
      for (int64_t j = 0; j < piece.cols; j++) c[j] = p->accumulate ? c[j] + sums[j] : sums[j];
    }
  }
}

#endif
