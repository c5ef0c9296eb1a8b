/* blas_none.c - in blas.c's place in a build without BLAS.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <stddef.h>

#include "product.h"

int32_t attn__blas_present(void) {
  return 0;
}

const attn__engine *attn__blas_start(int64_t threads) {
  (void)threads;
  return NULL;
}

void attn__blas_describe(attn__blas_info *info) {
  *info = (attn__blas_info){.name = "none", .flavor = "none", .core = "none"};
}
