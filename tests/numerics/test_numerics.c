/* test_numerics.c - the error of the output by the number of keys and the size of the scores, for each engine and
 * instruction set: at or below that of unfused float32, and not growing. ATTN_TEST_LONG=1 goes on to 262144 keys.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Prints the table of docs/numerics.md.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "error.h"

enum {
  SCORES = 1 << 18,
  FEWEST_ROWS = 128, /* as many as thirds are made for */
  SHORT = 3
}; /* queries times keys, about; lengths in the short form */

static const int64_t lengths[] = {128, 1024, 8192, 65536, 262144};

static const struct {
  const char *name;
  int32_t engine, isa;
} ours[] = {
    {"builtin, AVX2", ATTN_ENGINE_BUILTIN, ATTN_ISA_AVX2},
    {"builtin, AVX-512", ATTN_ENGINE_BUILTIN, ATTN_ISA_AVX512},
    {"builtin, AMX", ATTN_ENGINE_BUILTIN, ATTN_ISA_AMX},
    {"builtin, reference", ATTN_ENGINE_BUILTIN, ATTN_ISA_REFERENCE},
    {"BLAS, AVX2", ATTN_ENGINE_BLAS, ATTN_ISA_AVX2},
    {"BLAS, reference", ATTN_ENGINE_BLAS, ATTN_ISA_REFERENCE},
};

/* What the error of an output comes from by chance differs from one order of summation to another. */
static const double chance = 1.25;

static size_t length_count(void) {
  const char *set = getenv("ATTN_TEST_LONG");
  return set && *set == '1' ? COUNT_OF(lengths) : SHORT;
}

static void print_row(const error_case *c, double sigma, const char *name, error_found found) {
  printf("| %ld | %g | %s | %.1e | %.1e |\n", (long)c->len, sigma, name, found.largest, found.mean);
}

/* The errors of ours at one length, whose means become those of the shortest if there are none yet. */
static void check_length(int64_t len, double sigma, double shortest[COUNT_OF(ours)]) {
  const int64_t rows = SCORES / len > FEWEST_ROWS ? SCORES / len : FEWEST_ROWS;
  error_case c;
  error_found found;
  error_open(&c, rows, len, sigma);
  const error_found unfused = error_of_unfused(&c);
  print_row(&c, sigma, "unfused", unfused);
  if (error_of_onnx(&c, &found)) print_row(&c, sigma, "ONNX Runtime", found);
  for (size_t n = 0; n < COUNT_OF(ours); n++) {
    if (!error_of_attn(&c, ours[n].engine, ours[n].isa, &found)) continue;
    print_row(&c, sigma, ours[n].name, found);
    assert_true(found.mean <= chance * unfused.mean && found.largest <= chance * unfused.largest);
    if (shortest[n] == 0) shortest[n] = found.mean;
    assert_true(found.mean <= shortest[n]);
  }
  error_close(&c);
}

static void check_lengths(double sigma) {
  double shortest[COUNT_OF(ours)] = {0};
  for (size_t n = 0; n < length_count(); n++) check_length(lengths[n], sigma, shortest);
}

static void test_small_scores(void **state) {
  (void)state;
  check_lengths(1);
}

/* The largest of N scores is about sigma * sqrt(2 ln N), and its rounding grows with it, but not what is left of it. */
static void test_large_scores(void **state) {
  (void)state;
  check_lengths(8);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_small_scores),
      cmocka_unit_test(test_large_scores),
  };
  printf("| keys | sigma | by | largest error | mean |\n|---|---|---|---|---|\n");
  return cmocka_run_group_tests(tests, NULL, NULL);
}
