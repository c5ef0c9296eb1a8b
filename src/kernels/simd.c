/* simd.c - every kernel once, over the vector operations of vec_*.h; compiled once per instruction set.
 * SPDX-License-Identifier: BSD-3-Clause */
#include ATTN_SIMD_HEADER

#include <math.h>

#include "kernels/few.h"
#include "kernels/kernels.h"
#include "kernels/loops.h"
#include "kernels/multiply.h"

static inline float row_max(int64_t count, const float *x) {
  vec lowest = vec_set(-INFINITY);
  vec even = lowest, odd = lowest;
  int64_t j = 0;
  for (; j + 2 * VEC_WIDTH <= count; j += 2 * VEC_WIDTH) {
    even = vec_max(even, vec_load(x + j));
    odd = vec_max(odd, vec_load(x + j + VEC_WIDTH));
  }
  if (j + VEC_WIDTH <= count) {
    even = vec_max(even, vec_load(x + j));
    j += VEC_WIDTH;
  }
  if (j < count) odd = vec_max(odd, vec_load_part(x + j, count - j, lowest));
  return vec_largest(vec_max(even, odd));
}

/* n: the integers nearest to a b, where that is below 2^22. Returns them for vec_power: adding 1.5 * 2^23 rounds to an
 * integer; the 127 makes the low byte of the sum the exponent of 2^n. */
static inline vec nearest(vec a, vec b, vec *n) {
  const vec rounder = vec_set(0x1.8p23f + 127), sum = vec_fma(a, b, rounder);
  *n = vec_sub(sum, rounder);
  return sum;
}

/* exp(x) = 2^n exp(r) with n = round(x / ln 2), |r| <= ln 2 / 2. Returns unit exp(r) by a polynomial, which is minimax in
 * relative error with its first two coefficients held at 1, and n for vec_times_power. A unit is a power of two, here and
 * below. */
static ALWAYS_INLINE vec exp_parts(vec x, const float unit, vec *n, vec *power) {
  *power = nearest(x, vec_set(0x1.715476p0f), n);
  vec r = vec_fnma(*n, vec_set(0x1.62e430p-1f), x);
  r = vec_fnma(*n, vec_set(-0x1.05c610p-29f), r);
  vec p = vec_set(unit * 0x1.6a2422p-10f);
  p = vec_fma(p, r, vec_set(unit * 0x1.1239e2p-7f));
  p = vec_fma(p, r, vec_set(unit * 0x1.5558f2p-5f));
  p = vec_fma(p, r, vec_set(unit * 0x1.555492p-3f));
  p = vec_fma(p, r, vec_set(unit * 0x1.fffffcp-2f));
  p = vec_fma(p, r, vec_set(unit));
  return vec_fma(p, r, vec_set(unit));
}

static const float exp_limit = -87; /* nothing from there to 0 has a denormal exp */

static ALWAYS_INLINE vec exp_normal(vec x, const float unit) {
  vec n, power;
  const vec p = exp_parts(x, unit, &n, &power);
  return vec_times_power(p, n, power);
}

/* exp(x) for any x up to 1. Denormals are rounded as integers: arithmetic that makes them takes hundreds of cycles. */
static inline vec exp_any(vec x) {
  const vec smallest = vec_set(0x1p-94f); /* 2^32 times the smallest normal number */
  vec n, power;
  const vec p =
      exp_parts(vec_max(vec_set(-104), x), 1, &n, &power); /* whose exp is 0; in this order NaN stays */
  const vec e = vec_mul(p, vec_power(vec_add(power, vec_set(32)))); /* 2^32 exp(x) */
  const vec denormal = vec_from_bits(vec_mul(vec_min(smallest, e), vec_set(0x1p117f)));
  return vec_where_small(e, smallest, denormal, vec_mul(vec_max(smallest, e), vec_set(0x1p-32f)));
}

/* exp of a vector. What is masked, -infinity, takes no longer than what is normal. */
static inline vec exp_one(vec a) {
  const vec masked = vec_set(-INFINITY), zero = vec_set(0), seen = vec_where_equal(a, masked, zero, a);
  if (vec_all_from(seen, vec_set(exp_limit))) return vec_where_equal(a, masked, zero, exp_normal(seen, 1));
  return exp_any(a);
}

