/* test_bfloat.c - the kernels that cut and multiply in thirds, up to the edge of unreadable pages.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "thirds_case.h"

/* What an operand is to hold, padding included: as floats, a canary where it is not to be touched. NaN: anything. */
typedef struct wanted {
  int64_t lines, inner;
  float *numbers;
} wanted;

static wanted wanted_make(const operand *o, float elsewhere) {
  wanted w = {attn__round_up(o->lines, 16), attn__round_up(o->inner, 32), NULL};
  w.numbers = malloc((size_t)(w.lines * w.inner) * sizeof *w.numbers);
  for (int64_t n = 0; n < w.lines * w.inner; n++) w.numbers[n] = elsewhere;
  return w;
}

static void check_operand(const operand *o, const wanted *w, const char *what) {
  int64_t wrong = 0;
  for (int64_t line = 0; line < w->lines; line++)
    for (int64_t n = 0; n < w->inner; n++) {
      const float number = w->numbers[line * w->inner + n];
      if (is_canary(number))
        wrong += !operand_is_untouched(o, line, n);
      else if (bits_of(number) == 0)
        wrong += !operand_is_zero(o, line, n);
      else
        wrong += !isnan(number) && !(fabs(operand_number(o, line, n) - (double)number) < OPERAND_LEAST);
    }
  if (wrong > 0) fail_msg("%s, %ld x %ld: %ld wrong", what, (long)o->lines, (long)o->inner, (long)wrong);
}

/* Rows of ordinary numbers, forwards or backwards, between unreadable pages. */
typedef struct input {
  guarded memory;
  attn__rows rows;
} input;

static input input_make(int64_t count, int64_t width, random_source *source) {
  const int64_t stride = width + random_between(source, 0, 3), floats = (count - 1) * stride + width;
  input in = {.memory = guarded_make(floats, (guard_side)random_between(source, 0, 1))};
  for (int64_t n = 0; n < floats; n++)
    in.memory.data[n] = ldexpf(random_normal(source), (int)random_between(source, -20, 20));
  in.rows = (attn__rows){in.memory.data, stride, count, width};
  if (random_once_in(source, 3))
    in.rows = (attn__rows){in.memory.data + (count - 1) * stride, -stride, count, width};
  return in;
}

static float *input_at(const input *in, int64_t row, int64_t col) {
  return in->memory.data + (in->rows.data - in->memory.data) + row * in->rows.stride + col;
}

/* An input and what it is cut into. */
typedef struct cut {
  const attn__kernels *kernels;
  input in;
  operand out;
  wanted wanted;
  int64_t first_row, lead;
  float factor;
} cut;

static void cut_free(cut *c) {
  guarded_free(&c->in.memory);
  operand_free(&c->out);
  free(c->wanted.numbers);
}

/* Where a number of the input goes. */
static float *wanted_at(const cut *c, int64_t line, int64_t n) {
  return c->wanted.numbers + line * c->wanted.inner + n;
}

static cut cut_left(const attn__kernels *kernels, const int64_t size[2], random_source *source) {
  cut c = {kernels, input_make(size[0], size[1], source), .factor = 2 * random_normal(source)};
  c.first_row = random_between(source, 0, 40);
  c.out = operand_make(0, c.first_row + size[0], size[1]);
  c.wanted = wanted_make(&c.out, canary());
  for (int64_t r = 0; r < size[0]; r++)
    for (int64_t n = 0; n < c.wanted.inner; n++) *wanted_at(&c, c.first_row + r, n) = 0;
  return c;
}

static int32_t run_left(cut *c, const char *what) {
  for (int64_t r = 0; r < c->in.rows.count; r++)
    for (int64_t k = 0; k < c->in.rows.width; k++)
      *wanted_at(c, c->first_row + r, c->lead + k) = c->factor * *input_at(&c->in, r, k);
  const int32_t held = c->kernels->thirds->left(&c->in.rows, c->factor, c->first_row, c->out.data);
  if (what) check_operand(&c->out, &c->wanted, what);
  return held;
}

