/* bfloat.h - products of floats by a unit that multiplies bfloat16: a float is the sum of three of them.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * For simd.c, over the tiles of vec_*.h. A float x has 24 bits, a bfloat16 has 8: a, the nearest to x; b, the first bits
 * of the rest x - a; and c, the rest of that, are x exactly, its *thirds*. Of the nine products of the thirds of x and y
 * the six largest are made; the other three are at most 2^-22 of x y together, and 2^-26 on average, of either sign:
 * as much as rounding x y to a float does. Products of two bfloat16 are exact in float, and their sums are floats:
 * 16 of one third and one of the other go to a sum of their own, which is added to that of the whole (Henry, Tang and
 * Heinecke, 2019, "Leveraging the bfloat16 artificial intelligence datatype for higher-precision computations").
 *
 * An operand is cut in strips of 16 rows (of the right one: columns) and steps of 32 numbers of the inner length, each of
 * which is three tiles, one after another. A tile's row holds pairs of numbers 16 apart: in any order, as long as left
 * and right agree.
 */
#ifndef ATTN_BFLOAT_H
#define ATTN_BFLOAT_H

#include "kernels/ask.h"
#include "kernels/multiply.h"

enum {
  THIRDS_TILE = ATTN__THIRDS_STEP / 3, /* bfloat16 of a tile */
  THIRDS_STEP = ATTN__THIRDS_STEP,
};

/* Numbers [first, first + 16) of a row of so many; fill where there are none. */
static ALWAYS_INLINE vec thirds_load(const float *row, int64_t first, int64_t width, vec fill) {
  const int64_t from = first < 0 ? -first : 0, to = width - first < VEC_WIDTH ? width - first : VEC_WIDTH;
  if (from == 0 && to == VEC_WIDTH) return vec_load(row + first);
  return from < to ? vec_load_lanes(row + first, from, to, fill) : fill;
}

static inline void thirds_store(float *row, int64_t first, int64_t width, vec a) {
  const int64_t from = first < 0 ? -first : 0, to = width - first < VEC_WIDTH ? width - first : VEC_WIDTH;
  if (from < to) vec_store_lanes(row + first, from, to, a);
}

/* The thirds of a and b in pairs, a tile apart; returns the first. */
static ALWAYS_INLINE vec thirds_split(vec a, vec b, uint16_t *out) {
  const vec first_a = vec_bfloat(a), first_b = vec_bfloat(b), first = vec_pair(first_a, first_b);
  const vec rest_a = vec_sub(a, first_a), rest_b = vec_sub(b, first_b);
  const vec last_a = vec_sub(rest_a, vec_top(rest_a)), last_b = vec_sub(rest_b, vec_top(rest_b));
  vec_store_bits(out, first);
  vec_store_bits(out + THIRDS_TILE, vec_pair(rest_a, rest_b));
  vec_store_bits(out + 2 * THIRDS_TILE, vec_pair(last_a, last_b));
  return first;
}

/* What the functions of attn__thirds do is said in kernels.h. */
static int32_t thirds_left(const attn__rows *rows, float factor, int64_t first_row, uint16_t *out) {
  const int64_t steps = (rows->width + 31) / 32;
  const vec factors = vec_set(factor);
  vec largest = vec_set(0);
  for (int64_t r = 0; r < rows->count; r++) {
    const int64_t place = first_row + r;
    const float *row = rows->data + r * rows->stride;
    uint16_t *to = out + place / 16 * steps * THIRDS_STEP + place % 16 * 32;
    for (int64_t k = 0; k < rows->width; k += 32, to += THIRDS_STEP) {
      const vec a = thirds_load(row, k, rows->width, vec_set(0));
      const vec b = thirds_load(row, k + VEC_WIDTH, rows->width, vec_set(0));
      largest = vec_pair_max(largest, thirds_split(vec_mul(a, factors), vec_mul(b, factors), to));
    }
  }
  return vec_pairs_to(largest, ATTN__THIRDS_LIMIT);
}

