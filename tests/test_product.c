/* test_product.c - products of every size by every engine against double, and packing.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "product_case.h"
#include "tables.h"

typedef void (*engine_check)(const attn__engine *engine);

static void for_each_engine(engine_check check) {
  const attn__kernels *tables[MOST_TABLES];
  const int table_count = tables_here(tables);
  const attn__engine *blas = attn__blas_start(1);
  assert_int_equal(blas != NULL, attn__blas_present());
  if (blas) check(blas);
  for (int n = 0; n < table_count; n++) {
    const attn__engine builtin = attn__product_builtin(tables[n]);
    check(&builtin);
  }
}

static void check_product(const attn__engine *engine, const int64_t size[3], int32_t accumulate,
                          random_source *source) {
  product_case p = product_case_make(engine, size, accumulate, source);
  const int64_t wrong = product_case_count_wrong(&p, engine);
  product_case_free(&p);
  if (wrong > 0)
    fail_msg("%s, %ld x %ld x %ld%s: %ld wrong numbers", engine->name, (long)size[0], (long)size[1],
             (long)size[2], accumulate ? " accumulated" : "", (long)wrong);
}

static void check_chosen_sizes(const attn__engine *engine) {
  const int64_t sizes[][3] = {{1, 1, 1},     {1, 7, 3},     {64, 64, 64},  {64, 64, 65},   {64, 65, 64},
                              {65, 64, 64},  {64, 128, 64}, {63, 127, 31}, {64, 128, 256}, {64, 128, 257},
                              {8, 16, 2048}, {1, 1, 4099},  {1, 4099, 1},  {4099, 1, 1},   {1, 600, 500},
                              {600, 1, 500}, {64, 512, 16}, {64, 16, 512}, {200, 200, 200}};
  random_source source = random_seeded(support_seed());
  for (size_t n = 0; n < COUNT_OF(sizes); n++)
    for (int32_t accumulate = 0; accumulate < 2; accumulate++)
      check_product(engine, sizes[n], accumulate, &source);
}

static void test_chosen_sizes(void **state) {
  (void)state;
  for_each_engine(check_chosen_sizes);
}

/* Panels may be multiplied where they stand: the same numbers to the bit as packed. Of the last, cut columns are left out. */
static void check_panels_there(const attn__engine *engine, const int64_t size[3], int64_t cut,
                               int32_t accumulate) {
  random_source source = random_seeded(support_seed());
  product_case p = product_case_make(engine, size, accumulate, &source);
  const size_t bytes = (size_t)((size[0] - 1) * p.product.stride_c + size[1]) * sizeof(float);
  float *packed = malloc(bytes);
  p.product.cols -= cut;
  assert_int_equal(product_case_count_wrong(&p, engine), 0);
  memcpy(packed, p.c.data, bytes);
  memcpy(p.c.data, p.before, bytes);
  p.product.b = (attn__matrix){p.b.data, p.rows_b.stride, engine->panel};
  assert_int_equal(product_case_count_wrong(&p, engine), 0);
  assert_memory_equal(packed, p.c.data, bytes);
  free(packed);
  product_case_free(&p);
}

static void check_panels_where_they_stand(const attn__engine *engine) {
  if (!engine->panel) return;
  const int64_t panel = engine->panel, cuts[] = {0, 1, panel / 2, panel / 2 + 3, panel - 1};
  for (int64_t rows = 1; rows <= 3 * engine->slab; rows++)
    for (int64_t panels = 1; panels <= 2; panels++)
      for (size_t n = 0; n < COUNT_OF(cuts); n++)
        for (int32_t accumulate = 0; accumulate < 2; accumulate++)
          check_panels_there(engine, (int64_t[3]){rows, panels * panel, 20 + rows}, cuts[n], accumulate);
}

static void test_panels_where_they_stand(void **state) {
  (void)state;
  for_each_engine(check_panels_where_they_stand);
}

