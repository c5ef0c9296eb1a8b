/* emulated_avx512.h - vec_avx512.h for a CPU without AVX-512: its intrinsics by SIMDe, over AVX2 and FMA.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The compiler's own header comes first: SIMDe then takes over its types, and its names by macros.
 */
#ifndef ATTN_EMULATED_AVX512_H
#define ATTN_EMULATED_AVX512_H

#include <immintrin.h>
#include <math.h>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

/* What SIMDe lacks up to 0.7.4. Lanes outside of the mask touch no memory. */
static inline __m512 emulated_mask_loadu_ps(__m512 fill, __mmask16 lanes, const float *x) {
  float parts[16];
  simde_mm512_storeu_ps(parts, fill);
  for (int i = 0; i < 16; i++)
    if (lanes >> i & 1) parts[i] = x[i];
  return simde_mm512_loadu_ps(parts);
}

static inline void emulated_mask_storeu_ps(float *out, __mmask16 lanes, __m512 a) {
  float parts[16];
  simde_mm512_storeu_ps(parts, a);
  for (int i = 0; i < 16; i++)
    if (lanes >> i & 1) out[i] = parts[i];
}

/* Halves are joined until one lane is left, as compilers do it. */
static inline float emulated_reduce_add_ps(__m512 a) {
  float parts[16];
  simde_mm512_storeu_ps(parts, a);
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; i++) parts[i] += parts[i + width];
  return parts[0];
}

static inline float emulated_reduce_max_ps(__m512 a) {
  float parts[16];
  simde_mm512_storeu_ps(parts, a);
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; i++) parts[i] = parts[i] > parts[i + width] ? parts[i] : parts[i + width];
  return parts[0];
}

/* For whole n. */
static inline __m512 emulated_scalef_ps(__m512 a, __m512 n) {
  float parts[16], powers[16];
  simde_mm512_storeu_ps(parts, a);
  simde_mm512_storeu_ps(powers, n);
  for (int i = 0; i < 16; i++) parts[i] = isnan(powers[i]) ? powers[i] : ldexpf(parts[i], (int)powers[i]);
  return simde_mm512_loadu_ps(parts);
}

static inline __m512i emulated_cvtps_epi32(__m512 a) {
  float parts[16];
  int32_t whole[16];
  simde_mm512_storeu_ps(parts, a);
  for (int i = 0; i < 16; i++) whole[i] = isnan(parts[i]) ? INT32_MIN : (int32_t)lrintf(parts[i]);
  return simde_mm512_loadu_si512(whole);
}

static inline __m512 emulated_shuffle_f32x4(__m512 a, __m512 b, int order) {
  float from[2][16], to[16];
  simde_mm512_storeu_ps(from[0], a);
  simde_mm512_storeu_ps(from[1], b);
  for (int i = 0; i < 16; i++) to[i] = from[i / 8][(order >> i / 4 * 2 & 3) * 4 + i % 4];
  return simde_mm512_loadu_ps(to);
}

#undef _mm512_mask_loadu_ps
#undef _mm512_mask_storeu_ps
#undef _mm512_reduce_add_ps
#undef _mm512_reduce_max_ps
#undef _mm512_scalef_ps
#undef _mm512_cvtps_epi32
#undef _mm512_shuffle_f32x4
#define _mm512_mask_loadu_ps  emulated_mask_loadu_ps
#define _mm512_mask_storeu_ps emulated_mask_storeu_ps
#define _mm512_reduce_add_ps  emulated_reduce_add_ps
#define _mm512_reduce_max_ps  emulated_reduce_max_ps
#define _mm512_scalef_ps      emulated_scalef_ps
#define _mm512_cvtps_epi32    emulated_cvtps_epi32
#define _mm512_shuffle_f32x4  emulated_shuffle_f32x4

#include "kernels/vec_avx512.h"

#endif