/* Up to so many steps of weights of the row that is next, from scores or, if not made, as they are. Returns how many. */
static ALWAYS_INLINE int64_t thirds_weigh_row(attn__thirds_weighing *w, int64_t most, const int made,
                                              const int kept) {
  const int64_t r = w->row, width = w->scores.width, steps = attn__thirds_row_steps(w);
  const int64_t first = w->step, end = steps - first < most ? steps : first + most;
  const vec none = vec_set(made ? -INFINITY : 0), shift = vec_set(made ? w->shifts[r] : 0);
  const vec larger = vec_set(ATTN__THIRDS_WEIGHT), smaller = vec_set(1 / ATTN__THIRDS_WEIGHT);
  const float *row = w->scores.data + r * w->scores.stride;
  uint16_t *to = w->out + (r / 16 * steps + first) * THIRDS_STEP + r % 16 * 32;
  vec sum = first > 0 ? vec_load(w->partial) : vec_set(0);
  for (int64_t k = first * 32 - w->lead; k < end * 32 - w->lead; k += 32, to += THIRDS_STEP) {
    vec a = thirds_load(row, k, width, none), b = thirds_load(row, k + VEC_WIDTH, width, none);
    if (made && width - k <= VEC_WIDTH) { /* b has none */
      a = weight_one(vec_sub(a, shift), ATTN__THIRDS_WEIGHT);
      b = vec_set(0);
      sum = vec_add(sum, a);
    } else if (made) {
      a = vec_sub(a, shift);
      b = vec_sub(b, shift);
      weight_two(&a, &b, ATTN__THIRDS_WEIGHT);
      sum = vec_add(sum, vec_add(a, b));
    } else {
      a = vec_mul(a, larger);
      b = vec_mul(b, larger);
    }
    thirds_split(a, b, to);
    if (!kept) continue;
    thirds_store(w->weights + r * w->scores.stride, k, width, vec_mul(a, smaller));
    thirds_store(w->weights + r * w->scores.stride, k + VEC_WIDTH, width, vec_mul(b, smaller));
  }
  vec_store(w->partial, sum);
  w->step = end;
  if (end == steps) {
    if (made) w->sums[r] = vec_sum(sum) * (1 / ATTN__THIRDS_WEIGHT);
    w->row++;
    w->step = 0;
  }
  return end - first;
}

/* The next so many steps of weights, or what is left of them. Not inlined: it is called in the midst of tiles' products. */
static NEVER_INLINE void thirds_weigh_steps(attn__thirds_weighing *w, int64_t count) {
  while (count > 0 && w->row < w->scores.count)
    if (!w->shifts)
      count -= thirds_weigh_row(w, count, 0, 0);
    else if (w->weights)
      count -= thirds_weigh_row(w, count, 1, 1);
    else
      count -= thirds_weigh_row(w, count, 1, 0);
}

static void thirds_weigh(attn__thirds_weighing *w) {
  thirds_weigh_steps(w, INT64_MAX);
}

/* Numbers [col, col + 16) of a row of values, 0 where there are none, or, if some are cleared, one cannot be held. */
static ALWAYS_INLINE vec thirds_value(const attn__rows *rows, int64_t row, int64_t col, const int cleared) {
  if (row < 0 || row >= rows->count) return vec_set(0);
  const vec value = thirds_load(rows->data + row * rows->stride, col, rows->width, vec_set(0));
  return cleared ? vec_within(value, ATTN__THIRDS_LEAST, ATTN__THIRDS_MOST) : value;
}

static ALWAYS_INLINE int32_t thirds_values(const attn__rows *rows, int64_t lead, const int cleared,
                                           uint16_t *out) {
  vec_sizes sizes = vec_no_sizes();
  for (int64_t col = 0; col < rows->width; col += 16)
    for (int64_t row = -lead; row < rows->count; row += 32, out += THIRDS_STEP)
      for (int64_t i = 0; i < 16; i++) {
        const vec a = thirds_value(rows, row + i, col, cleared);
        const vec b = thirds_value(rows, row + 16 + i, col, cleared);
        if (!cleared) vec_note_sizes(&sizes, a);
        if (!cleared) vec_note_sizes(&sizes, b);
        thirds_split(a, b, out + i * 32);
      }
  return vec_all_within(&sizes, ATTN__THIRDS_LEAST, ATTN__THIRDS_MOST);
}

static int32_t thirds_right(const attn__rows *rows, int64_t lead, uint16_t *out) {
  if (thirds_values(rows, lead, 0, out)) return 1;
  thirds_values(rows, lead, 1, out);
  return 0;
}