/* Products ask for every row that they are given, each once, and their numbers do not depend on it, nor on the pace. */
static void check_asking(const attn__engine *engine) {
  if (!engine->panel || engine->multiply == attn__kernels_reference.multiply)
    return; /* they ask for nothing */
  random_source source = random_seeded(support_seed());
  product_case p = product_case_make(engine, (int64_t[3]){60, 100, 20}, 0, &source);
  float there[40];
  for (int64_t pace = 0; pace < 3; pace++) {
    attn__ahead ahead = {.pace = pace, .count = 2, .pieces = {{there, 1, 10, 30}, {there, 0, 7, 1}}};
    p.product.ahead = &ahead;
    for (int n = 0; n < 10; n++) assert_int_equal(product_case_count_wrong(&p, engine), 0);
    assert_int_equal(ahead.piece, 2);
    assert_int_equal(ahead.row, 0);
  }
  product_case_free(&p);
}

static void test_asking(void **state) {
  (void)state;
  for_each_engine(check_asking);
}

/* The same for every count of rows above a slab's and of columns of a panel, by products that ask all along. */
static void check_paced(const attn__engine *engine) {
  if (!engine->panel || engine->multiply == attn__kernels_reference.multiply) return;
  random_source source = random_seeded(support_seed());
  for (int64_t rows = engine->slab; rows <= 2 * engine->slab + 1; rows++)
    for (int64_t cols = 1; cols <= 2 * engine->panel + 1; cols++) {
      product_case p =
          product_case_make(engine, (int64_t[3]){rows, cols, 20}, (int32_t)(cols / 2 % 2), &source);
      float there[40];
      attn__ahead ahead = {.pace = 2, .count = 1, .pieces = {{there, 1, 3, 20}}};
      p.product.ahead = &ahead;
      assert_int_equal(product_case_count_wrong(&p, engine), 0);
      product_case_free(&p);
    }
}

static void test_paced(void **state) {
  (void)state;
  for_each_engine(check_paced);
}

/* Every count of rows of a slab and of columns of a panel. */
static void check_edges(const attn__engine *engine) {
  random_source source = random_seeded(support_seed());
  for (int64_t rows = 1; rows <= 2 * engine->slab + 1; rows++)
    for (int64_t cols = 1; cols <= 2 * engine->panel + 1; cols++)
      check_product(engine, (int64_t[3]){rows, cols, 5}, (int32_t)(cols % 2), &source);
}

static void test_edges(void **state) {
  (void)state;
  for_each_engine(check_edges);
}

static void check_random_sizes(const attn__engine *engine) {
  const int64_t rounds = support_rounds(300);
  for (int64_t round = 0; round < rounds; round++) {
    random_source source = random_seeded(support_seed() + (uint64_t)round);
    support_round_begins(round);
    const int64_t size[3] = {random_between(&source, 1, 130), random_between(&source, 1, 130),
                             random_between(&source, 1, 300)};
    check_product(engine, size, random_once_in(&source, 2), &source);
    support_round_ends();
  }
}

static void test_random_sizes(void **state) {
  (void)state;
  for_each_engine(check_random_sizes);
}

/* Without accumulate, what c holds is not read: not even NaN. */
static void check_overwriting_nan(const attn__engine *engine) {
  const int64_t sizes[][3] = {{5, 7, 3}, {64, 128, 64}, {64, 128, 300}};
  random_source source = random_seeded(support_seed());
  for (size_t n = 0; n < COUNT_OF(sizes); n++) {
    product_case p = product_case_make(engine, sizes[n], 0, &source);
    for (int64_t row = 0; row < p.product.rows; row++)
      for (int64_t col = 0; col < p.product.cols; col++) p.product.c[row * p.product.stride_c + col] = NAN;
    assert_int_equal(product_case_count_wrong(&p, engine), 0);
    product_case_free(&p);
  }
}

static void test_overwriting_nan(void **state) {
  (void)state;
  for_each_engine(check_overwriting_nan);
}

