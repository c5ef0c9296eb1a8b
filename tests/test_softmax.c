/* test_softmax.c - the row softmax against the formula in double: strides, specials, long rows.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "naive.h"
#include "support.h"

static const double tolerance = 4e-6;

static attn_context *context;

static int open_context(void **state) {
  (void)state;
  context = context_with_threads(2);
  return 0;
}

static int close_context(void **state) {
  (void)state;
  attn_destroy(context);
  return 0;
}

/* Asserts that row r of the results is the softmax of its input x, which may have been overwritten since. */
static void check_row(const attn_softmax_args *args, int64_t r, const float *x) {
  const int64_t stride = args->output_stride ? args->output_stride : args->cols;
  double *expected = malloc(((size_t)args->cols + 1) * sizeof(double));
  const double lse = naive_softmax(args->cols, x, args->has_scale ? (double)args->scale : 1, expected);
  int64_t wrong = 0;
  for (int64_t c = 0; c < args->cols; c++) {
    const float y = args->output[r * stride + c];
    if (isnan(expected[c]))
      wrong += !isnan(y);
    else
      wrong += !(fabs((double)y - expected[c]) <= tolerance * fmax(expected[c], 0x1p-126));
    if (lse == -INFINITY) wrong += bits_of(y) != 0;
  }
  if (args->lse) {
    const double got = (double)args->lse[r];
    wrong += isnan(lse) ? !isnan(got) : !(got == lse || fabs(got - lse) <= tolerance * fmax(1, fabs(lse)));
  }
  free(expected);
  if (wrong > 0)
    fail_msg("row %ld of %ld columns: %ld wrong numbers", (long)r, (long)args->cols, (long)wrong);
}

/* An input and an output whose rows have gaps, flush with unreadable pages. */
typedef struct matrices {
  guarded input, output, lse;
  attn_softmax_args args;
} matrices;

static int64_t floats_of(int64_t rows, int64_t cols, int64_t stride) {
  return rows > 0 && cols > 0 ? (rows - 1) * stride + cols : 0;
}

static void open_matrices(matrices *m, const int64_t shape[2], const int64_t gaps[2], guard_side side,
                          random_source *source) {
  const int64_t rows = shape[0], cols = shape[1];
  m->args = (attn_softmax_args){.size = sizeof m->args,
                                .rows = rows,
                                .cols = cols,
                                .input_stride = cols + gaps[0],
                                .output_stride = cols + gaps[1]};
  const int64_t inputs = floats_of(rows, cols, m->args.input_stride);
  const int64_t outputs = floats_of(rows, cols, m->args.output_stride);
  m->input = guarded_make(inputs, side);
  m->output = guarded_make(outputs, side);
  m->lse = guarded_make(rows, side);
  for (int64_t n = 0; n < inputs; n++) m->input.data[n] = 3 * random_normal(source);
  for (int64_t n = 0; n < outputs; n++) m->output.data[n] = canary();
  for (int64_t n = 0; n < rows; n++) m->lse.data[n] = canary();
  m->args.input = m->input.data;
  m->args.output = m->output.data;
  m->args.lse = m->lse.data;
}

static void close_matrices(matrices *m) {
  guarded_free(&m->input);
  guarded_free(&m->output);
  guarded_free(&m->lse);
}

static void run_softmax(const attn_softmax_args *args) {
  if (attn_softmax(context, args) != ATTN_OK) fail_msg("%s", attn_last_error(context));
}

static void check_matrices(const matrices *m) {
  const attn_softmax_args *args = &m->args;
  run_softmax(args);
  for (int64_t r = 0; r < args->rows; r++) check_row(args, r, args->input + r * args->input_stride);
  for (int64_t n = 0; n < floats_of(args->rows, args->cols, args->output_stride); n++)
    if (n % args->output_stride >= args->cols) assert_true(is_canary(m->output.data[n]));
}