/* A block of 16 rows by 32 numbers: rows as they stand, or a copy with 0 where there are none. */
static attn__rows thirds_block_at(const attn__rows *rows, int64_t row, int64_t col, float *copied) {
  const attn__rows copy = {copied, 32, 16, 32};
  if (rows->count - row >= 16 && rows->width - col >= 32)
    return (attn__rows){rows->data + row * rows->stride + col, rows->stride, 16, 32};
  for (int64_t r = 0; r < 16; r++)
    for (int64_t k = 0; k < 32; k += VEC_WIDTH) {
      vec some = vec_set(0);
      if (row + r < rows->count)
        some = thirds_load(rows->data + (row + r) * rows->stride, col + k, rows->width, some);
      vec_store(copied + r * 32 + k, some);
    }
  return copy;
}

static int32_t thirds_right_transposed(const attn__rows *rows, float factor, uint16_t *out) {
  float copied[16 * 32];
  const vec factors = vec_set(factor);
  vec largest = vec_set(0);
  for (int64_t row = 0; row < rows->count; row += 16)
    for (int64_t col = 0; col < rows->width; col += 32, out += THIRDS_STEP) {
      const attn__rows block = thirds_block_at(rows, row, col, copied);
      for (int64_t k = 0; k < 16; k += 4) {
        vec low[4], high[4];
        vec_columns(block.data + k, block.stride, low);
        vec_columns(block.data + k + 16, block.stride, high);
        UNROLLED for (int i = 0; i < 4; i++) {
          const vec first =
              thirds_split(vec_mul(low[i], factors), vec_mul(high[i], factors), out + (k + i) * 32);
          largest = vec_pair_max(largest, first);
        }
      }
    }
  return vec_pairs_to(largest, ATTN__THIRDS_LIMIT);
}

/* What is done in the shadow of each group of products of tiles, up to four. A row is asked for: many at once would keep
 * what is multiplied waiting. And weights are made, two steps at a time and never more: what is between two groups of
 * products is to be less than a core looks ahead. */
typedef struct thirds_shadow {
  attn__ahead *ahead;
  attn__thirds_weighing *weighing;
  int64_t pace, due; /* what of a step is to be made for each group, and what has not been made, in DUEs */
} thirds_shadow;

enum { DUE = 256, STEPS_AT_ONCE = 2 };

static inline void thirds_in_shadow(thirds_shadow *shadow) {
  if (shadow->ahead) ask_far(shadow->ahead, 1);
  if (!shadow->weighing) return;
  shadow->due += shadow->pace;
  if (shadow->due < STEPS_AT_ONCE * DUE) return;
  shadow->due -= STEPS_AT_ONCE * DUE;
  thirds_weigh_steps(shadow->weighing, STEPS_AT_ONCE);
}

/* Strips of the left and right operand whose products are made together; the next strip is so many numbers on. */
typedef struct thirds_block {
  const uint16_t *left, *right;
  int64_t left_strip, right_strip, steps;
  thirds_shadow *shadow;
} thirds_block;

static thirds_block thirds_at(const attn__thirds_product *p, int64_t row, int64_t col,
                              thirds_shadow *shadow) {
  return (thirds_block){.left = p->left.data + row * p->left.strip,
                        .right = p->right.data + col * p->right.strip,
                        .left_strip = p->left.strip,
                        .right_strip = p->right.strip,
                        .steps = p->steps,
                        .shadow = shadow};
}

#define LOAD_LEFT(tile, strip, third)  TILE_LOAD(tile, left + (strip)*b->left_strip + (third)*THIRDS_TILE)
#define LOAD_RIGHT(tile, strip, third) TILE_LOAD(tile, right + (strip)*b->right_strip + (third)*THIRDS_TILE)

#define ZERO_FOUR                                                                                          \
  TILE_ZERO(0);                                                                                            \
  TILE_ZERO(1);                                                                                            \
  TILE_ZERO(2);                                                                                            \
  TILE_ZERO(3)

/* What is done in their shadow stands between their operands' loads, which take long, and them. */
#define MULTIPLY_FOUR                                                                                      \
  thirds_in_shadow(b->shadow);                                                                             \
  TILE_MULTIPLY(0, 4, 6);                                                                                  \
  TILE_MULTIPLY(1, 4, 7);                                                                                  \
  TILE_MULTIPLY(2, 5, 6);                                                                                  \
  TILE_MULTIPLY(3, 5, 7)

/* Tiles 0 to 3 become the sums of two strips by two. A sum waits for itself while three others are added to. The six
 * products of thirds come in the same order as below: the bits of a number must not depend on what is made with it. */
