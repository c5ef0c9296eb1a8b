/* kernels.c - picks the table of kernels.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "kernels/kernels.h"

#include "attn/attn.h"

const attn__kernels *attn__kernels_for(int32_t isa) {
#ifdef ATTN_HAVE_AMX
  if (isa >= ATTN_ISA_AMX) return &attn__kernels_amx;
#endif
#ifdef ATTN_HAVE_AVX512
  if (isa >= ATTN_ISA_AVX512) return &attn__kernels_avx512;
#endif
#ifdef ATTN_HAVE_AVX2
  if (isa >= ATTN_ISA_AVX2) return &attn__kernels_avx2;
#endif
#ifdef ATTN_HAVE_NEON
  if (isa >= ATTN_ISA_NEON) return &attn__kernels_neon;
#endif
  (void)isa;
  return &attn__kernels_reference;
}
