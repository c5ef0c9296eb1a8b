/* vec_avx2.h - the vector operations of simd.c in AVX2 and FMA: 8 floats.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_VEC_AVX2_H
#define ATTN_VEC_AVX2_H

#include "kernels/vec_x86.h"

typedef __m256 vec;
enum { VEC_WIDTH = 8, VEC_REGISTERS = 16 };
enum { MULTIPLY_SLAB = 6, MULTIPLY_VECS = 2 }; /* 12 of 16 registers are sums */

/* The first count lanes, 0 < count < VEC_WIDTH. */
static inline __m256i vec_lanes(int64_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline vec vec_set(float x) {
  return _mm256_set1_ps(x);
}
static inline vec vec_load(const float *x) {
  return _mm256_loadu_ps(x);
}
static inline void vec_store(float *out, vec a) {
  _mm256_storeu_ps(out, a);
}

/* The first count numbers, the other lanes from fill. */
static inline vec vec_load_part(const float *x, int64_t count, vec fill) {
  __m256i lanes = vec_lanes(count);
  return _mm256_blendv_ps(fill, _mm256_maskload_ps(x, lanes), _mm256_castsi256_ps(lanes));
}

static inline void vec_store_part(float *out, int64_t count, vec a) {
  _mm256_maskstore_ps(out, vec_lanes(count), a);
}

static inline vec vec_add(vec a, vec b) {
  return _mm256_add_ps(a, b);
}
static inline vec vec_sub(vec a, vec b) {
  return _mm256_sub_ps(a, b);
}
static inline vec vec_mul(vec a, vec b) {
  return _mm256_mul_ps(a, b);
}
static inline vec vec_div(vec a, vec b) {
  return _mm256_div_ps(a, b);
}
static inline vec vec_fma(vec a, vec b, vec c) {
  return _mm256_fmadd_ps(a, b, c);
} /* a * b + c */
static inline vec vec_fms(vec a, vec b, vec c) {
  return _mm256_fmsub_ps(a, b, c);
} /* a * b - c */
static inline vec vec_fnma(vec a, vec b, vec c) {
  return _mm256_fnmadd_ps(a, b, c);
} /* c - a * b */
static inline vec vec_max(vec a, vec b) {
  return _mm256_max_ps(a, b);
} /* b where either is NaN */
static inline vec vec_min(vec a, vec b) {
  return _mm256_min_ps(a, b);
} /* likewise */

/* yes where a == b, no elsewhere. */
static inline vec vec_where_equal(vec a, vec b, vec yes, vec no) {
  return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_EQ_OQ));
}

/* yes where a < b, no elsewhere. */
static inline vec vec_where_less(vec a, vec b, vec yes, vec no) {
  return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

/* small where |a| < limit, large elsewhere. */
static inline vec vec_where_small(vec a, vec limit, vec small, vec large) {
  vec size = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
  return _mm256_blendv_ps(large, small, _mm256_cmp_ps(size, limit, _CMP_LT_OQ));
}

/* |a|, and |a| with the sign of b. */
static inline vec vec_abs(vec a) {
  return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
static inline vec vec_with_sign(vec a, vec b) {
  return _mm256_or_ps(vec_abs(a), _mm256_and_ps(_mm256_set1_ps(-0.0f), b));
}

/* A bit for each number above the limit, the first the lowest. */
static inline uint32_t vec_above(vec a, vec limit) {
  return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, limit, _CMP_GT_OQ));
}

/* 1 if all numbers are at least the limit, which NaN is not. */
static inline int vec_all_from(vec a, vec limit) {
  return _mm256_movemask_ps(_mm256_cmp_ps(a, limit, _CMP_NGE_UQ)) == 0;
}

/* The numbers, which are from 0 to 2^23, rounded to integers that are the bits of floats. */
static inline vec vec_from_bits(vec a) {
  return _mm256_castsi256_ps(_mm256_cvtps_epi32(a));
}

/* 2^n for what nearest returned, n from -126 to 127; 0 for n = -127. */
static inline vec vec_power(vec sum) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(sum), 23));
}

/* a 2^n for both that nearest gave, n as above. */
static inline vec vec_times_power(vec a, vec n, vec sum) {
  (void)n;
  return vec_mul(a, vec_power(sum));
}

static inline float vec_sum(vec a) {
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* Four sums go to out. */
static inline void vec_store_sums(float *out, const vec a[4]) {
  const __m256 pairs = _mm256_hadd_ps(_mm256_hadd_ps(a[0], a[1]), _mm256_hadd_ps(a[2], a[3]));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1)));
}

static inline float vec_largest(vec a) {
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

#endif
