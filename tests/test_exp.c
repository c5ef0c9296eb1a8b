/* test_exp.c - the exp of every kernel table for every float from -0 to -104: within 1 ulp of the truth.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * test_exp part parts [step]: part number part (0, 1, ...) of that many equal parts of the 1.1e9 floats, of
 * which every one, or the first of each step. The truth is the C library's exp in double, whose own error is
 * some 2^-29 ulp of a float.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"
#include "tables.h"

enum { CHUNK = 4096 };

static const uint32_t first_bits = 0x80000000, last_bits = 0xc2d00000; /* -0 and -104 */

static uint64_t begin, end, step = 1; /* of this part */

/* 1 / (the distance of floats next to y), y >= 0. */
static double per_ulp(double y) {
  uint64_t bits;
  memcpy(&bits, &y, sizeof bits);
  const int64_t exponent = (int64_t)(bits >> 52) - 1023;
  const int64_t inverse = 23 - (exponent < -126 ? -126 : exponent);
  bits = (uint64_t)(inverse + 1023) << 52;
  memcpy(&y, &bits, sizeof y);
  return y;
}

typedef struct worst_case {
  double ulps;
  float x;
} worst_case;

static void measure_chunk(const attn__kernels *kernels, const float *x, const double *truth,
                          const double *scale, int64_t count, worst_case *worst) {
  static float out[CHUNK];
  kernels->exp_sum(count, x, 0, out);
  for (int64_t j = 0; j < count; j++) {
    const double ulps = fabs((double)out[j] - truth[j]) * scale[j];
    if (!(ulps <= worst->ulps)) *worst = (worst_case){ulps, x[j]};
  }
}

static void test_every_float(void **state) {
  (void)state;
  static float x[CHUNK];
  static double truth[CHUNK], scale[CHUNK];
  const attn__kernels *tables[MOST_TABLES];
  const int table_count = tables_here(tables);
  worst_case worst[MOST_TABLES] = {{0, 0}};
  for (uint64_t chunk = begin; chunk < end; chunk += CHUNK * step) {
    const int64_t rest = (int64_t)((end - chunk + step - 1) / step), count = rest < CHUNK ? rest : CHUNK;
    for (int64_t j = 0; j < count; j++) {
      x[j] = float_of((uint32_t)(chunk + (uint64_t)j * step));
      truth[j] = exp((double)x[j]);
      scale[j] = per_ulp(truth[j]);
    }
    for (int t = 0; t < table_count; t++) measure_chunk(tables[t], x, truth, scale, count, &worst[t]);
  }
  for (int t = 0; t < table_count; t++) {
    printf("%s: at most %.6f ulp, at %a\n", tables[t]->name, worst[t].ulps, (double)worst[t].x);
    assert_true(worst[t].ulps <= 1);
  }
}

/* What lies below -104 is 0. */
static void test_underflow(void **state) {
  (void)state;
  const float x[] = {-104.5f, -105, -150, -1e4f, -1e10f, -0x1.fffffep127f, -INFINITY};
  const attn__kernels *tables[MOST_TABLES];
  const int table_count = tables_here(tables);
  float out[COUNT_OF(x)];
  for (int t = 0; t < table_count; t++) {
    assert_true(tables[t]->exp_sum(COUNT_OF(x), x, 0, out) == 0);
    for (size_t j = 0; j < COUNT_OF(x); j++) assert_int_equal(bits_of(out[j]), 0);
  }
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_float), cmocka_unit_test(test_underflow)};
  const uint64_t part = argc > 2 ? strtoull(argv[1], NULL, 10) : 0;
  const uint64_t parts = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  const uint64_t count = last_bits - first_bits + 1;
  begin = first_bits + count * part / parts;
  end = first_bits + count * (part + 1) / parts;
  if (argc > 3) step = strtoull(argv[3], NULL, 10);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
