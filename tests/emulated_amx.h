/* emulated_amx.h - vec_amx.h for a CPU without AVX-512 and AMX: emulated_avx512.h, and tiles as arrays.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Tiles are used as on the CPU only between loading a configuration and releasing it; else the program ends.
 */
#ifndef ATTN_EMULATED_AMX_H
#define ATTN_EMULATED_AMX_H

#include <stdint.h>
#include <string.h>

#include "emulated_avx512.h"

/* What SIMDe lacks up to 0.7.4. */
static inline __mmask32 emulated_cmp_epu16_mask(__m512i a, __m512i b, int how) {
  uint16_t left[32], right[32];
  __mmask32 mask = 0;
  simde_mm512_storeu_si512(left, a);
  simde_mm512_storeu_si512(right, b);
  if (how != _MM_CMPINT_NLE) __builtin_trap();
  for (int i = 0; i < 32; i++) mask |= (__mmask32)(left[i] > right[i]) << i;
  return mask;
}

static inline __mmask16 emulated_cmplt_epu32_mask(__m512i a, __m512i b) {
  uint32_t left[16], right[16];
  unsigned mask = 0;
  simde_mm512_storeu_si512(left, a);
  simde_mm512_storeu_si512(right, b);
  for (int i = 0; i < 16; i++) mask |= (unsigned)(left[i] < right[i]) << i;
  return (__mmask16)mask;
}

static inline __mmask16 emulated_testn_epi32_mask(__m512i a, __m512i b) {
  uint32_t left[16], right[16];
  unsigned mask = 0;
  simde_mm512_storeu_si512(left, a);
  simde_mm512_storeu_si512(right, b);
  for (int i = 0; i < 16; i++) mask |= (unsigned)((left[i] & right[i]) == 0) << i;
  return (__mmask16)mask;
}

/* What overflows is no error, as it is to SIMDe. */
static inline __m512i emulated_add_epi32(__m512i a, __m512i b) {
  uint32_t left[16], right[16];
  simde_mm512_storeu_si512(left, a);
  simde_mm512_storeu_si512(right, b);
  for (int i = 0; i < 16; i++) left[i] += right[i];
  return simde_mm512_loadu_si512(left);
}

static inline __m512i emulated_sub_epi32(__m512i a, __m512i b) {
  uint32_t left[16], right[16];
  simde_mm512_storeu_si512(left, a);
  simde_mm512_storeu_si512(right, b);
  for (int i = 0; i < 16; i++) left[i] -= right[i];
  return simde_mm512_loadu_si512(left);
}

enum { EMULATED_TILES = 8, EMULATED_ROWS = 16, EMULATED_WORDS = 16, EMULATED_ROW_BYTES = 64 };

/* A word is a float, or two bfloat16 with the one before below the other. */
typedef struct emulated_tiles {
  int ready;
  uint32_t words[EMULATED_TILES][EMULATED_ROWS][EMULATED_WORDS];
} emulated_tiles;

static _Thread_local emulated_tiles emulated;

static inline void emulated_need_tiles(void) {
  if (!emulated.ready) __builtin_trap();
}

/* Of configurations there is one: eight whole tiles. */
static inline void emulated_tile_loadconfig(const void *config) {
  uint8_t bytes[64];
  memcpy(bytes, config, sizeof bytes);
  int right = bytes[0] == 1 && bytes[1] == 0;
  for (int t = 0; t < EMULATED_TILES; t++)
    right &=
        bytes[16 + 2 * t] == EMULATED_ROW_BYTES && bytes[17 + 2 * t] == 0 && bytes[48 + t] == EMULATED_ROWS;
  if (!right) __builtin_trap();
  memset(&emulated, 0, sizeof emulated);
  emulated.ready = 1;
}

static inline void emulated_tile_release(void) {
  memset(&emulated, 0, sizeof emulated);
}

static inline void emulated_tile_zero(int tile) {
  emulated_need_tiles();
  memset(emulated.words[tile], 0, sizeof emulated.words[tile]);
}