/* The same of two vectors, each of which waits for itself; where nothing is masked, without a look at that. */
static inline void exp_two(vec *a, vec *b) {
  if (vec_all_from(vec_min(*a, *b), vec_set(exp_limit))) {
    *a = exp_normal(*a, 1);
    *b = exp_normal(*b, 1);
    return;
  }
  *a = exp_one(*a);
  *b = exp_one(*b);
}

/* unit times the weights of a vector: exp, but 0 below the limit. */
static ALWAYS_INLINE vec weight_one(vec a, const float unit) {
  const vec limit = vec_set(ATTN__WEIGHT_LIMIT);
  return vec_where_less(a, limit, vec_set(0),
                        exp_normal(vec_max(limit, a), unit)); /* in this order NaN stays */
}

static ALWAYS_INLINE void weight_two(vec *a, vec *b, const float unit) {
  if (vec_all_from(vec_min(*a, *b), vec_set(ATTN__WEIGHT_LIMIT))) {
    *a = exp_normal(*a, unit);
    *b = exp_normal(*b, unit);
    return;
  }
  *a = weight_one(*a, unit);
  *b = weight_one(*b, unit);
}

/* exp(x - shift), or weights; returns the sum of out. */
static ALWAYS_INLINE float exp_all(int64_t count, const float *x, float shift, float *out,
                                   const int32_t weights) {
  const vec shifts = vec_set(shift);
  vec sum = vec_set(0);
  int64_t j = 0;
  for (; j + 2 * VEC_WIDTH <= count; j += 2 * VEC_WIDTH) {
    vec a = vec_sub(vec_load(x + j), shifts), b = vec_sub(vec_load(x + j + VEC_WIDTH), shifts);
    if (weights)
      weight_two(&a, &b, 1);
    else
      exp_two(&a, &b);
    vec_store(out + j, a);
    vec_store(out + j + VEC_WIDTH, b);
    sum = vec_add(vec_add(sum, a), b);
  }
  if (j + VEC_WIDTH <= count) {
    const vec a = vec_sub(vec_load(x + j), shifts), e = weights ? weight_one(a, 1) : exp_one(a);
    vec_store(out + j, e);
    sum = vec_add(sum, e);
    j += VEC_WIDTH;
  }
  if (j < count) {
    const vec a = vec_sub(vec_load_part(x + j, count - j, vec_set(-INFINITY)), shifts);
    const vec e = weights ? weight_one(a, 1) : exp_one(a);
    vec_store_part(out + j, count - j, e);
    sum = vec_add(sum, e);
  }
  return vec_sum(sum);
}

static float exp_sum(int64_t count, const float *x, float shift, float *out) {
  return exp_all(count, x, shift, out, 0);
}

static void row_maxima(int64_t rows, int64_t count, const float *x, int64_t stride, float *maxima) {
  for (int64_t r = 0; r < rows; r++) maxima[r] = row_max(count, x + r * stride);
}

static void weigh_rows(int64_t rows, int64_t count, float *x, int64_t stride, const float *shifts,
                       float *sums) {
  for (int64_t r = 0; r < rows; r++) {
    float *row = x + r * stride;
    sums[r] = exp_all(count, row, shifts[r], row, 1);
  }
}

static void scale(int64_t count, const float *x, float factor, float *out) {
  vec factors = vec_set(factor);
  int64_t j = 0;
  for (; j + VEC_WIDTH <= count; j += VEC_WIDTH) vec_store(out + j, vec_mul(factors, vec_load(x + j)));
  if (j < count)
    vec_store_part(out + j, count - j, vec_mul(factors, vec_load_part(x + j, count - j, factors)));
}

/* x / divisor, by the reciprocal where a quotient is no larger than x and nothing on the way is denormal for the
 * divisor: the product less what it is too much by, divided likewise, which rounds as the division does (Markstein,
 * 1990) and keeps the sign of 0. Infinity is too much by NaN, and stays. */
static inline vec quotient(vec x, vec divisor, vec reciprocal, int32_t by_reciprocal) {
  if (!by_reciprocal) return vec_div(x, divisor);
  const vec first = vec_mul(x, reciprocal);
  const vec too_much = vec_fms(first, divisor, x);
  return vec_where_equal(too_much, too_much, vec_fnma(too_much, reciprocal, first), first);
}

