/* test_npy.c - npy.[ch] against valid, hostile, truncated and mutated files.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _XOPEN_SOURCE 700
#include "npy.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "refuse.h"

/* The file under test, and the last sentence: this refuse() stands in for that of refuse.c. */
static char path[] = "test_npy-XXXXXX";
static char sentence[8192];

int refuse(int code, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(sentence, sizeof sentence, format, arguments);
  va_end(arguments);
  return code;
}

typedef struct bytes {
  unsigned char data[4096];
  size_t size;
} bytes;

static void append(bytes *file, const void *data, size_t size) {
  assert_true(file->size + size <= sizeof file->data);
  memcpy(file->data + file->size, data, size);
  file->size += size;
}

/* A file of that version, header text and numbers 0, 1, 2, ... */
static bytes make_file(int version, const char *header, int numbers) {
  bytes file = {.size = 0};
  const unsigned char length[] = {(unsigned char)strlen(header), (unsigned char)(strlen(header) >> 8), 0,
                                  0};
  append(&file, "\x93NUMPY", 6);
  append(&file, (unsigned char[]){(unsigned char)version, 0}, 2);
  append(&file, length, version == 1 ? 2 : 4);
  append(&file, header, strlen(header));
  for (int i = 0; i < numbers; i++) append(&file, &(float){(float)i}, sizeof(float));
  return file;
}

static int read_kind(const bytes *file, npy_kind kind, npy_array *array) {
  int descriptor = open(path, O_WRONLY); /* not O_TRUNC: some file systems then write to disk at once */
  assert_true(descriptor >= 0);
  assert_int_equal(write(descriptor, file->data, file->size), file->size);
  assert_int_equal(ftruncate(descriptor, (off_t)file->size), 0);
  assert_int_equal(close(descriptor), 0);
  sentence[0] = '\0';
  return npy_read(array, kind, path);
}

static int read_bytes(const bytes *file, npy_array *array) {
  return read_kind(file, NPY_FLOATS, array);
}

/* Reads a file that must be refused with words in its sentence. */
static void expect_kind_refusal(const bytes *file, npy_kind kind, const char *words) {
  npy_array array;
  assert_int_equal(read_kind(file, kind, &array), EXIT_FILE);
  assert_null(array.data);
  assert_int_equal(array.count, 0);
  if (strstr(sentence, words) == NULL) fail_msg("expected '%s' in '%s'", words, sentence);
  assert_non_null(strstr(sentence, path));
}

static void expect_refusal(const bytes *file, const char *words) {
  expect_kind_refusal(file, NPY_FLOATS, words);
}

static void expect_header_refusal(const char *header, const char *words) {
  bytes file = make_file(1, header, 6);
  expect_refusal(&file, words);
}

/* Reads a 2 x 3 array with that header. */
static void expect_matrix(int version, const char *header) {
  npy_array array;
  bytes file = make_file(version, header, 6);
  assert_int_equal(read_bytes(&file, &array), EXIT_OK);
  assert_int_equal(array.rank, 2);
  assert_int_equal(array.shape[0], 2);
  assert_int_equal(array.shape[1], 3);
  assert_int_equal(array.count, 6);
  for (int i = 0; i < 6; i++) assert_true(array.floats[i] == (float)i);
  npy_free(&array);
  assert_null(array.data);
}

#define MATRIX "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"

static void test_valid_headers(void **state) {
  (void)state;
  for (int version = 1; version <= 3; version++) expect_matrix(version, MATRIX "      \n");
  expect_matrix(1, MATRIX);
  expect_matrix(1, "{'descr':'<f4','fortran_order':False,'shape':(2,3)}");
  expect_matrix(1, "  { \"shape\" : ( 2 , 3 , ) ,\n\t\"fortran_order\" : False, \"descr\" : \"<f4\" }  ");
}

