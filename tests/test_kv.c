/* test_kv.c - tiles of keys and values, from every arrangement of strides.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "kv.h"

#include <math.h>
#include <string.h>

#include "tensor.h"

enum { BATCH = 2, HEADS = 3, LEN = 21, DIM = 13 };

static const int64_t shape[4] = {BATCH, HEADS, LEN, DIM};

static attn__problem problem_of(const tensor *t) {
  const attn__input input = {t->first, {t->strides[0], t->strides[1], t->strides[2]}};
  return (attn__problem){.batch = BATCH,
                         .heads_q = HEADS,
                         .heads_kv = HEADS,
                         .group = 1,
                         .len_q = 1,
                         .len_k = LEN,
                         .dim = DIM,
                         .dim_v = DIM,
                         .scale = 0.5f,
                         .key = input,
                         .value = input};
}

typedef void (*tile_check)(const tensor *t, const attn__problem *problem, const attn__kv_tile *tile);

/* Some tiles of every layout and side. */
static void for_each_tile(tile_check check) {
  random_source source = random_seeded(support_seed());
  for (int layout = 0; layout < LAYOUT_INPUTS; layout++)
    for (int side = GUARD_BEFORE; side <= GUARD_AFTER; side++) {
      tensor t = tensor_make(shape, (tensor_layout)layout, (guard_side)side);
      tensor_fill_normal(&t, &source);
      const attn__problem problem = problem_of(&t);
      for (int64_t b = 0; b < BATCH; b++)
        for (int64_t h = 0; h < HEADS; h++)
          for (int64_t first = 0; first < LEN; first += 5)
            for (int64_t count = 1; first + count <= LEN; count += 3)
              check(&t, &problem, &(attn__kv_tile){b, h, first, count, 0});
      tensor_free(&t);
    }
}

/* An engine whose operands are one panel, as BLAS's, and one of panels. */
static const attn__engine engines[] = {{.panel = 0}, {.panel = 8}};

/* The number in row k and column j of an operand. */
static float number_at(const attn__engine *engine, attn__matrix matrix, int64_t k, int64_t j) {
  const int64_t panel = engine->panel ? engine->panel : j + 1;
  return matrix.data[j / panel * matrix.step + k * matrix.stride + j % panel];
}

static void check_keys_times(float factor, const tensor *t, const attn__problem *problem,
                             const attn__kv_tile *tile) {
  float buffer[DIM * (LEN + 16)];
  for (size_t n = 0; n < COUNT_OF(engines); n++) {
    const attn__matrix matrix = attn__kv_keys(problem, &engines[n], &attn__kernels_reference, tile, buffer);
    for (int64_t j = 0; j < tile->count; j++)
      for (int64_t d = 0; d < DIM; d++)
        assert_int_equal(bits_of(number_at(&engines[n], matrix, d, j)),
                         bits_of(factor * tensor_row(t, tile->b, tile->h, tile->first + j)[d]));
  }
}

static void check_keys(const tensor *t, const attn__problem *problem, const attn__kv_tile *tile) {
  attn__problem additive = *problem;
  additive.score_function = ATTN_SCORE_ADDITIVE;
  check_keys_times(0.5f, t, problem, tile);
  check_keys_times(1, t, &additive, tile);
}

static void test_keys_are_columns(void **state) {
  (void)state;
  for_each_tile(check_keys);
}

static void check_matrix(const tensor *t, const attn__kv_tile *tile, const attn__engine *engine,
                         attn__matrix matrix) {
  if (engine->panel == 0) assert_true(matrix.stride >= DIM); /* what BLAS takes */
  for (int64_t j = 0; j < tile->count; j++)
    for (int64_t d = 0; d < DIM; d++)
      assert_int_equal(bits_of(number_at(engine, matrix, j, d)),
                       bits_of(tensor_row(t, tile->b, tile->h, tile->first + j)[d]));
}

static void check_values(const tensor *t, const attn__problem *problem, const attn__kv_tile *tile) {
  float buffer[LEN * (DIM + 16)];
  for (size_t n = 0; n < COUNT_OF(engines); n++) {
    const attn__engine *engine = &engines[n];
    check_matrix(t, tile, engine, attn__kv_values(problem, engine, &attn__kernels_reference, tile, buffer));
    check_matrix(t, tile, engine,
                 attn__kv_values_cleared(problem, engine, &attn__kernels_reference, tile, buffer));
  }
}