static cut cut_right(const attn__kernels *kernels, const int64_t size[2], random_source *source) {
  cut c = {kernels, input_make(size[0], size[1], source), .lead = random_between(source, 0, 31)};
  c.out = operand_make(1, size[1], c.lead + size[0]);
  c.wanted = wanted_make(&c.out, 0);
  return c;
}

static int32_t run_right(cut *c, const char *what) {
  for (int64_t r = 0; r < c->in.rows.count; r++)
    for (int64_t k = 0; k < c->in.rows.width; k++) *wanted_at(c, k, c->lead + r) = *input_at(&c->in, r, k);
  const int32_t held = c->kernels->thirds->right(&c->in.rows, c->lead, c->out.data);
  if (what) check_operand(&c->out, &c->wanted, what);
  return held;
}

static cut cut_transposed(const attn__kernels *kernels, const int64_t size[2], random_source *source) {
  cut c = {kernels, input_make(size[0], size[1], source), .factor = 2 * random_normal(source)};
  c.out = operand_make(1, size[0], size[1]);
  c.wanted = wanted_make(&c.out, 0);
  return c;
}

static int32_t run_transposed(cut *c, const char *what) {
  for (int64_t r = 0; r < c->in.rows.count; r++)
    for (int64_t k = 0; k < c->in.rows.width; k++)
      *wanted_at(c, r, k) = c->factor * *input_at(&c->in, r, k);
  const int32_t held = c->kernels->thirds->right_transposed(&c->in.rows, c->factor, c->out.data);
  if (what) check_operand(&c->out, &c->wanted, what);
  return held;
}

/* Each of the three ways to cut. */
typedef struct way {
  const char *name;
  cut (*make)(const attn__kernels *kernels, const int64_t size[2], random_source *source);
  int32_t (*run)(cut *c, const char *what);
} way;

static const way ways[] = {{"left", cut_left, run_left},
                           {"right", cut_right, run_right},
                           {"right transposed", cut_transposed, run_transposed}};

static void check_cutting(const attn__kernels *kernels) {
  random_source source = random_seeded(support_seed());
  for (size_t w = 0; w < COUNT_OF(ways); w++)
    for (int64_t width = 1; width <= 70; width++)
      for (int64_t count = 1; count <= 70; count += width % 16 < 2 ? 1 : 7) {
        char what[64];
        snprintf(what, sizeof what, "%s, %s", kernels->name, ways[w].name);
        cut c = ways[w].make(kernels, (int64_t[2]){count, width}, &source);
        const int32_t held = ways[w].run(&c, what);
        if (!held) fail_msg("%s: ordinary numbers are not held", what);
        cut_free(&c);
      }
}

static void test_cutting(void **state) {
  (void)state;
  thirds_for_each_begun(check_cutting);
}

/* Numbers at the limits, and if they can be held in a query or key, and in a value. */
static const struct {
  uint32_t bits;
  int32_t query, value;
} limits[] = {
    {0, 1, 1},          {0x00000001, 1, 0}, {0x007fffff, 1, 0}, {0x00800000, 1, 0},
    {0x0d7fffff, 1, 0}, {0x0d800000, 1, 1}, {0x0d800001, 1, 1}, /* around 2^-100 */
    {0x5affffff, 1, 1}, {0x5b000000, 1, 0},                     /* around 2^55 */
    {0x5d800000, 1, 0}, {0x5d807fff, 1, 0}, {0x5d808000, 0, 0}, /* 2^60, what is rounded to it, and the next */
    {0x7f7fffff, 0, 0}, {0x7f800000, 0, 0}, {0x7f800001, 0, 0}, {0x7fc00000, 0, 0},
};

/* Where a number can be held it is, and where it cannot be nothing but its row (left), itself (right) or its column
 * (right transposed) is something else. */