static inline void emulated_tile_loadd(int tile, const void *from, int64_t stride) {
  emulated_need_tiles();
  for (int r = 0; r < EMULATED_ROWS; r++)
    memcpy(emulated.words[tile][r], (const char *)from + r * stride, EMULATED_ROW_BYTES);
}

static inline void emulated_tile_stored(int tile, void *to, int64_t stride) {
  emulated_need_tiles();
  for (int r = 0; r < EMULATED_ROWS; r++)
    memcpy((char *)to + r * stride, emulated.words[tile][r], EMULATED_ROW_BYTES);
}

#if defined(__GNUC__) && !defined(__clang__)
#define OPTIMIZED __attribute__((optimize("O2"))) /* where the rest is not, this would take minutes */
#else
#define OPTIMIZED
#endif

/* Eight columns of a row of TDPBF16PS: of each sum the products of first numbers, one after another, and those of second
 * ones, each without a rounding of its own; then the two and what was there are added. */
OPTIMIZED static inline void emulated_dot(uint32_t *sums, const uint32_t *a,
                                          uint32_t (*b)[EMULATED_WORDS]) {
  const __m256i high = _mm256_set1_epi32(-0x10000);
  __m256 even = _mm256_setzero_ps(), odd = even;
  for (int k = 0; k < EMULATED_WORDS; k++) {
    const __m256i left = _mm256_set1_epi32((int32_t)a[k]);
    const __m256i right = _mm256_loadu_si256((const __m256i *)(const void *)b[k]);
    even = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_slli_epi32(left, 16)),
                           _mm256_castsi256_ps(_mm256_slli_epi32(right, 16)), even);
    odd = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_and_si256(left, high)),
                          _mm256_castsi256_ps(_mm256_and_si256(right, high)), odd);
  }
  const __m256i before = _mm256_loadu_si256((const __m256i *)(const void *)sums);
  const __m256 after = _mm256_add_ps(_mm256_castsi256_ps(before), _mm256_add_ps(even, odd));
  _mm256_storeu_si256((__m256i *)(void *)sums, _mm256_castps_si256(after));
}

/* What is denormal is 0, before and after: two bits of MXCSR. No arithmetic leaves the barriers, as it is between a load
 * and a store. */
OPTIMIZED static inline void emulated_tile_dpbf16ps(int sum, int a, int b) {
  enum { DENORMALS_ARE_ZERO = 0x40, FLUSH_TO_ZERO = 0x8000 };
  const unsigned control = _mm_getcsr();
  emulated_need_tiles();
  _mm_setcsr(control | DENORMALS_ARE_ZERO | FLUSH_TO_ZERO);
  __asm__ volatile("" ::: "memory");
  for (int m = 0; m < EMULATED_ROWS; m++)
    for (int half = 0; half < EMULATED_WORDS; half += EMULATED_WORDS / 2)
      emulated_dot(emulated.words[sum][m] + half, emulated.words[a][m],
                   (uint32_t(*)[EMULATED_WORDS])(emulated.words[b][0] + half));
  __asm__ volatile("" ::: "memory");
  _mm_setcsr(control);
}

#undef _mm512_add_epi32
#undef _mm512_sub_epi32
#undef _mm512_cmp_epu16_mask
#undef _mm512_cmplt_epu32_mask
#undef _mm512_testn_epi32_mask
#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#define _mm512_add_epi32        emulated_add_epi32
#define _mm512_sub_epi32        emulated_sub_epi32
#define _mm512_cmp_epu16_mask   emulated_cmp_epu16_mask
#define _mm512_cmplt_epu32_mask emulated_cmplt_epu32_mask
#define _mm512_testn_epi32_mask emulated_testn_epi32_mask
#define _tile_loadconfig        emulated_tile_loadconfig
#define _tile_release           emulated_tile_release
#define _tile_zero              emulated_tile_zero
#define _tile_loadd             emulated_tile_loadd
#define _tile_stored            emulated_tile_stored
#define _tile_dpbf16ps          emulated_tile_dpbf16ps

#include "kernels/vec_amx.h"

#endif
