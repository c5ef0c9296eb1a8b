/* test_linear.c - linear layers in thirds against sums in double: sizes, layouts, and numbers that thirds cannot hold.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "linear.h"
#include "thirds_case.h"

enum { BATCH = 2 };

/* A layer and its arrays; the rows of x are stride numbers apart, which may be fewer than it has, or less than 0. */
typedef struct layer {
  attn__linear linear;
  float *x, *weight, *bias, *y;
  int64_t x_floats, y_floats, lengths[BATCH];
} layer;

static float *normal_floats(int64_t count, double size, random_source *source) {
  float *array = malloc((size_t)count * sizeof *array);
  for (int64_t n = 0; n < count; n++) array[n] = (float)(size * (double)random_normal(source));
  return array;
}

static void layer_make(layer *l, int64_t rows, int64_t dim_in, int64_t dim_out, int64_t stride,
                       random_source *source) {
  const int64_t step = stride < 0 ? -stride : stride, width = dim_out + 3;
  l->x_floats = BATCH * rows * step + dim_in;
  l->y_floats = BATCH * rows * width;
  l->x = normal_floats(l->x_floats, 1, source);
  l->weight = normal_floats(dim_out * dim_in, 1 / sqrt((double)dim_in), source);
  l->bias = normal_floats(dim_out, 1, source);
  l->y = malloc((size_t)l->y_floats * sizeof *l->y);
  l->lengths[0] = rows - 5;
  l->lengths[1] = rows;
  const float *first = stride < 0 ? l->x + (BATCH * rows - 1) * step : l->x;
  l->linear = (attn__linear){.batch = BATCH,
                             .rows = rows,
                             .dim_in = dim_in,
                             .dim_out = dim_out,
                             .lengths = l->lengths,
                             .x = {first, {rows * stride, 0, stride}},
                             .weight = l->weight,
                             .bias = l->bias,
                             .y = {l->y, {rows * width, 0, width}}};
}

static void layer_free(layer *l) {
  free(l->x);
  free(l->weight);
  free(l->bias);
  free(l->y);
}

/* y begins as canaries, the scratch as NaN. */
static void layer_run(layer *l, attn_context *context) {
  const uint64_t bytes = attn__linear_scratch(&context->engine, attn__context_strands(context));
  const size_t lines = (size_t)(bytes + ATTN_CACHE_LINE - 1) / ATTN_CACHE_LINE;
  void *scratch = aligned_alloc(ATTN_CACHE_LINE, lines * ATTN_CACHE_LINE);
  memset(scratch, 0xff, lines * ATTN_CACHE_LINE);
  for (int64_t n = 0; n < l->y_floats; n++) l->y[n] = canary();
  attn__linear_run(context, &l->linear, scratch);
  free(scratch);
}

static const float *x_row(const layer *l, int64_t b, int64_t row) {
  return attn__input_row(&l->linear.x, b, 0, row);
}

/* Number col of a row of y in double; what rounding may make of it goes to *bound. NaN where that is infinite or NaN. */
static double number_of(const layer *l, int64_t b, int64_t row, int64_t col, double *bound) {
  const float *x = x_row(l, b, row), *weight = l->weight + col * l->linear.dim_in;
  double sum = l->linear.bias ? (double)l->bias[col] : 0;
  *bound = fabs(sum);
  for (int64_t k = 0; k < l->linear.dim_in; k++) {
    sum += (double)x[k] * (double)weight[k];
    *bound += fabs((double)x[k] * (double)weight[k]);
  }
  *bound = 5e-7 * *bound + 3e-45;
  return isfinite((float)sum) ? sum : NAN;
}

static void layer_check(const layer *l, const char *name) {
  const int64_t width = l->linear.y.strides.row;
  for (int64_t b = 0; b < BATCH; b++)
    for (int64_t row = 0; row < l->linear.rows; row++) {
      const float *y = l->y + (b * l->linear.rows + row) * width;
      for (int64_t col = 0; col < width; col++) {
        double bound;
        if (row >= l->lengths[b] || col >= l->linear.dim_out) {
          assert_true(is_canary(y[col]));
          continue;
        }
        const double wanted = number_of(l, b, row, col, &bound);
        if (isnan(wanted) ? isfinite(y[col]) : !(fabs((double)y[col] - wanted) <= bound))
          fail_msg("%s: %ld x %ld x %ld: row %ld, number %ld is %g, expected %g, error at most %g", name,
                   (long)l->linear.rows, (long)l->linear.dim_in, (long)l->linear.dim_out, (long)row,
                   (long)col, (double)y[col], wanted, bound);
      }
    }
}

/* Once with each of the thread counts: the same bits. */
static void run_and_check(layer *l, const attn__kernels *kernels) {
  attn_context *one = thirds_context(kernels, 1), *seven = thirds_context(kernels, 7);
  float *first = malloc((size_t)l->y_floats * sizeof *first);
  thirds_count_from_zero();
  layer_run(l, one);
  assert_true(thirds_counted() > 0);
  layer_check(l, kernels->name);
  memcpy(first, l->y, (size_t)l->y_floats * sizeof *first);
  layer_run(l, seven);
  assert_memory_equal(l->y, first, (size_t)l->y_floats * sizeof *first);
  free(first);
  attn_destroy(one);
  attn_destroy(seven);
}

