/* test_kernels.c - every kernel of every table against the reference, up to the edge of unreadable pages.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support.h"
#include "tables.h"

enum { LONGEST = 600, EACH = 80, STEP = 13, PAGE_FLOATS = 1024 }; /* each length up to EACH, then some */

/* One call of a kernel over count numbers. x and out stand flush with an unreadable page. */
typedef struct kernel_run {
  const attn__kernels *kernels;
  guard_side side;
  int64_t count;
  float *x, *out;
  float expected[LONGEST + 1]; /* room for what the reference gives */
} kernel_run;

typedef void (*run_check)(kernel_run *run);

static void fill_scores(random_source *source, int64_t count, float *x) {
  for (int64_t j = 0; j < count; j++) x[j] = 20 * random_normal(source);
}

/* Calls check for each table, many lengths and each side, x filled at random. */
static void for_each_run(run_check check) {
  const attn__kernels *tables[MOST_TABLES];
  const int table_count = tables_here(tables);
  random_source source = random_seeded(support_seed());
  for (int side = GUARD_BEFORE; side <= GUARD_AFTER; side++) {
    guarded x = guarded_make(PAGE_FLOATS, (guard_side)side),
            out = guarded_make(PAGE_FLOATS, (guard_side)side);
    for (int t = 0; t < table_count; t++)
      for (int64_t count = 0; count <= LONGEST; count += count < EACH ? 1 : STEP) {
        const int64_t start = side == GUARD_BEFORE ? 0 : PAGE_FLOATS - count;
        kernel_run run = {.kernels = tables[t],
                          .side = (guard_side)side,
                          .count = count,
                          .x = x.data + start,
                          .out = out.data + start};
        fill_scores(&source, count, run.x);
        check(&run);
      }
    guarded_free(&x);
    guarded_free(&out);
  }
}

static void fail_run(const kernel_run *run, const char *what) {
  fail_msg("%s kernels, %ld numbers: %s", run->kernels->name, (long)run->count, what);
}

static void assert_as_expected(const kernel_run *run, const float *got, const char *what) {
  if (count_different(run->count, got, run->expected) > 0) fail_run(run, what);
}

static void check_row_max(kernel_run *run) {
  const float expected = attn__kernels_reference.row_max(run->count, run->x);
  if (run->kernels->row_max(run->count, run->x) != expected) fail_run(run, "row_max");
  for (int64_t j = 0; j < run->count; j++) { /* each place counts */
    const float before = run->x[j];
    run->x[j] = 1000;
    if (run->kernels->row_max(run->count, run->x) != 1000) fail_run(run, "row_max misses a place");
    run->x[j] = before;
  }
}

static void test_row_max(void **state) {
  (void)state;
  for_each_run(check_row_max);
}

static void test_row_max_of_infinities(void **state) {
  (void)state;
  const attn__kernels *tables[MOST_TABLES];
  const int count = tables_here(tables);
  float x[40];
  for (int j = 0; j < 40; j++) x[j] = -INFINITY;
  for (int t = 0; t < count; t++) {
    assert_true(tables[t]->row_max(40, x) == -INFINITY);
    x[33] = INFINITY;
    assert_true(tables[t]->row_max(40, x) == INFINITY);
    x[33] = -INFINITY;
  }
}

static void check_scale(kernel_run *run) {
  attn__kernels_reference.scale(run->count, run->x, 0.7f, run->expected);
  run->kernels->scale(run->count, run->x, 0.7f, run->out);
  assert_as_expected(run, run->out, "scale");
  run->kernels->scale(run->count, run->x, 0.7f, run->x);
  assert_as_expected(run, run->x, "scale in place");
}

static void test_scale(void **state) {
  (void)state;
  for_each_run(check_scale);
}