/* A NaN in one column of b, or one row of a, stays in that column or row of c. */
static void check_nan_stays(const attn__engine *engine) {
  random_source source = random_seeded(support_seed());
  product_case p = product_case_make(engine, (int64_t[3]){64, 128, 64}, 0, &source);
  p.b.data[5 * p.rows_b.stride + 17] = NAN;
  p.a.data[33 * p.product.stride_a + 9] = INFINITY;
  product_case_pack(&p, engine);
  product_case_count_wrong(&p, engine);
  for (int64_t row = 0; row < 64; row++)
    for (int64_t col = 0; col < 128; col++)
      assert_int_equal(!isfinite(p.product.c[row * p.product.stride_c + col]), col == 17 || row == 33);
  product_case_free(&p);
}

static void test_nan_stays_in_its_row_and_column(void **state) {
  (void)state;
  for_each_engine(check_nan_stays);
}

/* A table's product of few rows as an engine of its own. */
static attn__engine few_engine(const attn__kernels *kernels, void (*multiply)(const attn__product *)) {
  attn__engine engine = attn__product_builtin(kernels);
  engine.panel = 0;
  engine.multiply = multiply;
  return engine;
}

/* Rows to ask for, from some piece on: few and many one after another, and some that are the same. */
static attn__ahead some_ahead(const float *there, random_source *source) {
  attn__ahead ahead = {.count = 3, .pieces = {{there, 20, 4, 20}, {there, 24, 300, 24}, {there, 0, 3, 8}}};
  ahead.piece = random_between(source, 0, 3);
  return ahead;
}

static int64_t count_wrong_in_place(const attn__kernels *kernels, const int64_t size[3], int32_t accumulate,
                                    random_source *source) {
  const attn__engine engine = few_engine(kernels, kernels->multiply_in_place);
  product_case p = product_case_make(&engine, size, accumulate, source);
  p.product.stretch = random_between(source, 0, 20);
  attn__ahead ahead = some_ahead(p.a.data, source);
  p.product.ahead = &ahead;
  const int64_t wrong = product_case_count_wrong(&p, &engine);
  product_case_free(&p);
  return wrong;
}

/* b goes in transposed, with gaps after its rows. */
static int64_t count_wrong_transposed(const attn__kernels *kernels, const int64_t size[3],
                                      random_source *source) {
  const attn__engine engine = few_engine(kernels, kernels->multiply_transposed);
  product_case p = product_case_make(&engine, size, 0, source);
  p.product.stretch = random_between(source, 0, 20);
  const int64_t cols = size[1], inner = size[2], stride = inner + random_between(source, 0, 3);
  guarded turned = guarded_make((cols - 1) * stride + inner, GUARD_AFTER);
  for (int64_t j = 0; j < cols; j++)
    for (int64_t k = 0; k < inner; k++) turned.data[j * stride + k] = p.b.data[k * p.rows_b.stride + j];
  p.product.b = (attn__matrix){turned.data, stride, 0};
  attn__ahead ahead = some_ahead(turned.data, source);
  p.product.ahead = &ahead;
  const int64_t wrong = product_case_count_wrong(&p, &engine);
  guarded_free(&turned);
  product_case_free(&p);
  return wrong;
}

static void check_few(const attn__kernels *kernels) {
  random_source source = random_seeded(support_seed());
  for (int64_t rows = 1; rows <= kernels->few; rows++)
    for (int64_t cols = 1; cols <= 37; cols += 1 + cols / 10)
      for (int64_t inner = 1; inner <= 70; inner += 1 + inner / 5) {
        const int64_t size[3] = {rows, cols, inner};
        assert_int_equal(count_wrong_in_place(kernels, size, (int32_t)(cols % 2), &source), 0);
        assert_int_equal(count_wrong_transposed(kernels, size, &source), 0);
      }
  for (int64_t cols = 127; cols <= 300; cols += 1 + cols % 43) /* several parts of columns, and many keys */
    for (int32_t accumulate = 0; accumulate < 2; accumulate++) {
      const int64_t size[3] = {3, cols, 130};
      assert_int_equal(count_wrong_in_place(kernels, size, accumulate, &source), 0);
      assert_int_equal(count_wrong_transposed(kernels, size, &source), 0);
    }
}

