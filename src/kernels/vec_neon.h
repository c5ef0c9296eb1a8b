/* vec_neon.h - the vector operations of simd.c in AArch64's NEON: 4 floats.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_VEC_NEON_H
#define ATTN_VEC_NEON_H

#include <arm_neon.h>
#include <stdint.h>

typedef float32x4_t vec;
enum { VEC_WIDTH = 4, VEC_REGISTERS = 32, VEC_BLOCK = 4 };
enum { MULTIPLY_SLAB = 5, MULTIPLY_VECS = 4 }; /* 20 of 32 registers are sums: 24 make gcc 12 spill */

static inline vec vec_set(float x) {
  return vdupq_n_f32(x);
}
static inline vec vec_load(const float *x) {
  return vld1q_f32(x);
}
static inline void vec_store(float *out, vec a) {
  vst1q_f32(out, a);
}

/* The first count numbers, 0 < count < VEC_WIDTH, the other lanes from fill. */
static inline vec vec_load_part(const float *x, int64_t count, vec fill) {
  vec a = vld1q_lane_f32(x, fill, 0);
  if (count > 1) a = vld1q_lane_f32(x + 1, a, 1);
  if (count > 2) a = vld1q_lane_f32(x + 2, a, 2);
  return a;
}

static inline void vec_store_part(float *out, int64_t count, vec a) {
  vst1q_lane_f32(out, a, 0);
  if (count > 1) vst1q_lane_f32(out + 1, a, 1);
  if (count > 2) vst1q_lane_f32(out + 2, a, 2);
}

static inline vec vec_add(vec a, vec b) {
  return vaddq_f32(a, b);
}
static inline vec vec_sub(vec a, vec b) {
  return vsubq_f32(a, b);
}
static inline vec vec_mul(vec a, vec b) {
  return vmulq_f32(a, b);
}
static inline vec vec_div(vec a, vec b) {
  return vdivq_f32(a, b);
}
static inline vec vec_fma(vec a, vec b, vec c) {
  return vfmaq_f32(c, a, b);
} /* a * b + c */
static inline vec vec_fms(vec a, vec b, vec c) {
  return vfmaq_f32(vnegq_f32(c), a, b);
} /* a * b - c */
static inline vec vec_fnma(vec a, vec b, vec c) {
  return vfmsq_f32(c, a, b);
} /* c - a * b */
static inline vec vec_max(vec a, vec b) {
  return vmaxq_f32(a, b);
} /* NaN where either is NaN */
static inline vec vec_min(vec a, vec b) {
  return vminq_f32(a, b);
} /* likewise */

/* yes where a == b, no elsewhere. */
static inline vec vec_where_equal(vec a, vec b, vec yes, vec no) {
  return vbslq_f32(vceqq_f32(a, b), yes, no);
}

/* yes where a < b, no elsewhere. */
static inline vec vec_where_less(vec a, vec b, vec yes, vec no) {
  return vbslq_f32(vcltq_f32(a, b), yes, no);
}

/* small where |a| < limit, large elsewhere. */
static inline vec vec_where_small(vec a, vec limit, vec small, vec large) {
  return vbslq_f32(vcltq_f32(vabsq_f32(a), limit), small, large);
}

/* |a|, and |a| with the sign of b. */
static inline vec vec_abs(vec a) {
  return vabsq_f32(a);
}
static inline vec vec_with_sign(vec a, vec b) {
  return vbslq_f32(vdupq_n_u32(0x80000000), b, a);
}

/* A bit for each number above the limit, the first the lowest. */
static inline uint32_t vec_above(vec a, vec limit) {
  const uint32x4_t bits = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(vcgtq_f32(a, limit), bits));
}

/* 1 if all numbers are at least the limit, which NaN is not. */
static inline int vec_all_from(vec a, vec limit) {
  return vminvq_u32(vcgeq_f32(a, limit)) != 0;
}

/* The numbers, which are from 0 to 2^23, rounded to integers that are the bits of floats. */
static inline vec vec_from_bits(vec a) {
  return vreinterpretq_f32_s32(vcvtnq_s32_f32(a));
}

/* 2^n for what nearest returned, n from -126 to 127; 0 for n = -127. */
static inline vec vec_power(vec sum) {
  return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(sum), 23));
}

/* a 2^n for both that nearest gave, n as above. */
static inline vec vec_times_power(vec a, vec n, vec sum) {
  (void)n;
  return vec_mul(a, vec_power(sum));
}

/* Halves first, as in the other tables: then the same numbers, all some lanes further on, have the same sum to
 * the bit, and it does not matter at which lane the keys that a row sees begin. */
static inline float vec_sum(vec a) {
  const float32x2_t two = vadd_f32(vget_low_f32(a), vget_high_f32(a));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
/* Four sums go to out. */
static inline void vec_store_sums(float *out, const vec a[4]) {
  vst1q_f32(out, vpaddq_f32(vpaddq_f32(a[0], a[1]), vpaddq_f32(a[2], a[3])));
}

static inline float vec_largest(vec a) {
  return vmaxvq_f32(a);
}

/* Columns c and c + 2 of four rows, times factor, from the pairs that vtrn makes of two rows each. */
static inline void vec_store_columns(vec rows01, vec rows23, float factor, float *out, int64_t out_stride) {
  const float64x2_t low = vreinterpretq_f64_f32(rows01), high = vreinterpretq_f64_f32(rows23);
  vst1q_f32(out, vmulq_n_f32(vreinterpretq_f32_f64(vtrn1q_f64(low, high)), factor));
  vst1q_f32(out + 2 * out_stride, vmulq_n_f32(vreinterpretq_f32_f64(vtrn2q_f64(low, high)), factor));
}

/* Transposes a block of VEC_BLOCK x VEC_BLOCK, times factor. */
static inline void vec_transpose(const float *in, int64_t in_stride, float factor, float *out,
                                 int64_t out_stride) {
  const vec r0 = vld1q_f32(in), r1 = vld1q_f32(in + in_stride);
  const vec r2 = vld1q_f32(in + 2 * in_stride), r3 = vld1q_f32(in + 3 * in_stride);
  vec_store_columns(vtrn1q_f32(r0, r1), vtrn1q_f32(r2, r3), factor, out, out_stride);
  vec_store_columns(vtrn2q_f32(r0, r1), vtrn2q_f32(r2, r3), factor, out + out_stride, out_stride);
}

#endif