static void check_divide(kernel_run *run) {
  attn__kernels_reference.divide(run->count, run->x, 0.7f, run->expected);
  run->kernels->divide(run->count, run->x, 0.7f, run->out);
  assert_as_expected(run, run->out, "divide");
  run->kernels->divide(run->count, run->x, 0.7f, run->x);
  assert_as_expected(run, run->x, "divide in place");
}

static void test_divide(void **state) {
  (void)state;
  for_each_run(check_divide);
}

/* Quotients of whatever size, by whatever divisor, as the division rounds them; those of which little is left
 * over as a normal number to 1 ulp. */
static void test_divide_by_any(void **state) {
  (void)state;
  const attn__kernels *tables[MOST_TABLES];
  const int count = tables_here(tables);
  const float divisors[] = {1,        3,         0.7f,    1e9f,     0x1.fffffep0f, 0x1.fffffep9f,
                            0x1p-60f, 0x1.8p59f, 0x1p60f, 0x1p100f, 0x1p-126f,     1e-40f,
                            INFINITY, NAN,       -3,      0};
  const float numbers[] = {0,         -0.0f,       1,      -1e-30f,   3.4e38f, 0x1.fffffep-3f,  INFINITY,
                           -INFINITY, NAN,         1e-37f, 0x1p-149f, 7,       0x1.fffffep127f, -2.5f,
                           1e20f,     123456.789f, 0.1f};
  float out[COUNT_OF(numbers)];
  for (int t = 0; t < count; t++)
    for (size_t d = 0; d < COUNT_OF(divisors); d++) {
      tables[t]->divide(COUNT_OF(numbers), numbers, divisors[d], out);
      for (size_t n = 0; n < COUNT_OF(numbers); n++) {
        const float expected = numbers[n] / divisors[d];
        if (isnan(expected) != isnan(out[n]) || (!isnan(expected) && ulps_between(out[n], expected) > 1))
          fail_msg("%s: %a / %a is %a, not %a", tables[t]->name, (double)numbers[n], (double)divisors[d],
                   (double)out[n], (double)expected);
        if ((fabsf(expected) >= 0x1p-100f || expected == 0) && bits_of(out[n]) != bits_of(expected))
          fail_msg("%s: %a / %a rounds otherwise", tables[t]->name, (double)numbers[n],
                   (double)divisors[d]);
      }
    }
}

static void check_exp_sum(kernel_run *run) {
  const float shift = fmaxf(attn__kernels_reference.row_max(run->count, run->x), 0);
  double sum = 0;
  attn__kernels_reference.exp_sum(run->count, run->x, shift, run->expected);
  const float got = run->kernels->exp_sum(run->count, run->x, shift, run->out);
  for (int64_t j = 0; j < run->count; j++) {
    if (ulps_between(run->out[j], run->expected[j]) > 2) fail_run(run, "exp_sum is not exp");
    sum += (double)run->out[j];
  }
  if (fabs((double)got - sum) > 1e-5 * sum) fail_run(run, "exp_sum returns another sum");
  memcpy(run->expected, run->out, (size_t)run->count * sizeof(float));
  const float in_place = run->kernels->exp_sum(run->count, run->x, shift, run->x);
  assert_as_expected(run, run->x, "exp_sum in place");
  if (bits_of(in_place) != bits_of(got)) fail_run(run, "exp_sum in place returns another sum");
}

static void test_exp_sum(void **state) {
  (void)state;
  for_each_run(check_exp_sum);
}

/* Three rows of a matrix that ends where x ends: each as by itself, where what is below the limit is masked, and nothing
 * between them is touched. */
