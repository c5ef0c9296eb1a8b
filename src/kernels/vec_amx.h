/* vec_amx.h - AVX-512 and, for bfloat.h, the tiles of AMX: products of pairs of bfloat16, summed in float.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_VEC_AMX_H
#define ATTN_VEC_AMX_H

#include "kernels/vec_avx512.h"

#define VEC_TILES

/* Number n, a literal from 0 to 7, of the eight tile registers: 16 rows of 64 bytes. */
#define TILE_ZERO(n)              _tile_zero(n)
#define TILE_LOAD(n, from)        _tile_loadd(n, from, 64)
#define TILE_STORE(n, to, stride) _tile_stored(n, to, stride)
#define TILE_MULTIPLY(sum, a, b)  _tile_dpbf16ps(sum, a, b) /* tile sum += a b */

/* Between these two, which one thread calls, tile registers may be used. */
static inline void tile_begin(void) {
  static const struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } config = {.palette = 1,
              .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
              .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
  _tile_loadconfig(&config);
}
static inline void tile_end(void) {
  _tile_release();
}

/* An addition that nobody needs. The Xeon that this was measured on puts its vector units to sleep when they have added or
 * multiplied no floats for 2,000 cycles, and keeps the tiles that are stored next waiting for 700, while they wake up. */
static inline void vec_stay_awake(void) {
  __m128 zero = _mm_setzero_ps();
  __asm__ volatile("vaddss %0, %0, %0" : "+v"(zero));
}

static inline void vec_store_bits(uint16_t *out, vec a) {
  _mm512_storeu_si512(out, _mm512_castps_si512(a));
}

static inline __mmask16 vec_lanes_between(int64_t from, int64_t to) {
  return (__mmask16)(((1u << to) - 1) & ~((1u << from) - 1));
}

/* Lanes [from, to), the others from fill; memory of those is not touched. */
static inline vec vec_load_lanes(const float *x, int64_t from, int64_t to, vec fill) {
  return _mm512_mask_loadu_ps(fill, vec_lanes_between(from, to), x);
}
static inline void vec_store_lanes(float *out, int64_t from, int64_t to, vec a) {
  _mm512_mask_storeu_ps(out, vec_lanes_between(from, to), a);
}

/* The bfloat16 nearest to each number, and what its first 16 bits are. */
static inline vec vec_bfloat(vec a) {
  const __m512i bits = _mm512_add_epi32(_mm512_castps_si512(a), _mm512_set1_epi32(0x8000));
  return _mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32(-0x10000)));
}
static inline vec vec_top(vec a) {
  return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(-0x10000)));
}

/* Pairs of the first 16 bits of each number: low below high. */
static inline vec vec_pair(vec low, vec high) {
  const __m512i halves = _mm512_set4_epi32(0x0f0e0f0e, 0x0b0a0b0a, 0x07060706, 0x03020302);
  return _mm512_castsi512_ps(_mm512_mask_shuffle_epi8(_mm512_castps_si512(high), 0x3333333333333333,
                                                      _mm512_castps_si512(low), halves));
}

/* Four numbers each of rows 0, 4, 8 and 12 from x on. */
static inline vec vec_every_fourth(const float *x, int64_t stride) {
  vec a = _mm512_castps128_ps512(_mm_loadu_ps(x));
  a = _mm512_mask_broadcast_f32x4(a, 0x00f0, _mm_loadu_ps(x + 4 * stride));
  a = _mm512_mask_broadcast_f32x4(a, 0x0f00, _mm_loadu_ps(x + 8 * stride));
  return _mm512_mask_broadcast_f32x4(a, 0xf000, _mm_loadu_ps(x + 12 * stride));
}

/* Four columns of 16 rows. */
static inline void vec_columns(const float *x, int64_t stride, vec columns[4]) {
  const vec a = vec_every_fourth(x, stride), b = vec_every_fourth(x + stride, stride);
  const vec c = vec_every_fourth(x + 2 * stride, stride), d = vec_every_fourth(x + 3 * stride, stride);
  const vec low_ab = _mm512_unpacklo_ps(a, b), high_ab = _mm512_unpackhi_ps(a, b);
  const vec low_cd = _mm512_unpacklo_ps(c, d), high_cd = _mm512_unpackhi_ps(c, d);
  columns[0] = _mm512_shuffle_ps(low_ab, low_cd, 0x44);
  columns[1] = _mm512_shuffle_ps(low_ab, low_cd, 0xee);
  columns[2] = _mm512_shuffle_ps(high_ab, high_cd, 0x44);
  columns[3] = _mm512_shuffle_ps(high_ab, high_cd, 0xee);
}

/* The larger of 16-bit halves without signs; 1 if all of a are at most limit. */
static inline vec vec_pair_max(vec a, vec b) {
  const __m512i size = _mm512_and_si512(_mm512_castps_si512(b), _mm512_set1_epi32(0x7fff7fff));
  return _mm512_castsi512_ps(_mm512_max_epu16(_mm512_castps_si512(a), size));
}
static inline int vec_pairs_to(vec a, uint16_t limit) {
  return _mm512_cmp_epu16_mask(_mm512_castps_si512(a), _mm512_set1_epi16((int16_t)limit), _MM_CMPINT_NLE) ==
         0;
}

/* Sizes of numbers, as integers: the smallest but 0, and the largest. NaN is larger than all. */
typedef struct vec_sizes {
  __m512i least, most;
} vec_sizes;

static inline vec_sizes vec_no_sizes(void) {
  return (vec_sizes){_mm512_set1_epi32(-1), _mm512_setzero_si512()};
}
static inline void vec_note_sizes(vec_sizes *sizes, vec a) {
  const __m512i size = _mm512_add_epi32(_mm512_castps_si512(a), _mm512_castps_si512(a));
  sizes->most = _mm512_max_epu32(sizes->most, size);
  sizes->least = _mm512_min_epu32(sizes->least, _mm512_sub_epi32(size, _mm512_set1_epi32(1)));
}

/* Which numbers are 0, or from low to below high in size. */
static inline __mmask16 vec_sizes_within(__m512i size, float low, float high) {
  const __m512i first = _mm512_slli_epi32(_mm512_castps_si512(vec_set(low)), 1);
  const __m512i range = _mm512_sub_epi32(_mm512_slli_epi32(_mm512_castps_si512(vec_set(high)), 1), first);
  return _mm512_cmplt_epu32_mask(_mm512_sub_epi32(size, first), range) |
         _mm512_testn_epi32_mask(size, size);
}

/* 1 if all numbers that were noted are; and 0 for those of a that are not. */
static inline int vec_all_within(const vec_sizes *sizes, float low, float high) {
  const __m512i one = _mm512_set1_epi32(1);
  return vec_sizes_within(sizes->most, low, high) == 0xffff &&
         vec_sizes_within(_mm512_add_epi32(sizes->least, one), low, high) == 0xffff;
}
static inline vec vec_within(vec a, float low, float high) {
  const __m512i size = _mm512_slli_epi32(_mm512_castps_si512(a), 1);
  return _mm512_maskz_mov_ps(vec_sizes_within(size, low, high), a);
}

#endif