static void test_values_are_found(void **state) {
  (void)state;
  for_each_tile(check_values);
}

/* Row strides that BLAS's int cannot hold are no obstacle. */
static void test_huge_row_stride(void **state) {
  (void)state;
  float rows[2][DIM], buffer[2 * (DIM + 16)];
  memset(rows, 0, sizeof rows);
  attn__problem problem = {.dim_v = DIM, .value = {rows[0], {0, 0, (int64_t)1 << 40}}};
  const attn__matrix one = attn__kv_values(&problem, &engines[0], &attn__kernels_reference,
                                           &(attn__kv_tile){0, 0, 0, 1, 0}, buffer);
  assert_true(one.stride <= INT32_MAX);
}

/* Where heads lie side by side, rows may be those of several. */
static void test_heads_side_by_side(void **state) {
  (void)state;
  random_source source = random_seeded(support_seed());
  const attn__kv_tile tile = {1, 1, 4, 9, 1};
  for (int layout = 0; layout < LAYOUT_INPUTS; layout++) {
    tensor t = tensor_make(shape, (tensor_layout)layout, GUARD_AFTER);
    attn__problem problem = problem_of(&t);
    assert_int_equal(attn__kv_heads_side_by_side(&problem), layout == LAYOUT_ROW_MAJOR);
    tensor_free(&t);
  }
  tensor t = tensor_make(shape, LAYOUT_ROW_MAJOR, GUARD_AFTER);
  tensor_fill_normal(&t, &source);
  attn__problem problem = problem_of(&t);
  const attn__rows keys = attn__kv_key_rows(&problem, &tile), values = attn__kv_value_rows(&problem, &tile);
  for (int64_t j = 0; j < tile.count; j++)
    assert_memory_equal(keys.data + j * keys.stride + DIM, tensor_row(&t, 1, 2, 4 + j),
                        DIM * sizeof(float));
  assert_true(keys.width == 2 * DIM && values.width == 2 * DIM && values.data == keys.data);
  assert_true(attn__kv_values_finite(&problem, &attn__kernels_reference, &tile));
  tensor_row(&t, 1, 0, 6)[DIM - 1] = NAN;
  assert_true(attn__kv_values_finite(&problem, &attn__kernels_reference, &tile));
  tensor_row(&t, 1, 2, 6)[DIM - 1] = NAN;
  assert_true(!attn__kv_values_finite(&problem, &attn__kernels_reference, &tile));
  problem.value.strides.head = 0;
  assert_true(!attn__kv_heads_side_by_side(&problem));
  problem = problem_of(&t);
  problem.heads_kv = 1;
  assert_true(!attn__kv_heads_side_by_side(&problem));
  tensor_free(&t);
}

static void test_not_finite_values(void **state) {
  (void)state;
  const float specials[] = {NAN, INFINITY, -INFINITY};
  tensor t = tensor_make(shape, LAYOUT_PADDED, GUARD_AFTER);
  random_source source = random_seeded(support_seed());
  tensor_fill_normal(&t, &source);
  const attn__problem problem = problem_of(&t);
  const attn__kv_tile tile = {1, 2, 4, 9, 0};
  float buffer[LEN * (DIM + 16)];
  assert_true(attn__kv_values_finite(&problem, &attn__kernels_reference, &tile));
  for (int64_t j = 0; j < LEN; j++) {
    float *number = tensor_row(&t, 1, 2, j) + j % DIM, before = *number;
    *number = specials[j % 3];
    const int inside = j >= tile.first && j < tile.first + tile.count;
    assert_int_equal(attn__kv_values_finite(&problem, &attn__kernels_reference, &tile), !inside);
    for (size_t n = 0; n < COUNT_OF(engines); n++) {
      const float found = *number;
      const attn__matrix cleared =
          attn__kv_values_cleared(&problem, &engines[n], &attn__kernels_reference, &tile, buffer);
      *number = inside ? 0 : before;
      check_matrix(&t, &tile, &engines[n], cleared);
      *number = found;
    }
    *number = before;
  }
  tensor_free(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_keys_are_columns),  cmocka_unit_test(test_values_are_found),
      cmocka_unit_test(test_huge_row_stride),   cmocka_unit_test(test_heads_side_by_side),
      cmocka_unit_test(test_not_finite_values),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
