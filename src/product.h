/* product.h - the product engines: who multiplies two tiles of floats.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_PRODUCT_H
#define ATTN_PRODUCT_H

#include <stdint.h>

/* c = a b, or c += a b: row-major a (rows x inner), b (inner x cols), c (rows x cols); a row of each begins
 * stride numbers after the one before, and strides are at least the width and at most INT32_MAX. */
typedef struct attn__product {
  int64_t rows, cols, inner;
  const float *a;
  int64_t stride_a;
  const float *b;
  int64_t stride_b;
  float *c;
  int64_t stride_c;
  int32_t accumulate; /* 1: add to c; 0: overwrite it, whatever it holds */
} attn__product;

typedef struct attn__engine {
  const char *name;

  /* How many threads of the process may multiply at once. */
  int64_t seats;

  /* A thread calls multiply only between enter and leave; enter waits for a free seat. */
  void (*enter)(void);
  void (*leave)(void);

  /* The bits of a row of c depend on rows, cols, inner and the row's place among rows only. */
  void (*multiply)(const attn__product *product);
} attn__engine;

/* What the BLAS in this process is. */
typedef struct attn__blas_info {
  char name[64];      /* "OpenBLAS 0.3.21" */
  const char *flavor; /* "serial", "pthread", "openmp" */
  const char *core;   /* the CPU type whose kernels it runs */
  int32_t isa;        /* the ATTN_ISA_ level of these kernels; 0 where the type is not known */
} attn__blas_info;

/* The engine over cblas_sgemm, ready for use by so many threads; NULL if the memory that BLAS takes for
 * itself on first use is not there (it would wait for ever). */
const attn__engine *attn__blas_start(int64_t threads);

void attn__blas_describe(attn__blas_info *info);

#endif