static void test_shapes(void **state) {
  (void)state;
  static const struct {
    const char *shape;
    int rank;
    int count;
  } cases[] = {
      {"()", 0, 1},
      {"(5,)", 1, 5},
      {"(0,)", 1, 0},
      {"(3, 0)", 2, 0},
      {"(1, 1, 1, 1, 1, 1, 1, 2)", 8, 2},
      {"(0, 9223372036854775807)", -1, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char header[200];
    npy_array array;
    snprintf(header, sizeof header, "{'descr': '<f4', 'fortran_order': False, 'shape': %s}",
             cases[i].shape);
    bytes file = make_file(1, header, cases[i].count);
    if (cases[i].rank < 0) {
      expect_refusal(&file, "more numbers than can be counted");
      continue;
    }
    assert_int_equal(read_bytes(&file, &array), EXIT_OK);
    assert_int_equal(array.rank, cases[i].rank);
    assert_int_equal(array.count, cases[i].count);
    assert_non_null(array.data);
    npy_free(&array);
  }
}

static void test_fortran_order(void **state) {
  (void)state;
  npy_array array;
  expect_header_refusal("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}", "Fortran order");
  bytes line = make_file(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 6, 1)}", 6);
  assert_int_equal(read_bytes(&line, &array), EXIT_OK);
  npy_free(&array);
  bytes empty = make_file(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 0, 3)}", 0);
  assert_int_equal(read_bytes(&empty, &array), EXIT_OK);
  npy_free(&array);
}

static void test_types(void **state) {
  (void)state;
  static const char *const types[] = {"'<f8'", "'>f4'", "'|O'",   "'<i4'", "'<f2'",
                                      "'|b1'", "'f4'",  "'<f40'", "''"};
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
    char header[200];
    snprintf(header, sizeof header, "{'descr': %s, 'fortran_order': False, 'shape': (2, 3)}", types[i]);
    expect_header_refusal(header, "expected little-endian float32 ('<f4'), got ");
    expect_header_refusal(header, types[i]);
  }
  expect_header_refusal("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3)}", "structured");
  expect_header_refusal("{'descr': 4, 'fortran_order': False, 'shape': (2, 3)}", "not a type");
  expect_header_refusal("{'descr': 'a type of many letters', 'fortran_order': False, 'shape': (2, 3)}",
                        "not a type");
}

/* A file of one dimension and that type. */
static bytes make_line(const char *descr, const void *numbers, size_t count, size_t size) {
  char header[200];
  snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (%zu,)}", descr, count);
  bytes file = make_file(1, header, 0);
  append(&file, numbers, count * size);
  return file;
}

static void test_flags(void **state) {
  (void)state;
  static const unsigned char numbers[] = {0, 1, 1, 0, 1};
  static const char *const types[] = {"|b1", "|u1"};
  for (size_t i = 0; i < 2; i++) {
    npy_array array;
    bytes file = make_line(types[i], numbers, 5, 1);
    assert_int_equal(read_kind(&file, NPY_FLAGS, &array), EXIT_OK);
    assert_int_equal(array.kind, NPY_FLAGS);
    assert_int_equal(array.count, 5);
    assert_memory_equal(array.flags, numbers, 5);
    npy_free(&array);
    expect_refusal(&file, "expected little-endian float32 ('<f4'), got '|");
    file.data[file.size - 2] = 2;
    expect_kind_refusal(&file, NPY_FLAGS, "expected 0 or 1 everywhere, got another number at index 3");
    file.size--;
    expect_kind_refusal(&file, NPY_FLAGS, "expected 5 bytes of numbers, as its header promises, got 4");
  }
  bytes file = make_line("<f4", (float[]){1, 0}, 2, sizeof(float));
  expect_kind_refusal(&file, NPY_FLAGS, "expected bool ('|b1') or uint8 ('|u1'), got '<f4'");
}

/* Reads numbers of that type, which must become the expected ones. */
static void expect_integers(const char *descr, const void *numbers, size_t size,
                            const int64_t expected[4]) {
  npy_array array;
  bytes file = make_line(descr, numbers, 4, size);
  assert_int_equal(read_kind(&file, NPY_INTEGERS, &array), EXIT_OK);
  assert_int_equal(array.count, 4);
  assert_memory_equal(array.integers, expected, 4 * sizeof *expected);
  npy_free(&array);
}