static void test_shapes(void **state) {
  (void)state;
  const int64_t rows[] = {1, 2, 5, 300}, gaps[3][2] = {{0, 0}, {3, 0}, {1, 7}};
  random_source source = random_seeded(support_seed());
  for (size_t r = 0; r < COUNT_OF(rows); r++)
    for (int64_t cols = 1; cols < 3000; cols += 1 + cols / 5)
      for (int gap = 0; gap < 3; gap++)
        for (int side = GUARD_BEFORE; side <= GUARD_AFTER; side++) {
          if (rows[r] * cols > 200000) continue;
          matrices m;
          open_matrices(&m, (int64_t[2]){rows[r], cols}, gaps[gap], (guard_side)side, &source);
          check_matrices(&m);
          close_matrices(&m);
        }
}

static void test_in_place(void **state) {
  (void)state;
  const int64_t gaps[2] = {2, 2};
  random_source source = random_seeded(support_seed());
  for (int64_t cols = 1; cols < 2500; cols = cols * 3 + 1) {
    matrices m;
    open_matrices(&m, (int64_t[2]){7, cols}, gaps, GUARD_AFTER, &source);
    m.args.has_scale = cols % 2 == 0;
    m.args.scale = m.args.has_scale ? 0.4f : 0;
    run_softmax(&m.args);
    attn_softmax_args in_place = m.args;
    in_place.output = m.input.data;
    run_softmax(&in_place);
    for (int64_t r = 0; r < 7; r++)
      assert_int_equal(count_different(cols, m.input.data + r * (cols + 2), m.output.data + r * (cols + 2)),
                       0);
    close_matrices(&m);
  }
}

static void test_default_strides(void **state) {
  (void)state;
  const float input[6] = {1, 2, 3, 1, 1, 1};
  float output[6];
  const attn_softmax_args args = {
      .size = sizeof args, .rows = 2, .cols = 3, .input = input, .output = output};
  run_softmax(&args);
  check_row(&args, 0, input);
  check_row(&args, 1, input + 3);
}

static void test_scales(void **state) {
  (void)state;
  const float scales[] = {0, -0.0f, 1, -1, 0.125f, -7.5f, 1e-30f};
  random_source source = random_seeded(support_seed());
  for (size_t n = 0; n < COUNT_OF(scales); n++) {
    matrices m;
    open_matrices(&m, (int64_t[2]){4, 77}, (int64_t[2]){0, 0}, GUARD_AFTER, &source);
    m.args.has_scale = 1;
    m.args.scale = scales[n];
    for (int64_t c = 0; c < 4 * 77; c++) m.input.data[c] = roundf(m.input.data[c] * 8); /* exact products */
    check_matrices(&m);
    close_matrices(&m);
  }
}

/* Rows that are -infinity in some places or in all, or hold NaN or +infinity. */
static void test_special_rows(void **state) {
  (void)state;
  const float specials[] = {-INFINITY, NAN, INFINITY};
  random_source source = random_seeded(support_seed());
  for (int64_t cols = 1; cols < 80; cols += 3)
    for (size_t s = 0; s < COUNT_OF(specials); s++)
      for (int64_t every = 1; every <= 4; every++)
        for (int scale = -1; scale <= 1; scale++) {
          matrices m;
          open_matrices(&m, (int64_t[2]){3, cols}, (int64_t[2]){0, 0}, GUARD_AFTER, &source);
          m.args.has_scale = scale != 1;
          m.args.scale = m.args.has_scale ? (float)scale : 0;
          for (int64_t c = 0; c < cols; c += every) m.input.data[cols + c] = specials[s];
          check_matrices(&m);
          close_matrices(&m);
        }
}