static void check_limit(const way *cutting, cut *c, size_t n, random_source *source) {
  const attn__rows *rows = &c->in.rows;
  const int64_t r = random_between(source, 0, rows->count - 1),
                k = random_between(source, 0, rows->width - 1);
  const uint32_t sign = random_once_in(source, 2) ? 0x80000000 : 0;
  const int is_value = cutting->run == run_right;
  const int32_t expected = is_value ? limits[n].value : limits[n].query;
  const float before = *input_at(&c->in, r, k);
  *input_at(&c->in, r, k) = float_of(limits[n].bits | sign);
  c->factor = 1;
  if (cutting->run(c, NULL) != expected)
    fail_msg("%s: %08x is not told of", cutting->name, limits[n].bits | sign);
  for (int64_t other = 0; other < rows->width && !expected; other++)
    if (cutting->run == run_left)
      *wanted_at(c, c->first_row + r, c->lead + other) = NAN;
    else if (!is_value)
      *wanted_at(c, r, other) = NAN;
    else if (other == k)
      *wanted_at(c, other, c->lead + r) = 0;
  if (!expected && cutting->run == run_left)
    for (int64_t pad = 0; pad < c->wanted.inner; pad++) *wanted_at(c, c->first_row + r, pad) = NAN;
  if (limits[n].bits != 0) check_operand(&c->out, &c->wanted, cutting->name);
  *input_at(&c->in, r, k) = before;
}

static void check_limits(const attn__kernels *kernels) {
  random_source source = random_seeded(support_seed());
  for (size_t w = 0; w < COUNT_OF(ways); w++)
    for (int round = 0; round < 30; round++) {
      const int64_t size[2] = {random_between(&source, 1, 50), random_between(&source, 1, 70)};
      cut c = ways[w].make(kernels, size, &source);
      for (size_t n = 0; n < COUNT_OF(limits); n++) check_limit(&ways[w], &c, n, &source);
      cut_free(&c);
    }
}

static void test_limits(void **state) {
  (void)state;
  thirds_for_each_begun(check_limits);
}

/* The factor counts: what it takes to 2^60 is held, what it takes beyond is not. */
static void check_factor(const attn__kernels *kernels) {
  const float x[] = {1, 0x1p50f};
  uint16_t out[ATTN__THIRDS_STEP];
  const attn__rows rows = {x, 2, 1, 2};
  assert_int_equal(kernels->thirds->right_transposed(&rows, 1024, out), 1);
  assert_int_equal(kernels->thirds->right_transposed(&rows, 1040, out), 0);
  assert_int_equal(kernels->thirds->right_transposed(&rows, -1040, out), 0);
  assert_int_equal(kernels->thirds->left(&rows, 1024, 0, out), 1);
  assert_int_equal(kernels->thirds->left(&rows, 1040, 0, out), 0);
}

/* The stride of a single row is not used. */
static void check_single_row(const attn__kernels *kernels) {
  const float x[] = {1, 2};
  uint16_t out[ATTN__THIRDS_STEP];
  const attn__rows row = {x, INT64_MAX / 16, 1, 2};
  assert_int_equal(kernels->thirds->right_transposed(&row, 1, out), 1);
  assert_int_equal(kernels->thirds->right(&row, 0, out), 1);
  assert_int_equal(kernels->thirds->left(&row, 1, 0, out), 1);
}

static void test_single_row(void **state) {
  (void)state;
  thirds_for_each_begun(check_single_row);
}

static void test_factor(void **state) {
  (void)state;
  thirds_for_each_begun(check_factor);
}

/* Two matrices, cut, and all of their product. */
typedef struct whole {
  const attn__kernels *kernels;
  int64_t rows, cols, steps;
  input a, b;
  operand left, right;
  float *c;
} whole;

