/* test_check.c - the checks of arguments: structs by their size, ranges, strides, overlaps.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support.h"

static char sentence[ATTN__SENTENCE_SIZE];
static const attn__check check = {sentence};

/* A struct as an older caller, this library and a newer caller know it. */
typedef struct sized {
  uint64_t size;
  int64_t first, second, unknown[600];
} sized;

static const uint64_t known = offsetof(sized, unknown);

/* Checks a struct of that size whose last byte is as given; 1 if it is accepted. */
static int accepts(uint64_t size, unsigned char last) {
  static sized given;
  sized copy;
  memset(&given, 0, sizeof given);
  memset(&copy, 0, sizeof copy);
  given = (sized){.size = size, .first = 11, .second = 22};
  if (size > known && size <= sizeof given) ((unsigned char *)&given)[size - 1] = last;
  const int accepted = attn__check_struct(&check, "thing", &given, &copy, known);
  if (accepted) {
    assert_int_equal(copy.first, size >= offsetof(sized, second) ? 11 : 0);
    assert_int_equal(copy.second, size >= known ? 22 : 0);
  }
  return accepted;
}

static void test_struct_sizes(void **state) {
  (void)state;
  assert_true(accepts(sizeof(uint64_t), 0));
  assert_true(accepts(offsetof(sized, second), 0));
  assert_true(accepts(known, 0));
  assert_true(accepts(known + 8, 0));
  assert_true(accepts(4096, 0));
  assert_false(accepts(0, 0));
  assert_false(accepts(sizeof(uint64_t) - 1, 0));
  assert_false(accepts(4097, 0));
  assert_false(accepts(UINT64_MAX, 0));
  assert_false(accepts(known + 1, 0));
  assert_false(accepts(known - 1, 0));
  assert_false(accepts(known + 8, 1));
  assert_false(accepts(4096, 1));
  assert_int_equal(strncmp(sentence, "thing: ", 7), 0);
  assert_false(attn__check_struct(&check, "thing", NULL, NULL, known));
  assert_non_null(strstr(sentence, "NULL"));
}

/* Each address of eight: whether numbers of either size may be there, and how far past one that suits them it is. */
static void test_alignment(void **state) {
  (void)state;
  struct {
    const float *numbers;
    const int64_t *lengths;
  } given = {0};
  const attn__pointer pointers[] = {{"numbers", 0, 4}, {"lengths", sizeof given.numbers, 8}};
  for (uintptr_t address = 80; address < 88; address++)
    for (size_t n = 0; n < COUNT_OF(pointers); n++) {
      char expected[16];
      const size_t past = address % pointers[n].alignment;
      memset(&given, 0, sizeof given);
      memcpy((char *)&given + pointers[n].offset, &address, sizeof address);
      assert_int_equal(attn__check_pointers(&check, &given, pointers, COUNT_OF(pointers)), past == 0);
      if (past == 0) continue;
      snprintf(expected, sizeof expected, "one %zu past", past);
      assert_int_equal(strncmp(sentence, pointers[n].name, strlen(pointers[n].name)), 0);
      assert_non_null(strstr(sentence, expected));
    }
}

static void test_ranges(void **state) {
  (void)state;
  assert_true(attn__check_range(&check, "n", 3, 3, 5));
  assert_true(attn__check_range(&check, "n", 5, 3, 5));
  assert_false(attn__check_range(&check, "n", 6, 3, 5));
  assert_string_equal(sentence, "n: expected 3 to 5, got 6");
  assert_false(attn__check_range(&check, "n", -1, 0, INT64_MAX));
  assert_string_equal(sentence, "n: expected at least 0, got -1");
}

static void test_scales(void **state) {
  (void)state;
  assert_true(attn__check_scale(&check, 0, 0));
  assert_true(attn__check_scale(&check, 1, 0));
  assert_true(attn__check_scale(&check, 1, -3.5f));
  assert_false(attn__check_scale(&check, 0, 1));
  assert_false(attn__check_scale(&check, 2, 1));
  assert_false(attn__check_scale(&check, -1, 1));
  const float bad[] = {NAN, INFINITY, -INFINITY};
  for (size_t n = 0; n < COUNT_OF(bad); n++) assert_false(attn__check_scale(&check, 1, bad[n]));
}

static void test_long_sentences_are_cut(void **state) {
  (void)state;
  char word[2 * ATTN__SENTENCE_SIZE];
  memset(word, 'x', sizeof word);
  word[sizeof word - 1] = '\0';
  assert_int_equal(attn__check_fail(&check, "%s", word), 0);
  assert_int_equal(strlen(sentence), ATTN__SENTENCE_SIZE - 1);
}

