/* kernels.h - the loops over plain floats, as one table of functions per instruction set.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A kernel knows nothing of heads, batches, masks or threads. Counts are >= 0; pointers need no alignment
 * beyond that of float; nothing outside the given ranges is read or written. reference.c defines each
 * result; the other tables agree with it to the rounding of a float (exp: within 1 ulp).
 */
#ifndef ATTN_KERNELS_H
#define ATTN_KERNELS_H

#include <stdint.h>

/* The operands of additive scores: one query, and keys transposed. */
typedef struct attn__additive {
  int64_t dim;
  const float *query, *weight; /* dim */
  const float *keys;           /* dim rows of stride */
  int64_t stride;
} attn__additive;

/* The right operand of a product, in panels of some columns: row k of panel p begins at
 * data + p * step + k * stride. */
typedef struct attn__matrix {
  const float *data;
  int64_t stride, step;
} attn__matrix;

/* Rows of numbers: row r begins at data + r * stride, for any stride. */
typedef struct attn__rows {
  const float *data;
  int64_t stride, count, width;
} attn__rows;

/* Rows that will be read or written soon, in pieces of at least one each. */
enum {
  ATTN__AHEAD_PIECES = 3 + 32, /* of inputs, and an output of each tile of a block */
  ATTN__AHEAD_STEP = 8         /* rows of b that a slab meets before it asks again, if it asks all along */
};
typedef struct attn__ahead {
  int64_t pace;          /* rows that a slab asks for with each step; 0: some lines as it begins */
  int64_t count;         /* of pieces */
  int64_t piece, row;    /* the next that has not been asked for */
  const float *at, *end; /* the same of lines of rows before it; NULL: none */
  attn__rows pieces[ATTN__AHEAD_PIECES];
} attn__ahead;

/* c = a b, or c += a b: row-major a (rows x inner) and c (rows x cols), a row of each stride numbers after
 * the one before, at least its width and at most INT32_MAX; b (inner x cols) in panels. */
typedef struct attn__product {
  int64_t rows, cols, inner;
  const float *a;
  int64_t stride_a;
  attn__matrix b;
  float *c;
  int64_t stride_c;
  int32_t accumulate; /* 1: add to c; 0: overwrite it, whatever it holds */
  int32_t whole;      /* 1: no sum leaves its register; 0: long ones may go to c in parts: smaller errors */
  attn__ahead *ahead; /* what the kernels may ask memory for meanwhile; NULL: nothing */
  /* Of few rows: so many more such products, the operands of each so many numbers after those of the one before. */
  int64_t more, step_a, step_b, step_c;
  int64_t stretch; /* rows of b that all of them meet before the next rows; 0: each meets all of its own */
} attn__product;

enum { ATTN__FEW_TOGETHER = 32 }; /* rows of several products of few rows together, at most */

enum {
  ATTN__THIRDS_STRIP = 16,     /* rows or columns of a strip */
  ATTN__THIRDS_INNER = 32,     /* numbers of the inner length of a step */
  ATTN__THIRDS_STEP = 3 * 512, /* bfloat16 of a step of a strip */
  ATTN__THIRDS_KEYS = 256,     /* keys of a tile, at most */
  ATTN__THIRDS_LIMIT = 0x5d80  /* the largest bfloat16 that can be held, but for values: 2^60 */
};
/* Values can be held from the one to below the other, and 0. Weights are multiplied by the third, so that neither the
 * thirds of the smallest nor their products with such values are denormal, which the unit takes for 0. */
#define ATTN__THIRDS_LEAST  0x1p-100f
#define ATTN__THIRDS_MOST   0x1p55f
#define ATTN__THIRDS_WEIGHT 0x1p64f

/* An operand in thirds (bfloat.h): strips of rows or columns, strip numbers apart. */
typedef struct attn__thirds_strips {
  const uint16_t *data;
  int64_t strip;
} attn__thirds_strips;

