/* test_weigh.c - scores that become weights in thirds: the numbers of weigh_rows, wherever they stand.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "thirds_case.h"

enum { ROWS = 19 };

/* Rows of scores between unreadable pages, and what becomes of them. Weights as floats are elsewhere, in place of the
 * scores, or not wanted. */
typedef enum floats_go { NOWHERE, ELSEWHERE, IN_PLACE, FLOATS_GO } floats_go;

typedef struct weighing {
  const attn__kernels *kernels;
  int64_t keys, lead, stride;
  floats_go floats;
  guarded scores, weights, shifts, sums;
  operand out;
} weighing;

static weighing weighing_make(const attn__kernels *kernels, int64_t keys, int64_t lead,
                              random_source *source) {
  weighing w = {.kernels = kernels,
                .keys = keys,
                .lead = lead,
                .stride = keys + random_between(source, 0, 3),
                .floats = (floats_go)random_between(source, 0, FLOATS_GO - 1)};
  const guard_side side = (guard_side)random_between(source, 0, 1);
  const int64_t count = (ROWS - 1) * w.stride + keys;
  w.scores = guarded_make(count, side);
  w.weights = guarded_make(count, side);
  w.shifts = guarded_make(ROWS, side);
  w.sums = guarded_make(ROWS, side);
  w.out = operand_make(0, ROWS, lead + keys);
  for (int64_t n = 0; n < count; n++) w.scores.data[n] = w.weights.data[n] = canary();
  return w;
}

static void weighing_free(weighing *w) {
  guarded_free(&w->scores);
  guarded_free(&w->weights);
  guarded_free(&w->shifts);
  guarded_free(&w->sums);
  operand_free(&w->out);
}

/* Scores of a row, some of them masked, with the shift that rows have. The more spread, the more exponentials are
 * denormal or 0. */
static void fill_row(weighing *w, int64_t r, random_source *source) {
  const float spreads[] = {1, 10, 40, 100};
  const float spread = spreads[random_between(source, 0, COUNT_OF(spreads) - 1)];
  const int64_t masked = random_between(source, 0, 4);
  float *row = w->scores.data + r * w->stride;
  for (int64_t j = 0; j < w->keys; j++)
    row[j] = random_between(source, 0, 4) < masked ? -INFINITY : spread * random_normal(source);
  const float max = w->kernels->row_max(w->keys, row);
  w->shifts.data[r] = max == -INFINITY ? 0 : max;
}

enum { MOST_STRIPS = 5, MOST_STEPS = 3 };

/* Numbers of thirds between 1 and 2. */
static void fill_thirds(uint16_t *thirds, random_source *source) {
  for (int64_t n = 0; n < MOST_STRIPS * MOST_STEPS * ATTN__THIRDS_STEP; n++)
    thirds[n] = (uint16_t)random_between(source, 0x3f80, 0x3fff);
}

/* A product of any size, with about so many steps of weights made beside it: it is what it is without them. */
static void multiply_beside(const attn__kernels *kernels, attn__thirds_weighing *beside, int64_t count,
                            random_source *source) {
  static _Alignas(64) uint16_t left[MOST_STRIPS * MOST_STEPS * ATTN__THIRDS_STEP], right[COUNT_OF(left)];
  static float alone[MOST_STRIPS * 16 * MOST_STRIPS * 16], c[COUNT_OF(alone)];
  attn__thirds_product product = {.rows = random_between(source, 1, MOST_STRIPS * 16),
                                  .cols = random_between(source, 1, MOST_STRIPS * 16),
                                  .steps = random_between(source, 1, MOST_STEPS),
                                  .c = alone,
                                  .factor = 1};
  const int64_t before = attn__thirds_steps_left(beside);
  if (left[0] == 0) fill_thirds(left, source);
  if (right[0] == 0) fill_thirds(right, source);
  product.left = (attn__thirds_strips){left, product.steps * ATTN__THIRDS_STEP};
  product.right = (attn__thirds_strips){right, product.steps * ATTN__THIRDS_STEP};
  product.stride_c = product.cols;
  kernels->thirds->multiply(&product);
  product.c = c;
  product.beside = beside;
  product.beside_steps = count;
  kernels->thirds->multiply(&product);
  assert_memory_equal(c, alone, (size_t)(product.rows * product.cols) * sizeof *c);
  assert_in_range(before - attn__thirds_steps_left(beside),
                  attn__min(count - count % 2, 12 * product.steps), count);
}