/* How often the busiest element of an array is written. */
static int busiest(const attn__array *array) {
  enum { CENTRE = 5000 };
  static unsigned char writes[2 * CENTRE];
  int most = 0;
  memset(writes, 0, sizeof writes);
  for (int64_t b = 0; b < array->batch; b++)
    for (int64_t h = 0; h < array->heads; h++)
      for (int64_t r = 0; r < array->rows; r++)
        for (int64_t d = 0; d < array->width; d++) {
          const int64_t place = b * array->strides[0] + h * array->strides[1] + r * array->strides[2] + d;
          const int count = ++writes[CENTRE + place];
          if (count > most) most = count;
        }
  return most;
}

static void test_no_overlap_is_accepted(void **state) {
  (void)state;
  random_source source = random_seeded(support_seed());
  const int64_t rounds = support_rounds(20000);
  int accepted = 0;
  for (int64_t round = 0; round < rounds; round++) {
    int64_t strides[3];
    for (int n = 0; n < 3; n++) strides[n] = random_between(&source, -30, 30);
    const attn__array array = {"output",
                               sentence,
                               strides,
                               random_between(&source, 1, 4),
                               random_between(&source, 1, 4),
                               random_between(&source, 1, 4),
                               random_between(&source, 1, 5),
                               1};
    attn__strides out;
    if (!attn__check_array(&check, &array, &out)) continue;
    accepted++;
    assert_int_equal(busiest(&array), 1);
  }
  assert_true(accepted > 0);
}

/* Every order of nested axes, forwards and backwards, with and without gaps. */
static void test_nested_strides_are_accepted(void **state) {
  (void)state;
  static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  const int64_t counts[3] = {3, 4, 5};
  for (int order = 0; order < 6; order++)
    for (int64_t gap = 0; gap < 2; gap++)
      for (int signs = 0; signs < 8; signs++) {
        int64_t strides[3], reach = 7;
        for (int n = 2; n >= 0; n--) {
          const int axis = orders[order][n];
          strides[axis] = (signs >> axis & 1 ? -1 : 1) * (reach + gap);
          reach = (reach + gap) * counts[axis];
        }
        const attn__array array = {"output", sentence, strides, 3, 4, 5, 7, 1};
        attn__strides out;
        assert_true(attn__check_array(&check, &array, &out));
        assert_int_equal(out.batch, strides[0]);
        assert_int_equal(out.head, strides[1]);
        assert_int_equal(out.row, strides[2]);
      }
}

static void test_dense_strides(void **state) {
  (void)state;
  const attn__array array = {"key", sentence, NULL, 2, 3, 5, 7, 0};
  attn__strides out;
  assert_true(attn__check_array(&check, &array, &out));
  assert_int_equal(out.batch, 105);
  assert_int_equal(out.head, 35);
  assert_int_equal(out.row, 7);
}

/* An axis of one index is never stepped along, whatever its stride. */
static void test_strides_of_single_axes_do_not_matter(void **state) {
  (void)state;
  const int64_t strides[3] = {INT64_MIN, 0, 4};
  const attn__array array = {"output", sentence, strides, 1, 1, 3, 4, 1};
  attn__strides out;
  assert_true(attn__check_array(&check, &array, &out));
}

static void test_arrays_that_memory_cannot_hold(void **state) {
  (void)state;
  const int64_t strides[][3] = {
      {INT64_MAX, 8, 4}, {INT64_MIN, 8, 4}, {8, INT64_MAX / 4, 4}, {-8, 4, INT64_MIN / 2}};
  for (size_t n = 0; n < COUNT_OF(strides); n++)
    for (int32_t output = 0; output < 2; output++) {
      const attn__array array = {"value", sentence, strides[n], 3, 2, 2, 4, output};
      attn__strides out;
      assert_false(attn__check_array(&check, &array, &out));
      assert_int_equal(strncmp(sentence, "value: ", 7), 0);
    }
  const int64_t huge = (int64_t)1 << 31;
  const attn__array array = {"value", sentence, NULL, huge, huge, huge, 4, 0};
  attn__strides out;
  assert_false(attn__check_array(&check, &array, &out));
}

/* The last element that an address space of bytes can have, and one more. */
static void test_the_farthest_element(void **state) {
  (void)state;
  for (int64_t past = 0; past < 2; past++) {
    const int64_t strides[3] = {0, 0, INT64_MAX / 8 - 4 + past};
    const attn__array array = {"value", sentence, strides, 1, 1, 2, 4, 0};
    attn__strides out;
    assert_int_equal(attn__check_array(&check, &array, &out), !past);
  }
}