static void divide(int64_t count, const float *x, float divisor, float *out) {
  const vec divisors = vec_set(divisor), reciprocals = vec_set(1 / divisor);
  const int32_t by_reciprocal = divisor >= 1 && divisor < 0x1p60f;
  int64_t j = 0;
  for (; j + VEC_WIDTH <= count; j += VEC_WIDTH)
    vec_store(out + j, quotient(vec_load(x + j), divisors, reciprocals, by_reciprocal));
  if (j == count) return;
  const vec rest = vec_load_part(x + j, count - j, divisors);
  vec_store_part(out + j, count - j, quotient(rest, divisors, reciprocals, by_reciprocal));
}

/* tanh(y): y + y^3 P(y^2) by a minimax polynomial below 0.65, else (1 - t) / (1 + t) with t = exp(-2 |y|). */
static inline vec tanh_vec(vec y) {
  vec z = vec_mul(y, y);
  vec p = vec_set(-0x1.697142p-8f);
  p = vec_fma(p, z, vec_set(0x1.4f5f02p-6f));
  p = vec_fma(p, z, vec_set(-0x1.b7cff4p-5f));
  p = vec_fma(p, z, vec_set(0x1.1103f2p-3f));
  p = vec_fma(p, z, vec_set(-0x1.555524p-2f));
  vec small = vec_fma(vec_mul(p, z), y, y);
  vec one = vec_set(1), t = exp_normal(vec_max(vec_set(exp_limit), vec_mul(vec_set(-2), vec_abs(y))), 1);
  vec large = vec_with_sign(vec_div(vec_sub(one, t), vec_add(one, t)), y);
  return vec_where_small(y, vec_set(0.65f), small, large);
}

static inline vec additive_step(const attn__additive *scores, int64_t d, vec keys, vec sum) {
  return vec_fma(vec_set(scores->weight[d]), tanh_vec(vec_add(vec_set(scores->query[d]), keys)), sum);
}

static void additive(const attn__additive *scores, int64_t count, float *out) {
  int64_t j = 0;
  for (; j + VEC_WIDTH <= count; j += VEC_WIDTH) {
    vec sum = vec_set(0);
    for (int64_t d = 0; d < scores->dim; d++)
      sum = additive_step(scores, d, vec_load(scores->keys + d * scores->stride + j), sum);
    vec_store(out + j, sum);
  }
  if (j == count) return;
  vec sum = vec_set(0);
  for (int64_t d = 0; d < scores->dim; d++)
    sum =
        additive_step(scores, d, vec_load_part(scores->keys + d * scores->stride + j, count - j, sum), sum);
  vec_store_part(out + j, count - j, sum);
}

static void softcap(int64_t count, float *x, float cap) {
  vec caps = vec_set(cap);
  int64_t j = 0;
  for (; j + VEC_WIDTH <= count; j += VEC_WIDTH)
    vec_store(x + j, vec_mul(caps, tanh_vec(vec_div(vec_load(x + j), caps))));
  if (j < count) {
    vec y = vec_div(vec_load_part(x + j, count - j, caps), caps);
    vec_store_part(x + j, count - j, vec_mul(caps, tanh_vec(y)));
  }
}

static inline vec biased(vec x, vec bias) {
  const vec lowest = vec_set(-INFINITY);
  return vec_where_equal(bias, lowest, lowest, vec_add(x, bias));
}

static void add_bias(int64_t count, float *x, const float *bias) {
  int64_t j = 0;
  for (; j + VEC_WIDTH <= count; j += VEC_WIDTH)
    vec_store(x + j, biased(vec_load(x + j), vec_load(bias + j)));
  if (j < count) {
    vec zero = vec_set(0), part = vec_load_part(bias + j, count - j, zero);
    vec_store_part(x + j, count - j, biased(vec_load_part(x + j, count - j, zero), part));
  }
}

/* A bit for each of up to 64 numbers above the limits, the first the lowest. */
static inline uint64_t above_bits(int64_t count, const float *x, vec limits) {
  uint64_t bits = 0;
  int64_t j = 0;
  for (; j + VEC_WIDTH <= count; j += VEC_WIDTH) bits |= (uint64_t)vec_above(vec_load(x + j), limits) << j;
  if (j < count) bits |= (uint64_t)vec_above(vec_load_part(x + j, count - j, limits), limits) << j;
  return bits;
}

