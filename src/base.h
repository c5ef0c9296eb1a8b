/* base.h - what every room needs: size arithmetic that cannot overflow, alignment, the compiler's gifts.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_BASE_H
#define ATTN_BASE_H

#include <stdint.h>

/* The compiler checks the arguments of a function that formats as printf does. */
#define ATTN_PRINTF(text, first) __attribute__((format(printf, text, first)))

enum { ATTN_CACHE_LINE = 64 };

static inline int64_t attn__min(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static inline int64_t attn__max(int64_t a, int64_t b) {
  return a > b ? a : b;
}

static inline int64_t attn__clamp(int64_t x, int64_t low, int64_t high) {
  return attn__min(attn__max(x, low), high);
}

/* a / b rounded up; a >= 0, b > 0. */
static inline int64_t attn__divide_up(int64_t a, int64_t b) {
  return a / b + (a % b != 0);
}

/* a rounded up to a multiple of b; a >= 0, b > 0. */
static inline int64_t attn__round_up(int64_t a, int64_t b) {
  return attn__divide_up(a, b) * b;
}

/* a + b, held at the ends of the range. */
static inline int64_t attn__add_saturating(int64_t a, int64_t b) {
  int64_t sum;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return a < 0 ? INT64_MIN : INT64_MAX;
}

/* *out = a * b; 1 if it fits, 0 if not. */
static inline int attn__multiply(int64_t a, int64_t b, int64_t *out) {
  return !__builtin_mul_overflow(a, b, out);
}

/* *out = a + b; 1 if it fits, 0 if not. */
static inline int attn__add(int64_t a, int64_t b, int64_t *out) {
  return !__builtin_add_overflow(a, b, out);
}

#endif