static void check_rows(kernel_run *run) {
  enum { ROWS = 3 };
  const int64_t cols = run->count / 4, stride = (run->count - cols) / (ROWS - 1);
  float *const x = run->x + run->count - cols - (ROWS - 1) * stride;
  float maxima[ROWS], shifts[ROWS], sums[ROWS], expected_sums[ROWS];
  run->kernels->row_maxima(ROWS, cols, x, stride, maxima);
  memcpy(run->out, run->x, (size_t)run->count * sizeof(float));
  for (int64_t r = 0; r < ROWS; r++) {
    float *const row = run->out + (x - run->x) + r * stride;
    if (maxima[r] != run->kernels->row_max(cols, row)) fail_run(run, "row_maxima");
    shifts[r] = cols ? maxima[r] : 0;
    for (int64_t j = 0; j < cols; j++)
      if (row[j] - shifts[r] < ATTN__WEIGHT_LIMIT) row[j] = -INFINITY;
    expected_sums[r] = run->kernels->exp_sum(cols, row, shifts[r], row);
  }
  memcpy(run->expected, run->out, (size_t)run->count * sizeof(float));
  run->kernels->weigh_rows(ROWS, cols, x, stride, shifts, sums);
  assert_as_expected(run, run->x, "weigh_rows");
  for (int64_t r = 0; r < ROWS; r++)
    if (bits_of(sums[r]) != bits_of(expected_sums[r])) fail_run(run, "weigh_rows gives another sum");
}

static void test_rows(void **state) {
  (void)state;
  for_each_run(check_rows);
}

/* weigh_rows for one row, as exp_sum is called. */
static float weigh_row(const attn__kernels *kernels, int64_t count, const float *x, float shift,
                       float *out) {
  float sum;
  memmove(out, x, (size_t)count * sizeof *x);
  kernels->weigh_rows(1, count, out, count, &shift, &sum);
  return sum;
}

/* Masked numbers in front change no bit of the sum: how many there are may depend on the block, and so on the
 * number of threads. */
static void check_shifted(kernel_run *run) {
  float shifted[LONGEST + 8];
  const float sum = weigh_row(run->kernels, run->count, run->x, 60, run->out);
  for (int64_t masked = 1; masked < 8; masked++) {
    for (int64_t j = 0; j < masked; j++) shifted[j] = -INFINITY;
    memcpy(shifted + masked, run->x, (size_t)run->count * sizeof(float));
    if (bits_of(weigh_row(run->kernels, run->count + masked, shifted, 60, shifted)) != bits_of(sum))
      fail_run(run, "weigh_rows depends on the place of the numbers");
  }
}

static void test_weigh_rows_shifted(void **state) {
  (void)state;
  for_each_run(check_shifted);
}

static float exp_row(const attn__kernels *kernels, int64_t count, const float *x, float shift, float *out) {
  return kernels->exp_sum(count, x, shift, out);
}

typedef float (*exp_verb)(const attn__kernels *kernels, int64_t count, const float *x, float shift,
                          float *out);

/* What is not a finite number does as the header says, at every place, and its neighbours do not mind. */
static void check_specials(kernel_run *run, const char *name, exp_verb exp_of) {
  const float specials[] = {NAN, -INFINITY, INFINITY};
  for (int64_t j = 0; j < run->count; j++) run->x[j] = -1;
  for (int64_t j = 0; j < run->count; j += 7)
    for (size_t s = 0; s < COUNT_OF(specials); s++) {
      run->x[j] = specials[s];
      const float sum = exp_of(run->kernels, run->count, run->x, 0, run->out);
      const float e = run->out[j];
      if (s == 0 && (!isnan(e) || !isnan(sum))) fail_run(run, name);
      if (s == 1 && (bits_of(e) != 0 || !isfinite(sum))) fail_run(run, name);
      if (s == 2 && (isfinite(e) || isfinite(sum))) fail_run(run, name);
      for (int64_t other = 0; other < run->count; other++)
        if (other != j && ulps_between(run->out[other], expf(-1)) > 1) fail_run(run, name);
      run->x[j] = -1;
    }
}

static void check_exp_specials(kernel_run *run) {
  check_specials(run, "exp_sum of what is special", exp_row);
  check_specials(run, "weigh_rows of what is special", weigh_row);
}

