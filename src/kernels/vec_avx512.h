/* vec_avx512.h - the vector operations of simd.c in AVX-512: 16 floats.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_VEC_AVX512_H
#define ATTN_VEC_AVX512_H

#include "kernels/vec_x86.h"

typedef __m512 vec;
enum { VEC_WIDTH = 16, VEC_REGISTERS = 32 };
enum { MULTIPLY_SLAB = 8, MULTIPLY_VECS = 2 }; /* 16 of 32 registers are sums: 24 are no faster */

/* The first count lanes, 0 < count < VEC_WIDTH. */
static inline __mmask16 vec_lanes(int64_t count) {
  return (__mmask16)((1u << count) - 1);
}

static inline vec vec_set(float x) {
  return _mm512_set1_ps(x);
}
static inline vec vec_load(const float *x) {
  return _mm512_loadu_ps(x);
}
static inline void vec_store(float *out, vec a) {
  _mm512_storeu_ps(out, a);
}

/* The first count numbers, the other lanes from fill. */
static inline vec vec_load_part(const float *x, int64_t count, vec fill) {
  return _mm512_mask_loadu_ps(fill, vec_lanes(count), x);
}

static inline void vec_store_part(float *out, int64_t count, vec a) {
  _mm512_mask_storeu_ps(out, vec_lanes(count), a);
}

static inline vec vec_add(vec a, vec b) {
  return _mm512_add_ps(a, b);
}
static inline vec vec_sub(vec a, vec b) {
  return _mm512_sub_ps(a, b);
}
static inline vec vec_mul(vec a, vec b) {
  return _mm512_mul_ps(a, b);
}
static inline vec vec_div(vec a, vec b) {
  return _mm512_div_ps(a, b);
}
static inline vec vec_fma(vec a, vec b, vec c) {
  return _mm512_fmadd_ps(a, b, c);
} /* a * b + c */
static inline vec vec_fms(vec a, vec b, vec c) {
  return _mm512_fmsub_ps(a, b, c);
} /* a * b - c */
static inline vec vec_fnma(vec a, vec b, vec c) {
  return _mm512_fnmadd_ps(a, b, c);
} /* c - a * b */
static inline vec vec_max(vec a, vec b) {
  return _mm512_max_ps(a, b);
} /* b where either is NaN */
static inline vec vec_min(vec a, vec b) {
  return _mm512_min_ps(a, b);
} /* likewise */

/* yes where a == b, no elsewhere. */
static inline vec vec_where_equal(vec a, vec b, vec yes, vec no) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ), no, yes);
}

/* yes where a < b, no elsewhere. */
static inline vec vec_where_less(vec a, vec b, vec yes, vec no) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}

/* small where |a| < limit, large elsewhere. */
static inline vec vec_where_small(vec a, vec limit, vec small, vec large) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(_mm512_abs_ps(a), limit, _CMP_LT_OQ), large, small);
}

/* |a|, and |a| with the sign of b. */
static inline vec vec_abs(vec a) {
  return _mm512_abs_ps(a);
}
static inline vec vec_with_sign(vec a, vec b) {
  return _mm512_or_ps(vec_abs(a), _mm512_and_ps(_mm512_set1_ps(-0.0f), b));
}

/* A bit for each number above the limit, the first the lowest. */
static inline uint32_t vec_above(vec a, vec limit) {
  return _mm512_cmp_ps_mask(a, limit, _CMP_GT_OQ);
}

/* 1 if all numbers are at least the limit, which NaN is not. */
static inline int vec_all_from(vec a, vec limit) {
  return _mm512_cmp_ps_mask(a, limit, _CMP_NGE_UQ) == 0;
}

/* The numbers, which are from 0 to 2^23, rounded to integers that are the bits of floats. */
static inline vec vec_from_bits(vec a) {
  return _mm512_castsi512_ps(_mm512_cvtps_epi32(a));
}

/* 2^n for what nearest returned, n from -126 to 127; 0 for n = -127. */
static inline vec vec_power(vec sum) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(sum), 23));
}

/* a 2^n for both that nearest gave, n as above. vscalefps would take hundreds of cycles for what is denormal. */
static inline vec vec_times_power(vec a, vec n, vec sum) {
  (void)sum;
  return _mm512_scalef_ps(a, n);
}

static inline float vec_sum(vec a) {
  return _mm512_reduce_add_ps(a);
}
/* The two halves added. */
static inline __m256 vec_fold(vec a) {
  return _mm256_add_ps(_mm512_castps512_ps256(a),
                       _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1)));
}

/* Four sums go to out. */
static inline void vec_store_sums(float *out, const vec a[4]) {
  const __m256 low = _mm256_hadd_ps(vec_fold(a[0]), vec_fold(a[1]));
  const __m256 pairs = _mm256_hadd_ps(low, _mm256_hadd_ps(vec_fold(a[2]), vec_fold(a[3])));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1)));
}

/* For vectors of four fours. */
#define VEC_FOURS

static inline __m512 vec_fold_two(vec a, vec b) {
  return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
}

static inline __m512 vec_add_pairs(vec a, vec b) {
  return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
}

/* Four number r are the sums that vec_store_sums makes of a[r], made in the same order. */
static inline vec vec_sums(vec (*a)[4]) {
  vec fours[2];
  for (int h = 0; h < 2; h++) {
    vec(*rows)[4] = a + 2 * h;
    fours[h] = vec_add_pairs(
        vec_add_pairs(vec_fold_two(rows[0][0], rows[1][0]), vec_fold_two(rows[0][1], rows[1][1])),
        vec_add_pairs(vec_fold_two(rows[0][2], rows[1][2]), vec_fold_two(rows[0][3], rows[1][3])));
  }
  return _mm512_add_ps(_mm512_shuffle_f32x4(fours[0], fours[1], 0x88),
                       _mm512_shuffle_f32x4(fours[0], fours[1], 0xdd));
}

/* Four number r goes to out + r * stride. */
static inline void vec_store_fours(float *out, int64_t stride, vec a) {
  _mm_storeu_ps(out, _mm512_castps512_ps128(a));
  _mm_storeu_ps(out + stride, _mm512_extractf32x4_ps(a, 1));
  _mm_storeu_ps(out + 2 * stride, _mm512_extractf32x4_ps(a, 2));
  _mm_storeu_ps(out + 3 * stride, _mm512_extractf32x4_ps(a, 3));
}

/* Number i of four r of a[j] becomes number j of four r of a[i]. */
static inline void vec_turn_fours(vec a[4]) {
  const vec low = _mm512_unpacklo_ps(a[0], a[1]), high = _mm512_unpackhi_ps(a[0], a[1]);
  const vec low_2 = _mm512_unpacklo_ps(a[2], a[3]), high_2 = _mm512_unpackhi_ps(a[2], a[3]);
  a[0] = _mm512_shuffle_ps(low, low_2, 0x44);
  a[1] = _mm512_shuffle_ps(low, low_2, 0xee);
  a[2] = _mm512_shuffle_ps(high, high_2, 0x44);
  a[3] = _mm512_shuffle_ps(high, high_2, 0xee);
}

static inline float vec_largest(vec a) {
  return _mm512_reduce_max_ps(a);
}

#endif