static void test_integers(void **state) {
  (void)state;
  static const int64_t large[] = {INT64_MIN, -1, 0, INT64_MAX};
  static const int64_t medium[] = {INT32_MIN, -1, 0, INT32_MAX};
  static const int64_t whole[] = {INT64_MIN, -1, 0, 16777216};
  expect_integers("<i8", large, 8, large);
  expect_integers("<i4", (int32_t[]){INT32_MIN, -1, 0, INT32_MAX}, 4, medium);
  expect_integers("<f4", (float[]){-0x1p63f, -1, -0.0f, 16777216}, 4, whole);
  static const float others[] = {0.5f, -1e-30f, 0x1p63f, -0x1.000002p63f, INFINITY, NAN};
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
    bytes file = make_line("<f4", (float[]){3, others[i]}, 2, 4);
    expect_kind_refusal(&file, NPY_INTEGERS,
                        "expected a whole number everywhere, got another number at index 1");
  }
  static const char *const types[] = {"<u4", "<i2", ">i4", ">i8", "|i1", "|b1", "<f8"};
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
    bytes file = make_line(types[i], large, 4, 8);
    expect_kind_refusal(&file, NPY_INTEGERS,
                        "expected little-endian int32, int64 or float32 ('<i4', '<i8' or '<f4'), got '");
  }
}

static void test_numbers_beyond_a_chunk(void **state) {
  (void)state;
  npy_array array;
  enum { COUNT = 40000 };
  FILE *stream = fopen(path, "wb");
  assert_non_null(stream);
  static const char header[] = "{'descr': '|u1', 'fortran_order': False, 'shape': (40000,)}";
  fwrite("\x93NUMPY\x01\x00", 1, 8, stream);
  fputc(sizeof header - 1, stream);
  fputc(0, stream);
  fputs(header, stream);
  for (int i = 0; i < COUNT; i++) fputc(i % 3 == 0, stream);
  assert_int_equal(fclose(stream), 0);
  assert_int_equal(npy_read(&array, NPY_FLAGS, path), EXIT_OK);
  for (int i = 0; i < COUNT; i++) assert_int_equal(array.flags[i], i % 3 == 0);
  npy_free(&array);
}

static void test_expect(void **state) {
  (void)state;
  const npy_array array = {.rank = 2, .shape = {2, 3}, .count = 6};
  assert_int_equal(npy_expect(&array, "x.npy", "the shape", 2, (int64_t[]){2, 3}), EXIT_OK);
  assert_int_equal(npy_expect(&array, "x.npy", "the shape", 2, (int64_t[]){3, 2}), EXIT_FILE);
  assert_string_equal(sentence, "x.npy: expected the shape 3 x 2, got 2 x 3");
  assert_int_equal(npy_expect(&array, "x.npy", "one number:", 1, (int64_t[]){2}), EXIT_FILE);
  assert_string_equal(sentence, "x.npy: expected one number: 2, got 2 x 3");
}

static void test_hostile_shapes(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"(-2, 3)", "negative"},
      {"(-0, 3)", "negative"},
      {"(2, 3, -1)", "negative"},
      {"(9223372036854775808,)", "beyond 2^63 - 1"},
      {"(99999999999999999999999999999999,)", "beyond 2^63 - 1"},
      {"(9223372036854775807,)", "more numbers than can be counted"},
      {"(4294967296, 4294967296)", "more numbers than can be counted"},
      {"(2147483648, 1073741824, 4)", "more numbers than can be counted"},
      {"(1073741824, 536870912)", "as its header promises"},
      {"(2, 4)", "as its header promises"},
      {"(2, 2)", "as its header promises"},
      {"()", "as its header promises"},
      {"(0, 3)", "as its header promises"},
      {"(1, 1, 1, 1, 1, 1, 1, 2, 3)", "more than 8 dimensions"},
      {"(2 3)", "tuple of whole numbers"},
      {"(6)", "tuple of whole numbers"},
      {"(2.0, 3)", "tuple of whole numbers"},
      {"(2,, 3)", "tuple of whole numbers"},
      {"(, 2)", "tuple of whole numbers"},
      {"(2, 3", "tuple of whole numbers"},
      {"(2, 3]", "tuple of whole numbers"},
      {"[2, 3]", "tuple of whole numbers"},
      {"(+2, 3)", "tuple of whole numbers"},
      {"(0x2, 3)", "tuple of whole numbers"},
      {"('2', 3)", "tuple of whole numbers"},
      {"6", "tuple of whole numbers"},
      {"None", "tuple of whole numbers"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char header[200];
    snprintf(header, sizeof header, "{'descr': '<f4', 'fortran_order': False, 'shape': %s}", cases[i][0]);
    expect_header_refusal(header, cases[i][1]);
  }
}