/* From the limit on weights are exp; below it they are 0, and their neighbours do not mind. */
static void check_weight_limit(kernel_run *run) {
  const float below = nextafterf(ATTN__WEIGHT_LIMIT, -INFINITY);
  for (int64_t j = 0; j < run->count; j++) run->x[j] = j % 3 ? ATTN__WEIGHT_LIMIT : below;
  weigh_row(run->kernels, run->count, run->x, 0, run->out);
  for (int64_t j = 0; j < run->count; j++) {
    if (j % 3 == 0 && bits_of(run->out[j]) != 0) fail_run(run, "weigh_rows below the limit");
    if (j % 3 && ulps_between(run->out[j], expf(ATTN__WEIGHT_LIMIT)) > 1)
      fail_run(run, "weigh_rows at the limit");
  }
}

static void test_weight_limit(void **state) {
  (void)state;
  for_each_run(check_weight_limit);
}

static void test_exp_specials(void **state) {
  (void)state;
  for_each_run(check_exp_specials);
}

/* The reference's result is expected, within 1e-6 of the size of what is added; in place. */
static void check_close(const kernel_run *run, const float *sizes, const char *what) {
  for (int64_t j = 0; j < run->count; j++)
    if (!(fabsf(run->x[j] - run->expected[j]) <= 1e-6f * sizes[j])) fail_run(run, what);
}

static void check_softcap(kernel_run *run) {
  const float cap = 7.5f;
  memcpy(run->expected, run->x, (size_t)run->count * sizeof(float));
  attn__kernels_reference.softcap(run->count, run->expected, cap);
  run->kernels->softcap(run->count, run->x, cap);
  for (int64_t j = 0; j < run->count; j++) run->out[j] = fabsf(run->expected[j]);
  check_close(run, run->out, "softcap");
}

static void test_softcap(void **state) {
  (void)state;
  for_each_run(check_softcap);
}

/* Scores near 0, far from it, and not finite. */
static void test_softcap_specials(void **state) {
  (void)state;
  const attn__kernels *tables[MOST_TABLES];
  const int count = tables_here(tables);
  for (int t = 0; t < count; t++) {
    float x[] = {0, -0.0f, 1e-20f, -1e-20f, 3e38f, -3e38f, INFINITY, -INFINITY, NAN};
    const float expected[] = {0, -0.0f, 1e-20f, -1e-20f, 2, -2, 2, -2, NAN};
    tables[t]->softcap(COUNT_OF(x), x, 2);
    for (size_t j = 0; j < COUNT_OF(x); j++) assert_true(ulps_between(x[j], expected[j]) <= 2);
  }
}

static void check_add_bias(kernel_run *run) {
  for (int64_t j = 0; j < run->count; j++) {
    run->out[j] = j % 5 == 3 ? -INFINITY : (float)(j % 7) - 3;
    if (j % 10 == 3) run->x[j] = NAN; /* masked by the bias all the same */
  }
  memcpy(run->expected, run->x, (size_t)run->count * sizeof(float));
  attn__kernels_reference.add_bias(run->count, run->expected, run->out);
  run->kernels->add_bias(run->count, run->x, run->out);
  for (int64_t j = 3; j < run->count; j += 5) assert_true(run->expected[j] == -INFINITY);
  assert_as_expected(run, run->x, "add_bias");
}

static void test_add_bias(void **state) {
  (void)state;
  for_each_run(check_add_bias);
}

static void check_add_distance(kernel_run *run) {
  const float slope = 0.37f, first = -(float)run->count / 3;
  memcpy(run->expected, run->x, (size_t)run->count * sizeof(float));
  for (int64_t j = 0; j < run->count; j++) run->out[j] = fabsf(run->x[j]) + slope * fabsf(first + (float)j);
  attn__kernels_reference.add_distance(run->count, run->expected, slope, first);
  run->kernels->add_distance(run->count, run->x, slope, first);
  check_close(run, run->out, "add_distance");
}

static void test_add_distance(void **state) {
  (void)state;
  for_each_run(check_add_distance);
}