static int64_t above(int64_t count, const float *x, float limit, int64_t most, int32_t *found) {
  const vec limits = vec_set(limit);
  int64_t seen = 0;
  for (int64_t j = 0; j < count; j += 64) {
    const int64_t some = count - j < 64 ? count - j : 64;
    for (uint64_t bits = above_bits(some, x + j, limits); bits; bits &= bits - 1) {
      if (seen == most) return most + 1;
      found[seen++] = (int32_t)j + __builtin_ctzll(bits);
    }
  }
  return seen;
}

/* 0 * x is 0 for what is finite and NaN for what is not. */
static int32_t all_finite(int64_t count, const float *x) {
  vec zero = vec_set(0), sum = zero, other = zero;
  int64_t j = 0;
  for (; j + 2 * VEC_WIDTH <= count; j += 2 * VEC_WIDTH) {
    sum = vec_fma(zero, vec_load(x + j), sum);
    other = vec_fma(zero, vec_load(x + j + VEC_WIDTH), other);
  }
  sum = vec_add(sum, other);
  if (j + VEC_WIDTH <= count) {
    sum = vec_fma(zero, vec_load(x + j), sum);
    j += VEC_WIDTH;
  }
  if (j < count) sum = vec_fma(zero, vec_load_part(x + j, count - j, zero), sum);
  return vec_sum(sum) == 0;
}

static void copy(int64_t rows, int64_t cols, const float *in, int64_t in_stride, float *out,
                 int64_t out_stride) {
  for (int64_t r = 0; r < rows; r++, in += in_stride, out += out_stride) {
    int64_t c = 0;
    for (; c + VEC_WIDTH <= cols; c += VEC_WIDTH) vec_store(out + c, vec_load(in + c));
    if (c < cols) vec_store_part(out + c, cols - c, vec_load_part(in + c, cols - c, vec_set(0)));
  }
}

static void transpose_few(const attn__rows *rows, float factor, float *out, int64_t out_stride) {
  for (int64_t c = 0; c < rows->width; c++)
    for (int64_t r = 0; r < rows->count; r++)
      out[c * out_stride + r] = factor * rows->data[r * rows->stride + c];
}

/* By blocks, the last of which may begin earlier and overlap those before. */
static void transpose(const attn__rows *rows, float factor, float *out, int64_t out_stride) {
  if (rows->count < VEC_BLOCK || rows->width < VEC_BLOCK) {
    transpose_few(rows, factor, out, out_stride);
    return;
  }
  for (int64_t row = 0; row < rows->count; row += VEC_BLOCK) {
    const int64_t r = row + VEC_BLOCK <= rows->count ? row : rows->count - VEC_BLOCK;
    const float *in = rows->data + r * rows->stride;
    for (int64_t col = 0; col < rows->width; col += VEC_BLOCK) {
      const int64_t c = col + VEC_BLOCK <= rows->width ? col : rows->width - VEC_BLOCK;
      vec_transpose(in + c, rows->stride, factor, out + c * out_stride + r, out_stride);
    }
  }
}

#ifdef VEC_TILES
#include "kernels/bfloat.h"
#define THIRDS &thirds
#else
#define THIRDS NULL
#endif

#define TABLE_OF(isa) attn__kernels_##isa
#define TABLE(isa)    TABLE_OF(isa)
#define WORD_OF(isa)  #isa
#define WORD(isa)     WORD_OF(isa)

const attn__kernels TABLE(ATTN_SIMD_ISA) = {
    .name = WORD(ATTN_SIMD_ISA),
    .panel = MULTIPLY_PANEL,
    .slab = MULTIPLY_SLAB,
    .multiply = multiply,
    .few = FEW_ROWS,
    .multiply_transposed = multiply_transposed,
    .multiply_in_place = multiply_in_place,
    .thirds = THIRDS,
    .row_max = row_max,
    .exp_sum = exp_sum,
    .row_maxima = row_maxima,
    .weigh_rows = weigh_rows,
    .scale = scale,
    .divide = divide,
    .additive = additive,
    .softcap = softcap,
    .add_bias = add_bias,
    .add_distance = add_distance,
    .mask = mask,
    .subtract = subtract,
    .above = above,
    .dot = dot,
    .all_finite = all_finite,
    .copy = copy,
    .transpose = transpose,
};