/* A weight exp(x) with x below it is 0: beside the largest, 1, it would show only with values 1e27 times as large, and where
 * it or its product with a value is denormal, CPUs take more than a hundred cycles. */
#define ATTN__WEIGHT_LIMIT -80.0f

/* Weights on their way from scores to a left operand, whose first lead numbers are 0: exp(score - shift of its row), or 0
 * below the limit, and their sums go to sums; or, if shifts is NULL, what is there in place of scores. They are made row by
 * row and, of a row, step by step: 32 numbers of the operand. */
typedef struct attn__thirds_weighing {
  attn__rows scores;
  int64_t lead;
  const float *shifts;
  float *sums;
  float *weights; /* they go here as floats too, like the scores, which may be there; NULL: not wanted */
  uint16_t *out;
  int64_t row, step; /* which are next; 0 at first */
  float partial[16]; /* the sums so far of every sixteenth weight of that row */
} attn__thirds_weighing;

/* The steps of a row, and those that have not been made yet. */
static inline int64_t attn__thirds_row_steps(const attn__thirds_weighing *w) {
  return (w->lead + w->scores.width + ATTN__THIRDS_INNER - 1) / ATTN__THIRDS_INNER;
}
static inline int64_t attn__thirds_steps_left(const attn__thirds_weighing *w) {
  return (w->scores.count - w->row) * attn__thirds_row_steps(w) - w->step;
}

/* c = factor a b, or c += factor a b, of operands in thirds, over so many steps of 32 numbers of the inner length. */
typedef struct attn__thirds_product {
  int64_t rows, cols, steps;
  attn__thirds_strips left, right;
  float *c;
  int64_t stride_c;
  int32_t accumulate; /* as in attn__product */
  float factor;       /* a power of two: what an operand was multiplied by before it was cut, taken back */
  attn__ahead *ahead;
  /* Other weights, NULL for none, of which so many steps are made meanwhile, or some less. */
  attn__thirds_weighing *beside;
  int64_t beside_steps;
} attn__thirds_product;

/* Products by a unit that multiplies bfloat16, of operands that are cut into thirds first. Those that
 * cut return 1 if every number, times factor, could be held, which is so up to 2^60 (for right, from 2^-100 to 2^55, and 0).
 * Of numbers below 2^-110, and of products below 2^-100, digits are lost: the unit takes denormals for 0. */
typedef struct attn__thirds {
  /* A thread multiplies only between these two. */
  void (*begin)(void);
  void (*end)(void);

  /* The rows, times factor, become rows first_row, ... of a left operand. The rest of a strip is left as it is. A row with a
   * number that cannot be held is anything. */
  int32_t (*left)(const attn__rows *rows, float factor, int64_t first_row, uint16_t *out);

  /* Makes the weights that have not been made yet. */
  void (*weigh)(attn__thirds_weighing *weighing);

  /* The rows become rows lead, ... of a right operand; those before are 0, and so is what cannot be held. */
  int32_t (*right)(const attn__rows *rows, int64_t lead, uint16_t *out);

  /* The rows, times factor, become its columns. A column with a number that cannot be held is anything. */
  int32_t (*right_transposed)(const attn__rows *rows, float factor, uint16_t *out);

  /* The bits of a number of c depend on its row and column alone, and on what there is in each step. */
  void (*multiply)(const attn__thirds_product *product);
} attn__thirds;

