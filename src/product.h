/* product.h - the product engines: who multiplies two tiles of floats.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_PRODUCT_H
#define ATTN_PRODUCT_H

#include <stdint.h>

#include "base.h"
#include "kernels/kernels.h"

typedef struct attn__engine {
  const char *name;

  /* How many threads of the process may multiply at once. */
  int64_t seats;

  /* A thread calls multiply only between enter and leave; enter waits for a free seat. */
  void (*enter)(void);
  void (*leave)(void);

  int64_t panel; /* the columns of a panel of b; 0: one panel holds them all, and need hold no more */
  int64_t slab;  /* products of a multiple of so many rows are fastest */
  int64_t
      few; /* products of up to so many rows have the two functions of their own, of the kernels; 0: none */

  const attn__thirds *thirds; /* what pays it is multiplied in thirds; NULL: nothing is */

  int32_t few_ahead; /* while few rows are multiplied, what comes next is asked for too */

  /* The bits of a row of c depend on rows, cols, inner and the row's place among rows only. */
  void (*multiply)(const attn__product *product);
} attn__engine;

/* The engine over a table's own product. */
attn__engine attn__product_builtin(const attn__kernels *kernels);

/* The floats that an operand of inner x cols takes when packed. */
int64_t attn__product_floats(const attn__engine *engine, int64_t inner, int64_t cols);

/* From a strip of an operand in thirds to the next, and how many numbers of 16 bits the operand takes. */
static inline int64_t attn__product_strip(int64_t inner) {
  return attn__divide_up(inner, ATTN__THIRDS_INNER) * ATTN__THIRDS_STEP;
}
static inline int64_t attn__product_thirds(int64_t rows, int64_t inner) {
  return attn__divide_up(rows, ATTN__THIRDS_STRIP) * attn__product_strip(inner);
}

/* 1 if products of so many rows of inner numbers each are made in thirds: the engine has them, and they pay. */
int32_t attn__product_in_thirds(const attn__engine *engine, int64_t rows, int64_t inner);

/* 1 if thirds can hold all these numbers times factor: as the kernels see them, by the nearest bfloat16. */
int32_t attn__product_held(int64_t count, const float *x, float factor);

/* Packs rows as the rows of a right operand: count x width. */
attn__matrix attn__product_pack(const attn__engine *engine, const attn__kernels *kernels,
                                const attn__rows *rows, float *out);

/* Packs rows, times factor, as its columns: width x count. */
attn__matrix attn__product_pack_transposed(const attn__engine *engine, const attn__kernels *kernels,
                                           const attn__rows *rows, float factor, float *out);

/* The operand without its first columns: the largest number of them that is at most count and can be left
 * out goes to *left_out. */
static inline attn__matrix attn__product_past(const attn__engine *engine, attn__matrix matrix,
                                              int64_t count, int64_t *left_out) {
  const int64_t panels = engine->panel ? count / engine->panel : 0;
  *left_out = engine->panel ? panels * engine->panel : count;
  matrix.data += engine->panel ? panels * matrix.step : count;
  return matrix;
}

/* What the BLAS in this process is. */
typedef struct attn__blas_info {
  char name[64];      /* "OpenBLAS 0.3.21"; without one the three texts are "none" */
  const char *flavor; /* "serial", "pthread", "openmp" */
  const char *core;   /* the CPU type whose kernels it runs */
  int32_t isa;        /* the ATTN_ISA_ level of these kernels; 0 where the type is not known */
} attn__blas_info;

/* 1 if this build has a BLAS: blas.c is in it, not blas_none.c. */
int32_t attn__blas_present(void);

/* The engine over cblas_sgemm, ready for use by so many threads; NULL if the memory that BLAS takes for
 * itself on first use is not there (it would wait for ever), or there is no BLAS. */
const attn__engine *attn__blas_start(int64_t threads);

void attn__blas_describe(attn__blas_info *info);

#endif