/* Makes the weights, perhaps some of them beside products; from scores, or as they are. */
static void run_with(weighing *w, const float *shifts, random_source *source) {
  float *floats[] = {NULL, w->weights.data, w->scores.data};
  attn__thirds_weighing asked = {.scores = {w->scores.data, w->stride, ROWS, w->keys},
                                 .lead = w->lead,
                                 .shifts = shifts,
                                 .sums = w->sums.data,
                                 .weights = floats[w->floats],
                                 .out = w->out.data};
  for (int64_t left; random_between(source, 0, 1) && (left = attn__thirds_steps_left(&asked)) > 1;)
    multiply_beside(w->kernels, &asked, random_between(source, 0, left - 1), source);
  w->kernels->thirds->weigh(&asked);
  assert_int_equal(attn__thirds_steps_left(&asked), 0);
}

static void run(weighing *w, random_source *source) {
  run_with(w, w->shifts.data, source);
}

static void fail_row(const weighing *w, int64_t r, const char *what) {
  fail_msg("%s, %ld keys after %ld, row %ld: %s", w->kernels->name, (long)w->keys, (long)w->lead, (long)r,
           what);
}

/* 1 if the thirds of a weight are a float or up to so many next to it, but for what is too small for them. */
static int is_near(double weight, float x, int64_t ulps) {
  return ((double)(float)weight == weight && ulps_between((float)weight, x) <= ulps) ||
         fabs(weight - (double)x) < OPERAND_LEAST / (double)ATTN__THIRDS_WEIGHT;
}

/* A row of weights against those of weigh_rows, whose sum is given. */
static void check_row(const weighing *w, int64_t r, const float *expected, float sum) {
  const float *floats = (w->floats == IN_PLACE ? w->scores.data : w->weights.data) + r * w->stride;
  for (int64_t n = 0; n < attn__round_up(w->lead + w->keys, 32); n++) {
    const int64_t j = n - w->lead;
    if (j < 0 || j >= w->keys) {
      if (!operand_is_zero(&w->out, r, n)) fail_row(w, r, "a number beside it is not 0");
      continue;
    }
    const double weight = operand_number(&w->out, r, n) / (double)ATTN__THIRDS_WEIGHT;
    if (!is_near(weight, expected[j], 1)) fail_row(w, r, "not the weights of weigh_rows");
    if (expected[j] == 0 && !operand_is_zero(&w->out, r, n)) fail_row(w, r, "0 is something else");
    if (w->floats != NOWHERE && !is_near(weight, floats[j], 0))
      fail_row(w, r, "weights as floats are not the thirds");
  }
  for (int64_t j = w->keys; j < w->stride && r + 1 < ROWS; j++)
    if (!is_canary(floats[j])) fail_row(w, r, "written beside the floats");
  if (ulps_between(w->sums.data[r], sum) > 4) fail_row(w, r, "another sum");
}

static void check_weights(weighing *w, random_source *source) {
  const size_t bytes = (size_t)w->keys * sizeof(float);
  float *expected = malloc(ROWS * bytes), sums[ROWS];
  for (int64_t r = 0; r < ROWS; r++) {
    fill_row(w, r, source);
    memcpy(expected + r * w->keys, w->scores.data + r * w->stride, bytes);
  }
  w->kernels->weigh_rows(ROWS, w->keys, expected, w->keys, w->shifts.data, sums);
  run(w, source);
  for (int64_t r = 0; r < ROWS; r++) check_row(w, r, expected + r * w->keys, sums[r]);
  for (int64_t r = ROWS; r < 32; r++)
    for (int64_t n = 0; n < attn__round_up(w->lead + w->keys, 32); n++)
      if (!operand_is_untouched(&w->out, r, n)) fail_row(w, r, "written, which it may not be");
  free(expected);
}

static void check_table(const attn__kernels *kernels) {
  random_source source = random_seeded(support_seed());
  for (int64_t lead = 0; lead < 32; lead++)
    for (int64_t keys = 1; keys <= 256; keys += keys < 70 ? 1 : 31) {
      weighing w = weighing_make(kernels, keys, lead, &source);
      check_weights(&w, &source);
      weighing_free(&w);
    }
}

static void test_weights(void **state) {
  (void)state;
  thirds_for_each_begun(check_table);
}

/* Keys from position on, of which those before key from and from key to on are masked: thirds and sums have the bits that
 * the keys between them have alone. */
