/* test_shapes.c - the bench's shapes: what is read, what a query sees, what is counted.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "bench.h"
#include "shapes.h"

static bench_shape parse(const char *numbers) {
  bench_shape shape = {0};
  assert_int_equal(shape_parse(numbers, numbers, &shape), BENCH_OK);
  return shape;
}

static const bench_shape *named(const char *name) {
  static bench_shape shape;
  for (size_t n = 0; n < named_shape_count; n++)
    if (strcmp(named_shapes[n].name, name) == 0) {
      assert_int_equal(shape_parse(name, named_shapes[n].numbers, &shape), BENCH_OK);
      return &shape;
    }
  fail_msg("no shape %s", name);
  return NULL;
}

static void test_every_named_shape_is_read(void **state) {
  (void)state;
  for (size_t n = 0; n < named_shape_count; n++)
    assert_string_equal(named(named_shapes[n].name)->name, named_shapes[n].name);
}

static void test_numbers_are_read_in_order(void **state) {
  (void)state;
  bench_shape shape = parse("1:6:3:4:5:7:1:8:-1:-2");
  assert_int_equal(shape.batch, 1);
  assert_int_equal(shape.heads_q, 6);
  assert_int_equal(shape.heads_kv, 3);
  assert_int_equal(shape.len_q, 4);
  assert_int_equal(shape.len_k, 5);
  assert_int_equal(shape.dim, 7);
  assert_int_equal(shape.causal, 1);
  assert_int_equal(shape.has_window, 1);
  assert_int_equal(shape.left, 8);
  assert_int_equal(shape.right, -1);
  assert_int_equal(shape.offset, -2);
}

static void test_a_window_without_bounds_is_none(void **state) {
  (void)state;
  assert_int_equal(parse("1:1:1:4:5:7:0").has_window, 0);
  assert_int_equal(parse("1:1:1:4:5:7:0:-1:-1").has_window, 0);
  assert_int_equal(parse("1:1:1:4:5:7:0:-1:-1:3").offset, 3);
}

/* The rule of attn.h, key by key. */
static int sees(const bench_shape *shape, int64_t i, int64_t j) {
  int64_t p = i + shape->offset;
  return !(shape->causal && j > p) && !(shape->has_window && shape->left >= 0 && j < p - shape->left) &&
         !(shape->has_window && shape->right >= 0 && j > p + shape->right);
}

static void check_counts(const bench_shape *shape) {
  int64_t pairs = 0, first = shape->len_k, last = -1;
  for (int64_t i = 0; i < shape->len_q; i++) {
    shape_view view = shape_see(shape, i);
    int64_t seen = 0;
    for (int64_t j = 0; j < shape->len_k; j++) {
      int inside = j >= view.first && j < view.first + view.count;
      if (inside != sees(shape, i, j)) fail_msg("%s: query %d, key %d", shape->name, (int)i, (int)j);
      seen += inside;
      if (inside && j < first) first = j;
      if (inside && j > last) last = j;
    }
    pairs += seen;
  }
  double heads = (double)(shape->batch * shape->heads_q), keys = (double)(shape->batch * shape->heads_kv);
  assert_true(shape_flops(shape) == 4 * heads * (double)shape->dim * (double)pairs);
  assert_true(shape_kv_bytes(shape) == 8 * keys * (double)shape->dim * (double)(last + 1 - first));
}

static void test_counts_are_those_of_the_rule(void **state) {
  (void)state;
  int tried = 0;
  for (int causal = 0; causal < 2; causal++)
    for (int left = -1; left < 4; left++)
      for (int right = -1; right < 4; right++)
        for (int offset = -3; offset < 7; offset++) {
          check_counts(&(bench_shape){"x", 2, 6, 3, 4, 7, 5, causal, left >= 0 || right >= 0, left, right,
                                      offset, 0});
          tried++;
        }
  assert_int_equal(tried, 500);
}

static void test_flops_of_causal_shapes_are_those_of_what_is_seen(void **state) {
  (void)state;
  assert_true(shape_flops(named("S3")) == 4.0 * 16 * 2048 * 2048 * 64);
  assert_true(shape_flops(named("S5")) == 4.0 * 8 * 8192 * 8193 / 2 * 64);
  assert_true(shape_flops(named("S9")) == 4.0 * 8 * (257.0 * 16384 - 256 * 257 / 2) * 64);
}

static void test_decoding_is_memory_bound_and_nothing_else(void **state) {
  (void)state;
  for (size_t n = 0; n < named_shape_count; n++) {
    const char *name = named_shapes[n].name;
    int decoding = strcmp(name, "S6") == 0 || strcmp(name, "S7") == 0 || strcmp(name, "S8") == 0;
    assert_int_equal(shape_is_memory_bound(named(name)), decoding);
  }
  assert_true(shape_kv_bytes(named("S7")) == 2.0 * 8 * 32768 * 128 * 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_named_shape_is_read),
      cmocka_unit_test(test_numbers_are_read_in_order),
      cmocka_unit_test(test_a_window_without_bounds_is_none),
      cmocka_unit_test(test_counts_are_those_of_the_rule),
      cmocka_unit_test(test_flops_of_causal_shapes_are_those_of_what_is_seen),
      cmocka_unit_test(test_decoding_is_memory_bound_and_nothing_else),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
