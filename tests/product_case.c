/* product_case.c - random products for any engine, checked against double.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "product_case.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static guarded random_matrix(int64_t rows, int64_t stride, int64_t width, random_source *source) {
  const int64_t count = (rows - 1) * stride + width;
  guarded memory = guarded_make(count, GUARD_AFTER);
  for (int64_t n = 0; n < count; n++) memory.data[n] = random_normal(source);
  return memory;
}

void product_case_pack(product_case *p, const attn__engine *engine) {
  p->product.b = (attn__matrix){p->b.data, p->rows_b.stride, 0};
  if (engine->panel)
    p->product.b = attn__product_pack(engine, &attn__kernels_reference, &p->rows_b, p->packed.data);
}

product_case product_case_make(const attn__engine *engine, const int64_t size[3], int32_t accumulate,
                               random_source *source) {
  const int64_t rows = size[0], cols = size[1], inner = size[2];
  const int64_t stride_a = inner + random_between(source, 0, 3);
  const int64_t stride_b = cols + random_between(source, 0, 3);
  const int64_t stride_c = cols + random_between(source, 0, 3);
  product_case p = {.a = random_matrix(rows, stride_a, inner, source),
                    .b = random_matrix(inner, stride_b, cols, source),
                    .c = random_matrix(rows, stride_c, cols, source),
                    .packed = guarded_make(attn__product_floats(engine, inner, cols), GUARD_AFTER)};
  p.rows_b = (attn__rows){p.b.data, stride_b, inner, cols};
  p.product = (attn__product){.rows = rows,
                              .cols = cols,
                              .inner = inner,
                              .a = p.a.data,
                              .stride_a = stride_a,
                              .c = p.c.data,
                              .stride_c = stride_c,
                              .accumulate = accumulate};
  product_case_pack(&p, engine);
  const size_t bytes = (size_t)((rows - 1) * stride_c + cols) * sizeof(float);
  p.before = malloc(bytes);
  memcpy(p.before, p.c.data, bytes);
  return p;
}

void product_case_free(product_case *p) {
  guarded_free(&p->a);
  guarded_free(&p->b);
  guarded_free(&p->c);
  guarded_free(&p->packed);
  free(p->before);
}

int64_t product_case_count_wrong(product_case *c, const attn__engine *engine) {
  const attn__product *p = &c->product;
  int64_t wrong = 0;
  engine->enter();
  engine->multiply(p);
  engine->leave();
  for (int64_t n = 0; n < (p->rows - 1) * p->stride_c + p->cols; n++) {
    const int64_t row = n / p->stride_c, col = n % p->stride_c;
    double sum = p->accumulate ? (double)c->before[n] : 0, size = fabs(sum);
    for (int64_t k = 0; k < p->inner && col < p->cols; k++) {
      const double term =
          (double)p->a[row * p->stride_a + k] * (double)c->b.data[k * c->rows_b.stride + col];
      sum += term;
      size += fabs(term);
    }
    if (col < p->cols)
      wrong += !(fabs((double)p->c[n] - sum) <= 1e-6 * size);
    else
      wrong += bits_of(p->c[n]) != bits_of(c->before[n]);
  }
  return wrong;
}