static void thirds_two_by_two(const thirds_block *b) {
  const uint16_t *left = b->left, *right = b->right;
  ZERO_FOUR;
  for (int64_t step = 0; step < b->steps; step++, left += THIRDS_STEP, right += THIRDS_STEP) {
    vec_stay_awake();
    LOAD_LEFT(4, 0, 0);
    LOAD_LEFT(5, 1, 0);
    LOAD_RIGHT(6, 0, 2);
    LOAD_RIGHT(7, 1, 2);
    MULTIPLY_FOUR;
    LOAD_RIGHT(6, 0, 1);
    LOAD_RIGHT(7, 1, 1);
    MULTIPLY_FOUR;
    LOAD_LEFT(4, 0, 1);
    LOAD_LEFT(5, 1, 1);
    MULTIPLY_FOUR;
    LOAD_RIGHT(6, 0, 0);
    LOAD_RIGHT(7, 1, 0);
    MULTIPLY_FOUR;
    LOAD_LEFT(4, 0, 2);
    LOAD_LEFT(5, 1, 2);
    MULTIPLY_FOUR;
    LOAD_LEFT(4, 0, 0);
    LOAD_LEFT(5, 1, 0);
    MULTIPLY_FOUR;
  }
}

/* The same order: thirds of the left and the right operand. */
#define ALL_TERMS(TERM) TERM(0, 2) TERM(0, 1) TERM(1, 1) TERM(1, 0) TERM(2, 0) TERM(0, 0)

/* Tiles from 0 on become the sums of one strip by two or four. */
static void thirds_row(const thirds_block *b, int64_t count) {
  const uint16_t *left = b->left, *right = b->right;
  ZERO_FOUR;
  for (int64_t step = 0; step < b->steps; step++, left += THIRDS_STEP, right += THIRDS_STEP) {
    vec_stay_awake();
#define TERM(l, r)                                                                                         \
  LOAD_LEFT(4, 0, l);                                                                                      \
  LOAD_RIGHT(5, 0, r);                                                                                     \
  LOAD_RIGHT(6, 1, r);                                                                                     \
  thirds_in_shadow(b->shadow);                                                                             \
  TILE_MULTIPLY(0, 4, 5);                                                                                  \
  TILE_MULTIPLY(1, 4, 6);                                                                                  \
  if (count > 2) {                                                                                         \
    LOAD_RIGHT(7, 2, r);                                                                                   \
    LOAD_RIGHT(5, 3, r);                                                                                   \
    TILE_MULTIPLY(2, 4, 7);                                                                                \
    TILE_MULTIPLY(3, 4, 5);                                                                                \
  }
    ALL_TERMS(TERM)
#undef TERM
  }
}

/* Tiles from 0 on become the sums of so many strips, up to four, by one. */
static void thirds_column(const thirds_block *b, int64_t count) {
  const uint16_t *left = b->left, *right = b->right;
  ZERO_FOUR;
  for (int64_t step = 0; step < b->steps; step++, left += THIRDS_STEP, right += THIRDS_STEP) {
    vec_stay_awake();
#define NEXT(n, tile, l)                                                                                   \
  if (count > (n)) {                                                                                       \
    LOAD_LEFT(tile, n, l);                                                                                 \
    TILE_MULTIPLY(n, tile, 4);                                                                             \
  }
#define TERM(l, r)                                                                                         \
  LOAD_RIGHT(4, 0, r);                                                                                     \
  LOAD_LEFT(5, 0, l);                                                                                      \
  thirds_in_shadow(b->shadow);                                                                             \
  TILE_MULTIPLY(0, 5, 4);                                                                                  \
  NEXT(1, 6, l)                                                                                            \
  NEXT(2, 7, l)                                                                                            \
  NEXT(3, 5, l)
    ALL_TERMS(TERM)
#undef TERM
#undef NEXT
  }
}

/* What of a tile of sums, at strips row and col, is in c. */
static void thirds_put_part(const attn__thirds_product *p, int64_t row, int64_t col, const float *sums) {
  const int64_t first_row = row * 16, first_col = col * 16;
  const int64_t rows = p->rows - first_row < 16 ? p->rows - first_row : 16;
  float *c = p->c + first_row * p->stride_c + first_col;
  const vec factors = vec_set(p->factor);
  for (int64_t r = 0; r < rows; r++, c += p->stride_c, sums += 16)
    multiply_put_part(c, p->cols - first_col, p->accumulate, vec_mul(vec_load(sums), factors));
}