typedef struct attn__kernels {
  const char *name; /* "reference", "avx2", ... */

  /* The product. A panel of b has panel columns, a multiple of 16; a half that has any of cols can be read as a whole. Rows are
   * taken slab at a time, so a multiple of it is fastest. The bits of a number of c depend on inner alone. */
  int64_t panel, slab;
  void (*multiply)(const attn__product *product);

  /* The products of few rows, up to few: b is one panel where it stands, and each number of it is read from
   * memory once. b transposed: cols rows of inner numbers, and c is overwritten. Of several products the rows together are
   * ATTN__FEW_TOGETHER at most, and bits do not depend on how many these are. */
  int64_t few;
  void (*multiply_transposed)(const attn__product *product);
  void (*multiply_in_place)(const attn__product *product);

  const attn__thirds *thirds; /* NULL: the CPU has no such unit */

  /* The largest of x[0..count), -infinity if there is none; which of NaN and a number wins is open. */
  float (*row_max)(int64_t count, const float *x);

  /* out[j] = exp(x[j] - shift); returns the sum of out. x[j] is at most shift + 1, or NaN, which propagates, or
   * +infinity, which gives NaN or +infinity. exp is exact to 1 ulp down to the smallest denormal. out may be x. */
  float (*exp_sum)(int64_t count, const float *x, float shift, float *out);

  /* Of the rows of a matrix, row r at x + r * stride: row_max goes to maxima[r]. */
  void (*row_maxima)(int64_t rows, int64_t count, const float *x, int64_t stride, float *maxima);

  /* The rows become weights: exp(x - shifts[r]), as exp_sum makes it, but 0 where x - shifts[r] is below the limit above.
   * Their sums go to sums. */
  void (*weigh_rows)(int64_t rows, int64_t count, float *x, int64_t stride, const float *shifts,
                     float *sums);

  /* out[j] = factor * x[j]. out may be x. */
  void (*scale)(int64_t count, const float *x, float factor, float *out);

  /* out[j] = x[j] / divisor. out may be x. */
  void (*divide)(int64_t count, const float *x, float divisor, float *out);

  /* out[j] = sum over d < dim of weight[d] * tanh(query[d] + keys[d * stride + j]), j < count. */
  void (*additive)(const struct attn__additive *scores, int64_t count, float *out);

  /* x[j] = cap * tanh(x[j] / cap), cap > 0. */
  void (*softcap)(int64_t count, float *x, float cap);

  /* x[j] += bias[j]; where bias[j] is -infinity, x[j] = -infinity, even if it was NaN. */
  void (*add_bias)(int64_t count, float *x, const float *bias);

  /* x[j] -= slope * |first + j|. */
  void (*add_distance)(int64_t count, float *x, float slope, float first);

  /* x[j] = -infinity where visible[j] is 0. */
  void (*mask)(int64_t count, float *x, const uint8_t *visible);

  /* x[j] -= shift. */
  void (*subtract)(int64_t count, float *x, float shift);

  /* Where x[0..count) is above limit: the first indexes, at most so many, go to found. Returns how many there are, or
   * most + 1 if there are more. */
  int64_t (*above)(int64_t count, const float *x, float limit, int64_t most, int32_t *found);

  /* The sum of a[d] * b[d], d < count, in double. The same bits in every table: products of floats are exact, and their
   * order is fixed. */
  double (*dot)(int64_t count, const float *a, const float *b);

  /* 1 if every x[j] is finite, else 0. */
  int32_t (*all_finite)(int64_t count, const float *x);

  /* out[r * out_stride + c] = in[r * in_stride + c], r in [0, rows), c in [0, cols). */
  void (*copy)(int64_t rows, int64_t cols, const float *in, int64_t in_stride, float *out,
               int64_t out_stride);

  /* out[c * out_stride + r] = factor * number c of row r, r in [0, rows->count), c in [0, rows->width). */
  void (*transpose)(const attn__rows *rows, float factor, float *out, int64_t out_stride);
} attn__kernels;

/* The table of an ATTN_ISA_ level, or of the nearest one below that this build has. The CPU must have it. */
const attn__kernels *attn__kernels_for(int32_t isa);

/* The tables; a build has those of its architecture (ATTN_HAVE_... in the build). */
extern const attn__kernels attn__kernels_reference;
extern const attn__kernels attn__kernels_avx2;
extern const attn__kernels attn__kernels_avx512;
extern const attn__kernels attn__kernels_amx;
extern const attn__kernels attn__kernels_neon;

#endif