static void check_sizes(const attn__kernels *kernels) {
  const int64_t sizes[][4] = {{86, 24, 1, 24},      {130, 33, 17, 40}, {100, 128, 64, 0},
                              {257, 129, 65, -129}, {300, 40, 257, 7}, {70, 300, 300, 300}};
  random_source source = random_seeded(support_seed());
  for (size_t n = 0; n < COUNT_OF(sizes); n++)
    for (int with = 0; with < 2; with++) {
      layer l;
      layer_make(&l, sizes[n][0], sizes[n][1], sizes[n][2], sizes[n][3], &source);
      if (!with) l.linear.bias = NULL;
      run_and_check(&l, kernels);
      layer_free(&l);
    }
}

static void test_sizes(void **state) {
  (void)state;
  thirds_for_each(check_sizes);
}

/* Fewer rows, for how wide they are, or narrower ones are multiplied as floats. */
static void check_least(const attn__kernels *kernels) {
  const int64_t sizes[][2] = {{63, 64}, {101, 40}, {200, 23}};
  random_source source = random_seeded(support_seed());
  attn_context *context = thirds_context(kernels, 1);
  for (size_t n = 0; n < COUNT_OF(sizes); n++) {
    layer l;
    layer_make(&l, sizes[n][0], sizes[n][1], 40, sizes[n][1], &source);
    thirds_count_from_zero();
    layer_run(&l, context);
    assert_int_equal(thirds_counted(), 0);
    layer_check(&l, kernels->name);
    layer_free(&l);
  }
  attn_destroy(context);
}

static void test_least(void **state) {
  (void)state;
  thirds_for_each(check_least);
}

/* Numbers as small as these, and sums of them, keep their digits. */
static void check_small(const attn__kernels *kernels) {
  const float sizes[][2] = {{0x1p-90f, 0x1p-20f},
                            {0x1p-112f, 1},
                            {0x1p-125f, 0x1p19f},
                            {0x1p-140f, 0x1p19f},
                            {0x1p20f, 0x1p-130f}};
  random_source source = random_seeded(support_seed());
  for (size_t n = 0; n < COUNT_OF(sizes); n++) {
    layer l;
    layer_make(&l, 80, 96, 50, 96, &source);
    l.linear.bias = NULL;
    for (int64_t k = 0; k < l.x_floats; k++) l.x[k] *= sizes[n][0];
    for (int64_t k = 0; k < 96 * 50; k++) l.weight[k] *= sizes[n][1];
    run_and_check(&l, kernels);
    layer_free(&l);
  }
}

static void test_small(void **state) {
  (void)state;
  thirds_for_each(check_small);
}

/* A place in x or W. */
typedef struct spot {
  int in_weight;
  int64_t b, row; /* of x; row is the column of y for W */
  int64_t inner;
} spot;

enum { SPOT_ROWS = 300, SPOT_IN = 140, SPOT_OUT = 300 };

static float *spot_at(const layer *l, const spot *s) {
  return s->in_weight ? l->weight + s->row * SPOT_IN + s->inner
                      : l->x + (s->b * SPOT_ROWS + s->row) * SPOT_IN + s->inner;
}

/* 1 if number n of y is made with it. */
static int is_touched(const layer *l, const spot *s, int64_t n) {
  const int64_t width = l->linear.y.strides.row;
  return s->in_weight ? n % width == s->row : n / width == s->b * SPOT_ROWS + s->row;
}

/* A number that thirds cannot hold, in x or in W, is multiplied as it is and changes no bit beside its row or column; one in a
 * row that there is not, none at all. */
static void check_spots_of(const attn__kernels *kernels, int biased) {
  const float numbers[] = {0x1p29f, -3e37f, INFINITY, NAN};
  const spot spots[] = {{0, 0, 33, 5},   {0, 1, 270, 130}, {0, 1, 299, 5}, {0, 0, 297, 7},
                        {1, 0, 70, 130}, {1, 0, 290, 5},   {1, 0, 0, 139}};
  random_source source = random_seeded(support_seed());
  attn_context *context = thirds_context(kernels, 3);
  layer l;
  layer_make(&l, SPOT_ROWS, SPOT_IN, SPOT_OUT, SPOT_IN, &source);
  if (!biased) l.linear.bias = NULL;
  layer_run(&l, context);
  const size_t bytes = (size_t)l.y_floats * sizeof *l.y;
  float *before = malloc(bytes);
  memcpy(before, l.y, bytes);
  for (size_t n = 0; n < COUNT_OF(spots); n++) {
    float *place = spot_at(&l, &spots[n]);
    const float number = *place;
    *place = numbers[(n + (size_t)biased) % COUNT_OF(numbers)];
    run_and_check(&l, kernels);
    for (int64_t k = 0; k < l.y_floats; k++)
      if (!is_touched(&l, &spots[n], k) && memcmp(&l.y[k], &before[k], sizeof *before) != 0)
        fail_msg("%s: number %ld of y changes with what it is not made of", kernels->name, (long)k);
    *place = number;
  }
  free(before);
  layer_free(&l);
  attn_destroy(context);
}

static void check_spots(const attn__kernels *kernels) {
  check_spots_of(kernels, 0);
  check_spots_of(kernels, 1);
}

static void test_spots(void **state) {
  (void)state;
  thirds_for_each(check_spots);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(test_sizes, support_print_seed),
      cmocka_unit_test_teardown(test_least, support_print_seed),
      cmocka_unit_test_teardown(test_small, support_print_seed),
      cmocka_unit_test_teardown(test_spots, support_print_seed),
  };
  const int skipped = thirds_skip_missing();
  return skipped ? skipped : cmocka_run_group_tests(tests, NULL, NULL);
}