static void test_hostile_dictionaries(void **state) {
  (void)state;
  static const char *const headers[] = {
      "",
      "{",
      "{}",
      "[]",
      "{'descr': '<f4', 'fortran_order': False}",
      "{'descr': '<f4', 'shape': (2, 3)}",
      "{'fortran_order': False, 'shape': (2, 3)}",
      "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'more': 1}",
      "{'descr': '<f4' 'fortran_order': False, 'shape': (2, 3)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} x",
      "{'descr' '<f4', 'fortran_order': False, 'shape': (2, 3)}",
      "{descr: '<f4', 'fortran_order': False, 'shape': (2, 3)}",
      "{'descr",
      "{'descr\": '<f4', 'fortran_order': False, 'shape': (2, 3)}",
  };
  for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
    expect_header_refusal(headers[i], "not a dictionary");
  expect_header_refusal("{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3)}", "neither True nor False");
  bytes file = make_file(1, MATRIX "  ", 6);
  file.data[10 + sizeof MATRIX - 1] = '\0'; /* a zero byte must not end the header early */
  expect_refusal(&file, "not a dictionary");
}

static void test_hostile_starts(void **state) {
  (void)state;
  bytes file = make_file(1, MATRIX, 6);
  file.data[0] = 'P';
  expect_refusal(&file, "signature");
  for (int version = 0; version < 256; version++) {
    file = make_file(1, MATRIX, 6);
    file.data[6] = (unsigned char)version;
    if (version < 1 || version > 3) expect_refusal(&file, "version");
  }
  file = make_file(1, MATRIX, 6);
  file.data[7] = 1;
  expect_refusal(&file, "version");
  file = make_file(2, MATRIX, 6);
  memset(file.data + 8, 0xff, 4); /* a header of 4 GiB */
  expect_refusal(&file, "ends inside its header");
  file = make_file(1, MATRIX, 6);
  file.data[8]--; /* a header one byte short */
  expect_refusal(&file, "not a dictionary");
  file.data[8] += 2; /* one byte of the numbers in the header */
  expect_refusal(&file, "not a dictionary");
}

static void test_long_header(void **state) {
  (void)state;
  size_t length = 70000;
  FILE *stream = fopen(path, "wb");
  assert_non_null(stream);
  fwrite("\x93NUMPY\x02\x00\x70\x11\x01\x00", 1, 12, stream);
  fprintf(stream, "%-*s", (int)length, MATRIX);
  for (int i = 0; i < 24; i++) fputc(0, stream);
  fclose(stream);
  npy_array array;
  assert_int_equal(npy_read(&array, NPY_FLOATS, path), EXIT_FILE);
  assert_non_null(strstr(sentence, "longer than 65535 bytes"));
}

static void test_every_truncation(void **state) {
  (void)state;
  for (int version = 1; version <= 3; version++) {
    bytes file = make_file(version, MATRIX "   \n", 6);
    for (size_t size = 0; size < file.size; size++) {
      bytes part = file;
      part.size = size;
      expect_refusal(&part, "");
    }
    append(&file, "", 1);
    expect_refusal(&file, "as its header promises");
  }
}

/* xorshift64: the same numbers everywhere. */
static uint64_t next_random(uint64_t *seed) {
  *seed ^= *seed << 13;
  *seed ^= *seed >> 7;
  *seed ^= *seed << 17;
  return *seed;
}

static void mutate(bytes *file, uint64_t *seed) {
  static const unsigned char telling[] = "0123456789-(),'{}: <>fTF\"\0\n\xff\x80\x7f";
  uint64_t count = 1 + next_random(seed) % 4;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t at = next_random(seed) % file->size;
    uint64_t kind = next_random(seed) % 4;
    if (kind == 0)
      file->data[at] = (unsigned char)next_random(seed);
    else if (kind == 1)
      file->data[at] = telling[next_random(seed) % (sizeof telling - 1)];
    else if (kind == 2)
      file->data[at] ^= (unsigned char)(1u << next_random(seed) % 8);
    else
      file->size = at + 1;
  }
}