static void check_masked(const weighing *whole, int64_t from, int64_t to, random_source *source) {
  const int64_t first = (whole->lead + from) / 32 * 32;
  weighing part = weighing_make(whole->kernels, to - from, whole->lead + from - first, source);
  for (int64_t r = 0; r < ROWS; r++) {
    part.shifts.data[r] = whole->shifts.data[r];
    memcpy(part.scores.data + r * part.stride, whole->scores.data + r * whole->stride + from,
           (size_t)(to - from) * sizeof(float));
    for (int64_t j = 0; j < whole->keys; j++)
      if (j < from || j >= to) whole->scores.data[r * whole->stride + j] = -INFINITY;
  }
  weighing masked = *whole;
  run(&masked, source);
  run(&part, source);
  for (int64_t r = 0; r < ROWS; r++) {
    if (bits_of(part.sums.data[r]) != bits_of(masked.sums.data[r])) fail_row(&part, r, "sum by place");
    for (int64_t n = 0; n < attn__round_up(masked.lead + masked.keys, 32); n++) {
      const int64_t there = n - first;
      const double alone = there < 0 || there >= attn__round_up(part.lead + part.keys, 32)
                               ? 0
                               : operand_number(&part.out, r, there);
      if (operand_number(&masked.out, r, n) != alone) fail_row(&part, r, "weights by place");
    }
  }
  weighing_free(&part);
}

static void check_places(const attn__kernels *kernels) {
  random_source source = random_seeded(support_seed());
  for (int round = 0; round < 500; round++) {
    const int64_t keys = random_between(&source, 1, 200), lead = random_between(&source, 0, 31);
    const int64_t from = random_between(&source, 0, keys - 1), to = random_between(&source, from + 1, keys);
    weighing w = weighing_make(kernels, keys, lead, &source);
    w.floats = NOWHERE;
    for (int64_t r = 0; r < ROWS; r++) fill_row(&w, r, &source);
    check_masked(&w, from, to, &source);
    weighing_free(&w);
  }
}

static void test_places(void **state) {
  (void)state;
  thirds_for_each_begun(check_places);
}

/* A row without scores but -infinity is 0; NaN and infinity stay in their rows. */
static void check_specials(const attn__kernels *kernels) {
  random_source source = random_seeded(support_seed());
  for (int64_t keys = 1; keys <= 70; keys++) {
    weighing w = weighing_make(kernels, keys, random_between(&source, 0, 31), &source);
    for (int64_t r = 0; r < ROWS; r++) fill_row(&w, r, &source);
    const int64_t j = random_between(&source, 0, keys - 1);
    w.scores.data[0 * w.stride + j] = NAN;
    w.scores.data[1 * w.stride + j] = INFINITY;
    w.shifts.data[1] = INFINITY;
    for (int64_t n = 0; n < keys; n++) w.scores.data[2 * w.stride + n] = -INFINITY;
    w.shifts.data[2] = 0;
    run(&w, &source);
    assert_true(isnan(operand_number(&w.out, 0, w.lead + j)) && isnan(w.sums.data[0]));
    assert_true(isnan(operand_number(&w.out, 1, w.lead + j)) && isnan(w.sums.data[1]));
    assert_int_equal(bits_of(w.sums.data[2]), 0);
    for (int64_t n = 0; n < attn__round_up(w.lead + keys, 32); n++) {
      if (n != w.lead + j) assert_true(!isnan(operand_number(&w.out, 0, n)));
      if (n != w.lead + j) assert_true(operand_is_zero(&w.out, 1, n));
      assert_true(operand_is_zero(&w.out, 2, n));
      for (int64_t r = 3; r < ROWS; r++) assert_true(isfinite(operand_number(&w.out, r, n)));
    }
    weighing_free(&w);
  }
}

static void test_specials(void **state) {
  (void)state;
  thirds_for_each_begun(check_specials);
}

/* Weights as they are, with nothing but zeros beside them. */
static void check_as_they_are(const attn__kernels *kernels) {
  random_source source = random_seeded(support_seed());
  for (int64_t keys = 1; keys <= 130; keys += 3) {
    weighing w = weighing_make(kernels, keys, random_between(&source, 0, 31), &source);
    w.floats = NOWHERE;
    for (int64_t n = 0; n < (ROWS - 1) * w.stride + keys; n++)
      w.scores.data[n] = fabsf(random_normal(&source));
    run_with(&w, NULL, &source);
    for (int64_t r = 0; r < ROWS; r++)
      for (int64_t n = 0; n < attn__round_up(w.lead + keys, 32); n++) {
        const int64_t j = n - w.lead;
        if (j < 0 || j >= keys)
          assert_true(operand_is_zero(&w.out, r, n));
        else if (!is_near(operand_number(&w.out, r, n) / (double)ATTN__THIRDS_WEIGHT,
                          w.scores.data[r * w.stride + j], 0))
          fail_row(&w, r, "not the weights that were there");
      }
    weighing_free(&w);
  }
}

static void test_as_they_are(void **state) {
  (void)state;
  thirds_for_each_begun(check_as_they_are);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_weights),
      cmocka_unit_test(test_places),
      cmocka_unit_test(test_as_they_are),
      cmocka_unit_test(test_specials),
  };
  const int skipped = thirds_skip_missing();
  return skipped ? skipped : cmocka_run_group_tests(tests, NULL, NULL);
}