/* Of an array with an axis of no index, no stride matters. */
static void test_strides_of_empty_score_arrays(void **state) {
  (void)state;
  const int64_t strides[4] = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
  for (int axis = -1; axis < 4; axis++) {
    const int64_t counts[] = {axis == 0 ? 0 : 2, axis == 1 ? 0 : 2, axis == 2 ? 0 : 2, axis == 3 ? 0 : 2};
    const attn__array array = {"bias", sentence, NULL, counts[0], counts[1], counts[2], counts[3], 0};
    attn__score_strides out;
    assert_int_equal(attn__check_score_array(&check, &array, strides, &out), axis >= 0);
  }
}

static void test_empty_arrays_need_no_pointer(void **state) {
  (void)state;
  attn__array array = {"value", NULL, NULL, 3, 2, 2, 4, 0};
  attn__strides out;
  assert_false(attn__check_array(&check, &array, &out));
  assert_string_equal(sentence, "value: expected a pointer to an array, got NULL");
  array.rows = 0;
  assert_true(attn__check_array(&check, &array, &out));
}

/* Marks the elements of an array, a bit for each array. */
static void mark(const attn__array *array, const attn__strides *strides, const float *base,
                 unsigned char *marks, unsigned char bit) {
  const int64_t first = (const float *)array->data - base;
  for (int64_t b = 0; b < array->batch; b++)
    for (int64_t h = 0; h < array->heads; h++)
      for (int64_t r = 0; r < array->rows; r++)
        for (int64_t d = 0; d < array->width; d++)
          marks[first + b * strides->batch + h * strides->head + r * strides->row + d] |= bit;
}

/* An output and another array somewhere near it: refused if both are dense and share an element, never if they
 * share none. */
static void test_apart(void **state) {
  (void)state;
  enum { FLOATS = 1200, CENTRE = 600 };
  static float floats[FLOATS];
  random_source source = random_seeded(support_seed());
  const int64_t rounds = support_rounds(3000);
  int refused = 0, dense_rounds = 0;
  for (int64_t round = 0; round < rounds; round++) {
    unsigned char marks[FLOATS] = {0};
    const int dense = random_between(&source, 0, 1) == 0;
    const int64_t given[2][3] = {{60, 12, 5}, {45, 15, 4}};
    attn__array arrays[2];
    attn__strides strides[2];
    attn__span spans[2];
    int32_t count = 0;
    for (int n = 0; n < 2; n++) {
      float *data = floats + CENTRE + random_between(&source, -70, 70);
      arrays[n] = (attn__array){n ? "query" : "output",        data,
                                dense ? NULL : given[n],       random_between(&source, 1, 3),
                                random_between(&source, 1, 3), random_between(&source, 1, 2),
                                random_between(&source, 1, 4), n == 0};
      assert_true(attn__check_array(&check, &arrays[n], &strides[n]));
      count = attn__check_span(spans, count, &arrays[n], &strides[n]);
      mark(&arrays[n], &strides[n], floats, marks, (unsigned char)(1 << n));
    }
    assert_int_equal(count, 2);
    const int32_t apart = attn__check_apart(&check, spans, count), share = memchr(marks, 3, FLOATS) != NULL;
    if (!apart) assert_true(share);
    if (dense) assert_int_equal(apart, !share);
    refused += !apart;
    dense_rounds += dense;
  }
  assert_true(refused > 0 && dense_rounds > 0);
}

static void test_nothing_has_no_span(void **state) {
  (void)state;
  attn__array array = {"value", sentence, NULL, 3, 0, 2, 4, 0};
  attn__strides strides = {0, 0, 0};
  attn__span spans[1];
  assert_int_equal(attn__check_span(spans, 0, &array, &strides), 0);
  array = (attn__array){"value", NULL, NULL, 3, 1, 2, 4, 0};
  assert_int_equal(attn__check_span(spans, 0, &array, &strides), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_struct_sizes),
      cmocka_unit_test(test_alignment),
      cmocka_unit_test(test_ranges),
      cmocka_unit_test(test_scales),
      cmocka_unit_test(test_long_sentences_are_cut),
      cmocka_unit_test(test_no_overlap_is_accepted),
      cmocka_unit_test(test_apart),
      cmocka_unit_test(test_nothing_has_no_span),
      cmocka_unit_test(test_nested_strides_are_accepted),
      cmocka_unit_test(test_dense_strides),
      cmocka_unit_test(test_strides_of_single_axes_do_not_matter),
      cmocka_unit_test(test_arrays_that_memory_cannot_hold),
      cmocka_unit_test(test_the_farthest_element),
      cmocka_unit_test(test_strides_of_empty_score_arrays),
      cmocka_unit_test(test_empty_arrays_need_no_pointer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