/* size: rows, columns, steps, and by which power of 2 the left numbers are larger than ordinary. */
static whole whole_make(const attn__kernels *kernels, const int64_t size[4], random_source *source) {
  const int64_t inner = 32 * size[2] - random_between(source, 0, 31);
  whole w = {.kernels = kernels, .rows = size[0], .cols = size[1], .steps = size[2]};
  w.a = input_make(w.rows, inner, source);
  w.b = input_make(inner, w.cols, source);
  for (int64_t n = 0; n < w.rows * inner; n++)
    *input_at(&w.a, n / inner, n % inner) = ldexpf(*input_at(&w.a, n / inner, n % inner), (int)size[3]);
  w.left = operand_make(0, w.rows, inner);
  w.right = operand_make(1, w.cols, inner);
  w.c = malloc((size_t)(w.rows * w.cols) * sizeof *w.c);
  assert_int_equal(kernels->thirds->left(&w.a.rows, 1, 0, w.left.data), 1);
  assert_int_equal(kernels->thirds->right(&w.b.rows, 0, w.right.data), 1);
  const attn__thirds_product product = {.rows = w.rows,
                                        .cols = w.cols,
                                        .steps = w.steps,
                                        .left = {w.left.data, w.left.strip},
                                        .right = {w.right.data, w.right.strip},
                                        .c = w.c,
                                        .stride_c = w.cols,
                                        .factor = 1};
  kernels->thirds->multiply(&product);
  return w;
}

static void whole_free(whole *w) {
  guarded_free(&w->a.memory);
  guarded_free(&w->b.memory);
  operand_free(&w->left);
  operand_free(&w->right);
  free(w->c);
}

/* The largest error, in units of 2^-24 of the sum of the sizes of what is added. */
static double whole_error(const whole *w) {
  double largest = 0;
  for (int64_t r = 0; r < w->rows; r++)
    for (int64_t j = 0; j < w->cols; j++) {
      double sum = 0, size = 0;
      for (int64_t k = 0; k < w->a.rows.width; k++) {
        const double term = (double)*input_at(&w->a, r, k) * (double)*input_at(&w->b, k, j);
        sum += term;
        size += fabs(term);
      }
      const double error = fabs((double)w->c[r * w->cols + j] - sum) * 0x1p24 / size;
      if (!(error <= largest)) largest = error;
    }
  return largest;
}

/* The largest measured is 12.1, of numbers whose sizes differ by 2^40; where they hardly do it is 1.9. */
static const double most_error = 16;

static void check_errors(const attn__kernels *kernels) {
  const int64_t sizes[][4] = {{70, 70, 1}, {70, 70, 2},   {70, 70, 3},
                              {1, 1, 1},   {130, 200, 8}, {64, 64, 40}};
  random_source source = random_seeded(support_seed());
  double largest = 0;
  for (size_t n = 0; n < COUNT_OF(sizes); n++) {
    whole w = whole_make(kernels, sizes[n], &source);
    largest = fmax(largest, whole_error(&w));
    whole_free(&w);
  }
  printf("%s: errors of products at most %.2f x 2^-24\n", kernels->name, largest);
  assert_true(largest <= most_error);
}

static void test_errors(void **state) {
  (void)state;
  thirds_for_each_begun(check_errors);
}

/* A part of a product: strips from some on, and so many numbers of them. */
typedef struct part {
  int64_t row_strip, col_strip, rows, cols, stride;
  int32_t accumulate;
} part;

/* It has the bits of the whole, and what is beside it in memory, which ends at c_end, stays. */
static void check_part(const whole *w, const part *p, float *c_end) {
  const int64_t count = (p->rows - 1) * p->stride + p->cols;
  float *c = c_end - count;
  const attn__thirds_product product = {
      .rows = p->rows,
      .cols = p->cols,
      .steps = w->steps,
      .left = {w->left.data + p->row_strip * w->left.strip, w->left.strip},
      .right = {w->right.data + p->col_strip * w->right.strip, w->right.strip},
      .c = c,
      .stride_c = p->stride,
      .accumulate = p->accumulate,
      .factor = 1};
  int64_t wrong = 0;
  for (int64_t n = 0; n < count; n++)
    c[n] = p->accumulate && n % p->stride < p->cols ? (float)n / 8 : canary();
  w->kernels->thirds->multiply(&product);
  for (int64_t n = 0; n < count; n++) {
    const int64_t row = n / p->stride, col = n % p->stride;
    const float sum =
        col < p->cols ? w->c[(16 * p->row_strip + row) * w->cols + 16 * p->col_strip + col] : 0;
    const float expected = col >= p->cols ? canary() : p->accumulate ? (float)n / 8 + sum : sum;
    wrong += bits_of(c[n]) != bits_of(expected);
  }
  if (wrong > 0)
    fail_msg("%s, %ld x %ld from strips %ld and %ld%s: %ld wrong", w->kernels->name, (long)p->rows,
             (long)p->cols, (long)p->row_strip, (long)p->col_strip, p->accumulate ? ", accumulated" : "",
             (long)wrong);
}