static void check_subtract(kernel_run *run) {
  for (int64_t j = 0; j < run->count; j++) run->expected[j] = run->x[j] - 41.7f;
  run->kernels->subtract(run->count, run->x, 41.7f);
  assert_as_expected(run, run->x, "subtract");
}

static void test_subtract(void **state) {
  (void)state;
  for_each_run(check_subtract);
}

/* NaN is above nothing, and no number is above itself. */
static void check_above(kernel_run *run) {
  enum { MOST = 5 };
  int32_t expected[LONGEST], found[MOST + 1];
  if (run->count > 3) run->x[run->count / 2] = NAN;
  for (int64_t n = 0; n < 20; n++) {
    const float limit = n % 2 || run->count == 0 ? 3 * (float)n - 20 : run->x[n % run->count];
    int64_t count = 0;
    for (int64_t j = 0; j < run->count; j++)
      if (run->x[j] > limit) expected[count++] = (int32_t)j;
    found[MOST] = -7;
    if (run->kernels->above(run->count, run->x, limit, MOST, found) != (count > MOST ? MOST + 1 : count))
      fail_run(run, "above counts otherwise");
    if (memcmp(found, expected, (size_t)(count > MOST ? MOST : count) * sizeof *found) != 0 ||
        found[MOST] != -7)
      fail_run(run, "above finds others");
  }
}

static void test_above(void **state) {
  (void)state;
  for_each_run(check_above);
}

/* As exact as double, and the same bits in every table. */
static void check_dot(kernel_run *run) {
  double exact = 0, size = 0;
  for (int64_t d = 0; d < run->count; d++) run->out[d] = 3 - run->x[run->count - 1 - d];
  for (int64_t d = 0; d < run->count; d++) {
    const double product = (double)run->x[d] * (double)run->out[d];
    exact += product;
    size += fabs(product);
  }
  const double dot = run->kernels->dot(run->count, run->x, run->out);
  if (!(fabs(dot - exact) <= 1e-13 * size)) fail_run(run, "dot");
  if (dot != attn__kernels_reference.dot(run->count, run->x, run->out)) fail_run(run, "dot has other bits");
}

static void test_dot(void **state) {
  (void)state;
  for_each_run(check_dot);
}

/* The bytes of the mask stand flush with an unreadable page, as the scores do. */
static void check_mask(kernel_run *run) {
  const size_t gap = run->side == GUARD_BEFORE ? 0 : (size_t)run->count * (sizeof(float) - 1);
  uint8_t *visible = (uint8_t *)run->out + gap;
  for (int64_t j = 0; j < run->count; j++) visible[j] = j % 3 != 1;
  for (int64_t j = 0; j < run->count; j++) run->expected[j] = j % 3 != 1 ? run->x[j] : -INFINITY;
  run->kernels->mask(run->count, run->x, visible);
  assert_as_expected(run, run->x, "mask");
}

static void test_mask(void **state) {
  (void)state;
  for_each_run(check_mask);
}

/* The keys are rows of as many numbers as there are keys; the last one ends at the unreadable page. */
static void check_additive(const attn__kernels *kernels, int64_t dim, int64_t count,
                           random_source *source) {
  guarded keys = guarded_make(dim * count, GUARD_AFTER), out = guarded_make(count, GUARD_AFTER);
  guarded query = guarded_make(dim, GUARD_AFTER), weight = guarded_make(dim, GUARD_AFTER);
  const struct attn__additive scores = {
      .dim = dim, .weight = weight.data, .query = query.data, .keys = keys.data, .stride = count};
  fill_scores(source, dim, weight.data);
  for (int64_t n = 0; n < dim; n++) query.data[n] = random_normal(source);
  for (int64_t n = 0; n < dim * count; n++) keys.data[n] = random_normal(source);
  kernels->additive(&scores, count, out.data);
  int64_t wrong = 0;
  for (int64_t j = 0; j < count; j++) {
    double sum = 0, size = 0;
    for (int64_t d = 0; d < dim; d++) {
      const double argument = (double)(query.data[d] + keys.data[d * count + j]);
      const double term = (double)weight.data[d] * tanh(argument);
      sum += term;
      size += fabs(term);
    }
    wrong += !(fabs((double)out.data[j] - sum) <= 1e-6 * size);
  }
  guarded_free(&keys);
  guarded_free(&out);
  guarded_free(&query);
  guarded_free(&weight);
  if (wrong > 0)
    fail_msg("%s kernels, additive, %ld x %ld: %ld wrong", kernels->name, (long)dim, (long)count,
             (long)wrong);
}

