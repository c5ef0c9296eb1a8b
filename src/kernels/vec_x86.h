/* vec_x86.h - what the AVX2 and AVX-512 headers share: the 8 x 8 transposition.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_VEC_X86_H
#define ATTN_VEC_X86_H

#include <immintrin.h>
#include <stdint.h>

enum { VEC_BLOCK = 8 };

/* Pairs rows r and r + 4, so that three steps of interleaving within 128-bit lanes transpose the block. */
static inline __m256 vec_two_halves(const float *low, const float *high) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high), 1);
}

/* out[c][0..3] and out[c][4..7] for four columns, from four pairs of rows, times factor. */
static inline void vec_transpose_half(const float *in, int64_t in_stride, __m256 factor, float *out,
                                      int64_t out_stride) {
  const float *below = in + 4 * in_stride;
  __m256 r0 = vec_two_halves(in, below);
  __m256 r1 = vec_two_halves(in + in_stride, below + in_stride);
  __m256 r2 = vec_two_halves(in + 2 * in_stride, below + 2 * in_stride);
  __m256 r3 = vec_two_halves(in + 3 * in_stride, below + 3 * in_stride);
  __m256 low01 = _mm256_unpacklo_ps(r0, r1), high01 = _mm256_unpackhi_ps(r0, r1);
  __m256 low23 = _mm256_unpacklo_ps(r2, r3), high23 = _mm256_unpackhi_ps(r2, r3);
  _mm256_storeu_ps(out, _mm256_mul_ps(factor, _mm256_shuffle_ps(low01, low23, 0x44)));
  _mm256_storeu_ps(out + out_stride, _mm256_mul_ps(factor, _mm256_shuffle_ps(low01, low23, 0xee)));
  _mm256_storeu_ps(out + 2 * out_stride, _mm256_mul_ps(factor, _mm256_shuffle_ps(high01, high23, 0x44)));
  _mm256_storeu_ps(out + 3 * out_stride, _mm256_mul_ps(factor, _mm256_shuffle_ps(high01, high23, 0xee)));
}

/* Transposes a block of VEC_BLOCK x VEC_BLOCK, times factor. */
static inline void vec_transpose(const float *in, int64_t in_stride, float factor, float *out,
                                 int64_t out_stride) {
  const __m256 factors = _mm256_set1_ps(factor);
  vec_transpose_half(in, in_stride, factors, out, out_stride);
  vec_transpose_half(in + 4, in_stride, factors, out + 4 * out_stride, out_stride);
}

#endif
