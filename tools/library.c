/* library.c - opens libattn with the options that several commands share.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "library.h"

#include <stddef.h>

#include "refuse.h"

const char *const library_engines[] = {
    [ATTN_ENGINE_AUTO] = "auto",
    [ATTN_ENGINE_BLAS] = "blas",
    NULL,
};
const char *const library_isas[] = {
    [ATTN_ISA_AUTO] = "auto",
    [ATTN_ISA_REFERENCE] = "reference",
    [ATTN_ISA_AVX2] = "avx2",
    [ATTN_ISA_AVX512] = "avx512",
    NULL,
};

int library_open(attn_context **context, attn_info *info, const library_options *options) {
  attn_options wanted = {.size = sizeof wanted,
                         .threads = (int32_t)options->threads,
                         .engine = options->engine,
                         .isa = options->isa};
  if (attn_create(context, &wanted) != ATTN_OK) return refuse(EXIT_LIBRARY, "%s", attn_last_error(NULL));
  *info = (attn_info){.size = sizeof *info};
  if (attn_describe(*context, info) == ATTN_OK) return EXIT_OK;
  attn_destroy(*context);
  return refuse(EXIT_LIBRARY, "the library cannot describe itself");
}