static void for_each_table(void (*check)(const attn__kernels *)) {
  const attn__kernels *tables[MOST_TABLES];
  const int table_count = tables_here(tables);
  for (int n = 0; n < table_count; n++) check(tables[n]);
}

static void test_few_rows(void **state) {
  (void)state;
  for_each_table(check_few);
}

/* Products side by side, so many rows of b at a time: each as if it were alone, whatever lies between their operands. */
static void check_together(const attn__kernels *kernels, void (*multiply)(const attn__product *),
                           const int64_t size[3], int64_t count) {
  random_source source = random_seeded(support_seed());
  const attn__engine engine = few_engine(kernels, multiply);
  const int64_t rows = size[0], width = count * attn__max(size[1], size[2]) + 3, stretch = 16;
  guarded a = guarded_make(count * rows * size[2], GUARD_AFTER);
  guarded b = guarded_make(attn__max(size[1], size[2]) * width, GUARD_AFTER);
  guarded c = guarded_make(count * rows * size[1], GUARD_AFTER);
  float *alone = malloc((size_t)(count * rows * size[1]) * sizeof *alone);
  for (int64_t n = 0; n < count * rows * size[2]; n++) a.data[n] = (float)random_normal(&source);
  for (int64_t n = 0; n < attn__max(size[1], size[2]) * width; n++)
    b.data[n] = (float)random_normal(&source);
  attn__product product = {.rows = rows,
                           .cols = size[1],
                           .inner = size[2],
                           .a = a.data,
                           .stride_a = size[2],
                           .b = {b.data, width, 0},
                           .c = c.data,
                           .stride_c = size[1],
                           .more = count - 1,
                           .step_a = rows * size[2],
                           .step_b = width / count,
                           .step_c = rows * size[1],
                           .stretch = stretch};
  engine.multiply(&product);
  for (product.more = 0; product.a < a.data + count * rows * size[2]; product.a += product.step_a) {
    product.c = alone + (product.a - a.data) / product.step_a * product.step_c;
    engine.multiply(&product);
    product.b.data += product.step_b;
  }
  assert_memory_equal(c.data, alone, (size_t)(count * rows * size[1]) * sizeof *alone);
  free(alone);
  guarded_free(&a);
  guarded_free(&b);
  guarded_free(&c);
}

static void check_few_together(const attn__kernels *kernels) {
  for (int64_t rows = 1; rows <= kernels->few; rows++) {
    for (int64_t count = 1; count * rows <= ATTN__FEW_TOGETHER; count += 1 + count / 2)
      for (int64_t n = 1; n <= 150; n += 1 + n / 3) {
        check_together(kernels, kernels->multiply_transposed, (int64_t[3]){rows, n, 150 - n}, count);
        check_together(kernels, kernels->multiply_in_place, (int64_t[3]){rows, n, 150 - n}, count);
      }
    /* as many as can be together, with as many columns as a part of them has and more */
    const int64_t most = ATTN__FEW_TOGETHER / rows;
    for (int64_t cols = 128; cols <= 300; cols += 1 + cols / 9)
      check_together(kernels, kernels->multiply_in_place, (int64_t[3]){rows, cols, 20}, most);
  }
}

static void test_few_rows_together(void **state) {
  (void)state;
  for_each_table(check_few_together);
}

