/* product_case.h - random products for any engine, checked against double.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_PRODUCT_CASE_H
#define ATTN_PRODUCT_CASE_H

#include "product.h"
#include "support.h"

/* A product and its matrices, whose rows have gaps; b is packed if the engine wants panels. */
typedef struct product_case {
  attn__product product;
  guarded a, b, c;
  guarded packed; /* b for the engine */
  attn__rows rows_b;
  float *before; /* c before the product */
} product_case;

/* size: rows, cols, inner. */
product_case product_case_make(const attn__engine *engine, const int64_t size[3], int32_t accumulate,
                               random_source *source);
void product_case_free(product_case *p);

/* Makes product.b from b, after this has been changed too. */
void product_case_pack(product_case *p, const attn__engine *engine);

/* Multiplies, and says how many numbers of c are not what they should be, gaps included. */
int64_t product_case_count_wrong(product_case *p, const attn__engine *engine);

#endif