static void test_additive(void **state) {
  (void)state;
  const attn__kernels *tables[MOST_TABLES];
  const int table_count = tables_here(tables);
  random_source source = random_seeded(support_seed());
  for (int t = 0; t < table_count; t++)
    for (int64_t dim = 1; dim <= 33; dim += 8)
      for (int64_t count = 0; count <= 70; count++) check_additive(tables[t], dim, count, &source);
}

static void check_all_finite(kernel_run *run) {
  const float specials[] = {NAN, -NAN, INFINITY, -INFINITY};
  if (run->count > 0) run->x[0] = 0x1.fffffep127f;
  if (run->count > 1) run->x[1] = -0x1.fffffep127f;
  if (run->count > 2) run->x[2] = 0x1p-149f;
  if (!run->kernels->all_finite(run->count, run->x)) fail_run(run, "all_finite denies it");
  for (int64_t j = 0; j < run->count; j++) {
    const float before = run->x[j];
    run->x[j] = specials[j % 4];
    if (run->kernels->all_finite(run->count, run->x)) fail_run(run, "all_finite misses one");
    run->x[j] = before;
  }
}

static void test_all_finite(void **state) {
  (void)state;
  for_each_run(check_all_finite);
}

/* in: rows x cols, flush with an unreadable page, as is out: cols x rows; each with gaps after its rows. */
static void check_transpose(const attn__kernels *kernels, int64_t rows, int64_t cols, guard_side side) {
  const int64_t in_stride = cols + 1, out_stride = rows + 2;
  const int64_t in_count = rows && cols ? (rows - 1) * in_stride + cols : 0;
  const int64_t out_count = rows && cols ? (cols - 1) * out_stride + rows : 0;
  guarded in = guarded_make(in_count, side), out = guarded_make(out_count, side);
  for (int64_t n = 0; n < in_count; n++) in.data[n] = (float)n;
  for (int64_t n = 0; n < out_count; n++) out.data[n] = -1;
  kernels->transpose(&(attn__rows){in.data, in_stride, rows, cols}, 0.5f, out.data, out_stride);
  int64_t wrong = 0;
  for (int64_t n = 0; n < out_count; n++) {
    const int64_t c = n / out_stride, r = n % out_stride;
    wrong += out.data[n] != (r < rows ? 0.5f * (float)(r * in_stride + c) : -1);
  }
  guarded_free(&in);
  guarded_free(&out);
  if (wrong > 0)
    fail_msg("%s kernels transpose %ld x %ld: %ld wrong", kernels->name, (long)rows, (long)cols,
             (long)wrong);
}

static void check_copy(const attn__kernels *kernels, int64_t rows, int64_t cols, guard_side side) {
  const int64_t in_stride = cols + 1, out_stride = cols + 2;
  guarded in = guarded_make((rows - 1) * in_stride + cols, side);
  guarded out = guarded_make((rows - 1) * out_stride + cols, side);
  for (int64_t n = 0; n < (rows - 1) * in_stride + cols; n++) in.data[n] = (float)n;
  for (int64_t n = 0; n < (rows - 1) * out_stride + cols; n++) out.data[n] = -1;
  kernels->copy(rows, cols, in.data, in_stride, out.data, out_stride);
  for (int64_t n = 0; n < (rows - 1) * out_stride + cols; n++) {
    const int64_t r = n / out_stride, c = n % out_stride;
    assert_true(out.data[n] == (c < cols ? (float)(r * in_stride + c) : -1));
  }
  guarded_free(&in);
  guarded_free(&out);
}