static void check_parts(const attn__kernels *kernels) {
  enum { MOST = 70, WHOLE = 102 };
  random_source source = random_seeded(support_seed());
  guarded c = guarded_make(MOST * (MOST + 3), GUARD_AFTER);
  for (int64_t steps = 1; steps <= 3; steps++) {
    whole w = whole_make(kernels, (int64_t[4]){WHOLE, WHOLE, steps, 0}, &source);
    for (int64_t rows = 1; rows <= MOST; rows++)
      for (int64_t cols = 1; cols <= MOST; cols += steps == 2 ? 1 : 3) {
        const part p = {random_between(&source, 0, 2),        random_between(&source, 0, 2), rows, cols,
                        cols + random_between(&source, 0, 3), random_once_in(&source, 2)};
        check_part(&w, &p, c.data + MOST * (MOST + 3));
      }
    whole_free(&w);
  }
  guarded_free(&c);
}

static void test_parts(void **state) {
  (void)state;
  thirds_for_each_begun(check_parts);
}

/* Products ask for every row that they are given, each once, and their numbers do not depend on it. */
static void check_asking(const attn__kernels *kernels) {
  random_source source = random_seeded(support_seed());
  whole w = whole_make(kernels, (int64_t[4]){60, 100, 1, 0}, &source);
  float there[40], *c = malloc((size_t)(w.rows * w.cols) * sizeof *c);
  attn__ahead ahead = {.count = 2, .pieces = {{there, 1, 10, 30}, {there, 0, 7, 1}}};
  const attn__thirds_product product = {.rows = w.rows,
                                        .cols = w.cols,
                                        .steps = 1,
                                        .left = {w.left.data, w.left.strip},
                                        .right = {w.right.data, w.right.strip},
                                        .c = c,
                                        .stride_c = w.cols,
                                        .factor = 1,
                                        .ahead = &ahead};
  for (int n = 0; n < 3; n++) kernels->thirds->multiply(&product);
  assert_int_equal(ahead.piece, 2);
  assert_int_equal(ahead.row, 0);
  assert_int_equal(count_different(w.rows * w.cols, c, w.c), 0);
  free(c);
  whole_free(&w);
}

static void test_asking(void **state) {
  (void)state;
  thirds_for_each_begun(check_asking);
}

/* The emulation rounds as the CPU does, and takes what is denormal for 0 where it does: the same bits. */
static void test_emulation(void **state) {
  (void)state;
  const attn__kernels *real = tables_named("amx"), *emulated = tables_named("amx_emulated");
  const int64_t sizes[][4] = {{70, 70, 3, 0}, {33, 50, 9, -100}, {40, 40, 2, -140}, {40, 40, 2, -150}};
  if (!real || !emulated) skip();
  for (size_t n = 0; n < COUNT_OF(sizes); n++) {
    random_source source = random_seeded(support_seed()), again = source;
    real->thirds->begin();
    emulated->thirds->begin();
    whole a = whole_make(real, sizes[n], &source), b = whole_make(emulated, sizes[n], &again);
    assert_int_equal(count_different(a.rows * a.cols, a.c, b.c), 0);
    whole_free(&a);
    whole_free(&b);
    emulated->thirds->end();
    real->thirds->end();
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_cutting),    cmocka_unit_test(test_limits),    cmocka_unit_test(test_factor),
      cmocka_unit_test(test_single_row), cmocka_unit_test(test_errors),    cmocka_unit_test(test_parts),
      cmocka_unit_test(test_asking),     cmocka_unit_test(test_emulation),
  };
  const int skipped = thirds_skip_missing();
  return skipped ? skipped : cmocka_run_group_tests(tests, NULL, NULL);
}