/* 1 if a tile of sums, at strips row and col, is c as it stands. */
static inline int32_t thirds_fits(const attn__thirds_product *p, int64_t row, int64_t col) {
  return !p->accumulate && p->factor == 1 && row * 16 + 16 <= p->rows && col * 16 + 16 <= p->cols;
}

/* A tile of sums, at strips row and col, goes to c. */
#define PUT(tile, row, col)                                                                                \
  do {                                                                                                     \
    if (thirds_fits(p, row, col)) {                                                                        \
      TILE_STORE(tile, p->c + (row)*16 * p->stride_c + (col)*16, p->stride_c * (int64_t)sizeof(float));    \
    } else {                                                                                               \
      float sums[16 * 16] __attribute__((aligned(64)));                                                    \
      TILE_STORE(tile, sums, 64);                                                                          \
      thirds_put_part(p, row, col, sums);                                                                  \
    }                                                                                                      \
  } while (0)

static void thirds_multiply_pairs(const attn__thirds_product *p, thirds_shadow *shadow, int64_t row,
                                  int64_t col) {
  const thirds_block block = thirds_at(p, row, col, shadow);
  thirds_two_by_two(&block);
  PUT(0, row, col);
  PUT(1, row, col + 1);
  PUT(2, row + 1, col);
  PUT(3, row + 1, col + 1);
}

/* Up to four strips by one, from row on. */
static void thirds_multiply_column(const attn__thirds_product *p, thirds_shadow *shadow, int64_t row,
                                   int64_t end, int64_t col) {
  const thirds_block block = thirds_at(p, row, col, shadow);
  const int64_t count = end - row < 4 ? end - row : 4;
  thirds_column(&block, count);
  PUT(0, row, col);
  if (count > 1) PUT(1, row + 1, col);
  if (count > 2) PUT(2, row + 2, col);
  if (count > 3) PUT(3, row + 3, col);
}

/* One strip by two or four, from col on. */
static void thirds_multiply_row(const attn__thirds_product *p, thirds_shadow *shadow, int64_t row,
                                int64_t col, int64_t end) {
  const thirds_block block = thirds_at(p, row, col, shadow);
  const int64_t count = end - col < 4 ? end - col : 4;
  thirds_row(&block, count);
  PUT(0, row, col);
  PUT(1, row, col + 1);
  if (count == 2) return;
  PUT(2, row, col + 2);
  PUT(3, row, col + 3);
}

/* The groups of products of so many strips: six of each block below and step. */
static int64_t thirds_groups(int64_t rows, int64_t cols, int64_t steps) {
  const int64_t pairs = rows / 2 * (cols / 2), column = cols % 2 * ((rows + 3) / 4);
  return 6 * steps * (pairs + column + rows % 2 * ((cols - cols % 2 + 3) / 4));
}

/* Pairs of strips by pairs; then the last column of strips, if it is left over, then the last row. */
static void thirds_multiply(const attn__thirds_product *p) {
  const int64_t rows = (p->rows + 15) / 16, cols = (p->cols + 15) / 16;
  const int64_t paired_rows = rows - rows % 2, paired_cols = cols - cols % 2;
  const int64_t groups = thirds_groups(rows, cols, p->steps);
  thirds_shadow shadow = {.ahead = p->ahead, .weighing = p->beside};
  if (p->beside && groups > 0) shadow.pace = (p->beside_steps * DUE + groups - 1) / groups;
  for (int64_t col = 0; col < paired_cols; col += 2)
    for (int64_t row = 0; row < paired_rows; row += 2) thirds_multiply_pairs(p, &shadow, row, col);
  for (int64_t row = 0; paired_cols < cols && row < rows; row += 4)
    thirds_multiply_column(p, &shadow, row, rows, paired_cols);
  for (int64_t col = 0; paired_rows < rows && col < paired_cols; col += 4)
    thirds_multiply_row(p, &shadow, paired_rows, col, paired_cols);
}

static const attn__thirds thirds = {.begin = tile_begin,
                                    .end = tile_end,
                                    .left = thirds_left,
                                    .right = thirds_right,
                                    .right_transposed = thirds_right_transposed,
                                    .multiply = thirds_multiply,
                                    .weigh = thirds_weigh};

#endif