static void test_copy(void **state) {
  (void)state;
  const attn__kernels *tables[MOST_TABLES];
  const int count = tables_here(tables);
  for (int t = 0; t < count; t++)
    for (int side = GUARD_BEFORE; side <= GUARD_AFTER; side++)
      for (int64_t rows = 1; rows <= 3; rows++)
        for (int64_t cols = 1; cols <= 70; cols++) check_copy(tables[t], rows, cols, (guard_side)side);
}

static void test_transpose(void **state) {
  (void)state;
  const attn__kernels *tables[MOST_TABLES];
  const int count = tables_here(tables);
  for (int t = 0; t < count; t++)
    for (int side = GUARD_BEFORE; side <= GUARD_AFTER; side++) {
      for (int64_t rows = 0; rows <= 35; rows++)
        for (int64_t cols = 0; cols <= 35; cols++) check_transpose(tables[t], rows, cols, (guard_side)side);
      for (int64_t cols = 36; cols <= 70; cols++) {
        check_transpose(tables[t], 16, cols, (guard_side)side);
        check_transpose(tables[t], cols, 67, (guard_side)side);
      }
      check_transpose(tables[t], 128, 64, (guard_side)side);
      check_transpose(tables[t], 127, 129, (guard_side)side);
      check_transpose(tables[t], 600, 1, (guard_side)side);
      check_transpose(tables[t], 1, 600, (guard_side)side);
    }
}

/* The vector tables of x86 round the same numbers, so their bits are the same; but what is nearer to the smallest
 * denormal than to 0 is 0 with AVX2. */
static void check_same_as_avx2(kernel_run *run) {
  const attn__kernels *avx2 = tables_named("avx2");
  const char *name = run->kernels->name;
  if (!avx2 || (strncmp(name, "avx512", 6) != 0 && strncmp(name, "amx", 3) != 0)) return;
  avx2->exp_sum(run->count, run->x, 120, run->expected);
  run->kernels->exp_sum(run->count, run->x, 120, run->out);
  for (int64_t j = 0; j < run->count; j++)
    if (run->expected[j] == 0 && run->out[j] == 0x1p-149f) run->out[j] = 0;
  assert_as_expected(run, run->out, "exp_sum has other bits than with AVX2");
}

static void test_avx512_has_the_bits_of_avx2(void **state) {
  (void)state;
  for_each_run(check_same_as_avx2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_row_max),
      cmocka_unit_test(test_row_max_of_infinities),
      cmocka_unit_test(test_scale),
      cmocka_unit_test(test_divide),
      cmocka_unit_test(test_divide_by_any),
      cmocka_unit_test(test_exp_sum),
      cmocka_unit_test(test_rows),
      cmocka_unit_test(test_weigh_rows_shifted),
      cmocka_unit_test(test_exp_specials),
      cmocka_unit_test(test_weight_limit),
      cmocka_unit_test(test_softcap),
      cmocka_unit_test(test_softcap_specials),
      cmocka_unit_test(test_add_bias),
      cmocka_unit_test(test_add_distance),
      cmocka_unit_test(test_mask),
      cmocka_unit_test(test_subtract),
      cmocka_unit_test(test_above),
      cmocka_unit_test(test_dot),
      cmocka_unit_test(test_additive),
      cmocka_unit_test(test_all_finite),
      cmocka_unit_test(test_copy),
      cmocka_unit_test(test_transpose),
      cmocka_unit_test(test_avx512_has_the_bits_of_avx2),
  };
  const attn__kernels *tables[MOST_TABLES];
  const int count = tables_here(tables);
  for (int t = 0; t < count; t++) printf("kernels: %s\n", tables[t]->name);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