static void test_masked_rows(void **state) {
  (void)state;
  float numbers[2][37], lse[2];
  for (int c = 0; c < 37; c++) numbers[0][c] = numbers[1][c] = -INFINITY;
  numbers[1][36] = -1e30f;
  const attn_softmax_args args = {
      .size = sizeof args, .rows = 2, .cols = 37, .input = numbers[0], .output = numbers[0], .lse = lse};
  run_softmax(&args);
  for (int c = 0; c < 37; c++) assert_int_equal(bits_of(numbers[0][c]), 0);
  assert_true(lse[0] == -INFINITY);
  assert_true(numbers[1][36] == 1 && lse[1] == -1e30f);
}

/* Rows without columns: no array is needed, and the LSE says that there was nothing. */
static void test_empty_rows(void **state) {
  (void)state;
  float lse[3] = {1, 1, 1};
  attn_softmax_args args = {.size = sizeof args, .rows = 3, .cols = 0, .lse = lse};
  run_softmax(&args);
  for (int r = 0; r < 3; r++) assert_true(lse[r] == -INFINITY);
  args.lse = NULL;
  run_softmax(&args);
  args = (attn_softmax_args){.size = sizeof args, .rows = 0, .cols = 5};
  run_softmax(&args);
}

static void test_large_numbers(void **state) {
  (void)state;
  const float rows[][3] = {{3e38f, 3e38f, -3e38f},
                           {-3e38f, -3e38f, -3e38f},
                           {1e4f, 1e4f - 50, 1e4f - 200},
                           {0x1p-149f, 0, -0x1p-149f}};
  for (size_t r = 0; r < COUNT_OF(rows); r++) {
    float output[3], lse;
    const attn_softmax_args args = {
        .size = sizeof args, .rows = 1, .cols = 3, .input = rows[r], .output = output, .lse = &lse};
    run_softmax(&args);
    check_row(&args, 0, rows[r]);
  }
}

/* More columns than a float can count: the sum must not saturate. */
static void test_a_huge_row(void **state) {
  (void)state;
  const int64_t cols = ((int64_t)1 << 25) + 3;
  guarded row = guarded_make(cols, GUARD_AFTER);
  float lse;
  for (int64_t c = 0; c < cols; c++) row.data[c] = -5;
  const attn_softmax_args args = {
      .size = sizeof args, .rows = 1, .cols = cols, .input = row.data, .output = row.data, .lse = &lse};
  run_softmax(&args);
  int64_t wrong = 0;
  for (int64_t c = 0; c < cols; c++) wrong += fabs((double)row.data[c] * (double)cols - 1) > tolerance;
  assert_int_equal(wrong, 0);
  assert_true(fabs((double)lse - (log((double)cols) - 5)) < 1e-5);
  guarded_free(&row);
}

static void test_numbers_of_threads(void **state) {
  (void)state;
  const int32_t threads[] = {1, 3, 8};
  random_source source = random_seeded(support_seed());
  matrices m;
  open_matrices(&m, (int64_t[2]){1001, 700}, (int64_t[2]){1, 0}, GUARD_AFTER, &source);
  check_matrices(&m);
  float *expected = malloc(1001 * 700 * sizeof(float));
  memcpy(expected, m.output.data, 1001 * 700 * sizeof(float));
  for (size_t n = 0; n < COUNT_OF(threads); n++) {
    attn_context *other = context_with_threads(threads[n]);
    for (int64_t k = 0; k < 1001 * 700; k++) m.output.data[k] = canary();
    assert_int_equal(attn_softmax(other, &m.args), ATTN_OK);
    assert_int_equal(count_different(1001 * 700, m.output.data, expected), 0);
    attn_destroy(other);
  }
  free(expected);
  close_matrices(&m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_shapes),          cmocka_unit_test(test_in_place),
      cmocka_unit_test(test_default_strides), cmocka_unit_test(test_scales),
      cmocka_unit_test(test_special_rows),    cmocka_unit_test(test_masked_rows),
      cmocka_unit_test(test_empty_rows),      cmocka_unit_test(test_large_numbers),
      cmocka_unit_test(test_a_huge_row),      cmocka_unit_test(test_numbers_of_threads),
  };
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, open_context, close_context);
}