/* They ask for as much as they read, row by row or line by line. */
static void check_few_asking(const attn__kernels *kernels) {
  if (kernels == &attn__kernels_reference) return; /* it asks for nothing */
  float there[64 * 24];
  random_source source = random_seeded(support_seed());
  const attn__engine engine = few_engine(kernels, kernels->multiply_in_place);
  for (int64_t rows = 1; rows <= kernels->few; rows++)
    for (int64_t stride = 23; stride <= 24; stride++) {
      product_case p = product_case_make(&engine, (int64_t[3]){rows, 64, 64}, 0, &source);
      attn__ahead ahead = {.count = 1, .pieces = {{there, stride, 60, 24}}};
      p.product.ahead = &ahead;
      kernels->multiply_in_place(&p.product);
      assert_int_equal(ahead.piece, 1);
      ahead.piece = 0;
      ahead.at = ahead.end = NULL;
      kernels->multiply_transposed(&p.product); /* a square of numbers, whichever way */
      assert_int_equal(ahead.piece, 1);
      assert_null(ahead.at);
      product_case_free(&p);
    }
}

static void test_few_rows_ask(void **state) {
  (void)state;
  for_each_table(check_few_asking);
}

/* The number in row k and column j of an operand. */
static float number_at(const attn__engine *engine, attn__matrix matrix, int64_t k, int64_t j) {
  const int64_t panel = engine->panel ? engine->panel : j + 1;
  return matrix.data[j / panel * matrix.step + k * matrix.stride + j % panel];
}

/* Rows that are packed either way, backwards too, are where the engine looks for them. */
static void check_packing(const attn__engine *engine) {
  enum { COUNT = 37, WIDTH = 45 };
  const attn__kernels *kernels = &attn__kernels_reference;
  const int64_t floats = attn__product_floats(engine, COUNT, WIDTH);
  guarded in = guarded_make(COUNT * WIDTH, GUARD_AFTER), out = guarded_make(floats, GUARD_AFTER);
  guarded turned = guarded_make(attn__product_floats(engine, WIDTH, COUNT), GUARD_AFTER);
  for (int64_t n = 0; n < COUNT * WIDTH; n++) in.data[n] = (float)n;
  const attn__rows rows[] = {{in.data, WIDTH, COUNT, WIDTH},
                             {in.data + (COUNT - 1) * WIDTH, -WIDTH, COUNT, WIDTH}};
  for (size_t n = 0; n < COUNT_OF(rows); n++) {
    const attn__matrix matrix = attn__product_pack(engine, kernels, &rows[n], out.data);
    const attn__matrix columns =
        attn__product_pack_transposed(engine, kernels, &rows[n], 0.5f, turned.data);
    for (int64_t r = 0; r < COUNT; r++)
      for (int64_t c = 0; c < WIDTH; c++) {
        const float expected = rows[n].data[r * rows[n].stride + c];
        assert_true(number_at(engine, matrix, r, c) == expected);
        assert_true(number_at(engine, columns, c, r) == 0.5f * expected);
      }
    for (int64_t count = 0; count < COUNT; count++) {
      int64_t left_out;
      const attn__matrix rest = attn__product_past(engine, columns, count, &left_out);
      assert_true(left_out <= count && count - left_out < (engine->panel ? engine->panel : 1));
      assert_true(number_at(engine, rest, 3, 0) == number_at(engine, columns, 3, left_out));
    }
  }
  guarded_free(&in);
  guarded_free(&out);
  guarded_free(&turned);
}

static void test_packing(void **state) {
  (void)state;
  for_each_engine(check_packing);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_chosen_sizes),
      cmocka_unit_test(test_panels_where_they_stand),
      cmocka_unit_test(test_asking),
      cmocka_unit_test(test_paced),
      cmocka_unit_test(test_edges),
      cmocka_unit_test_teardown(test_random_sizes, support_print_seed),
      cmocka_unit_test(test_overwriting_nan),
      cmocka_unit_test(test_nan_stays_in_its_row_and_column),
      cmocka_unit_test(test_few_rows),
      cmocka_unit_test(test_few_rows_together),
      cmocka_unit_test(test_few_rows_ask),
      cmocka_unit_test(test_packing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