/* Whatever the bytes, the array is whole or there is none. Sanitizers watch the rest. */
static void test_mutations(void **state) {
  (void)state;
  uint64_t seed = 20250707;
  print_message("seed %llu\n", (unsigned long long)seed);
  int accepted = 0;
  for (int i = 0; i < 20000; i++) {
    bytes file = make_file(1 + i % 3, MATRIX "   \n", 6);
    mutate(&file, &seed);
    npy_array array;
    int code = read_kind(&file, i % 2 ? NPY_INTEGERS : NPY_FLOATS, &array);
    if (code == EXIT_OK) {
      int64_t count = 1;
      for (int k = 0; k < array.rank; k++) count *= array.shape[k];
      assert_int_equal(array.count, count);
      assert_true(count * 4 <= (int64_t)file.size);
      accepted++;
    } else {
      assert_int_equal(code, EXIT_FILE);
      assert_null(array.data);
      assert_true(sentence[0] != '\0');
    }
    npy_free(&array);
  }
  assert_true(accepted > 100); /* the mutations reach the numbers and the padding too */
}

static void test_not_a_file(void **state) {
  (void)state;
  npy_array array;
  assert_int_equal(npy_read(&array, NPY_FLOATS, "."), EXIT_FILE);
  assert_int_equal(npy_read(&array, NPY_FLOATS, "/dev/zero"), EXIT_FILE);
  assert_non_null(strstr(sentence, "regular file"));
  assert_int_equal(npy_read(&array, NPY_FLOATS, "no such file"), EXIT_FILE);
  assert_non_null(strstr(sentence, "No such file"));
}

static void test_round_trip(void **state) {
  (void)state;
  static const int64_t shapes[][4] = {{1, 1, 1, 1}, {2, 3, 5, 7}, {3, 100, 100, 2}, {4, 0, 2, 1}};
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
    for (int rank = 0; rank <= 4; rank++) {
      npy_array written;
      npy_array read;
      assert_int_equal(npy_make(&written, "an array", rank, shapes[i]), EXIT_OK);
      for (int64_t k = 0; k < written.count; k++) written.floats[k] = (float)k * -0.1f;
      assert_int_equal(npy_write(&written, path), EXIT_OK);
      assert_int_equal(npy_read(&read, NPY_FLOATS, path), EXIT_OK);
      assert_int_equal(read.rank, rank);
      assert_int_equal(read.count, written.count);
      assert_memory_equal(read.shape, written.shape, sizeof read.shape);
      assert_memory_equal(read.data, written.data, (size_t)read.count * sizeof *read.floats);
      npy_free(&written);
      npy_free(&read);
    }
}

static void test_make_refuses_the_impossible(void **state) {
  (void)state;
  npy_array array;
  const int64_t huge[] = {INT64_MAX, 2};
  assert_int_equal(npy_make(&array, "the weights", 2, huge), EXIT_LIBRARY);
  assert_string_equal(sentence, "not enough memory for the weights of 9223372036854775807 x 2 numbers");
  assert_null(array.data);
}

static int create_file(void **state) {
  (void)state;
  int descriptor = mkstemp(path);
  return descriptor < 0 ? -1 : close(descriptor);
}

static int remove_file(void **state) {
  (void)state;
  return unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_valid_headers),
      cmocka_unit_test(test_shapes),
      cmocka_unit_test(test_fortran_order),
      cmocka_unit_test(test_types),
      cmocka_unit_test(test_flags),
      cmocka_unit_test(test_integers),
      cmocka_unit_test(test_numbers_beyond_a_chunk),
      cmocka_unit_test(test_expect),
      cmocka_unit_test(test_hostile_shapes),
      cmocka_unit_test(test_hostile_dictionaries),
      cmocka_unit_test(test_hostile_starts),
      cmocka_unit_test(test_long_header),
      cmocka_unit_test(test_every_truncation),
      cmocka_unit_test(test_mutations),
      cmocka_unit_test(test_not_a_file),
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_make_refuses_the_impossible),
  };
  return cmocka_run_group_tests(tests, create_file, remove_file);
}
