/* test_flavor.c - that the loader gave this process the BLAS flavour that the test run is meant for, and that a context says
 * so where BLAS runs kernels for an older CPU.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "support.h"

static void test_flavor(void **state) {
  (void)state;
  const char *wanted = getenv("ATTN_TEST_FLAVOR");
  attn_context *context = context_with_threads(2);
  attn_info info = {.size = sizeof info};
  assert_int_equal(attn_describe(context, &info), ATTN_OK);
  if (wanted) assert_string_equal(info.blas_flavor, wanted);
  attn_destroy(context);
}

static void test_kernels_for_an_older_cpu(void **state) {
  (void)state;
  const char *core = getenv("OPENBLAS_CORETYPE");
  const attn_options options = {.size = sizeof options, .engine = ATTN_ENGINE_BLAS};
  attn_context *context = context_with_threads(2), *with_blas;
  attn_info info = {.size = sizeof info};
  assert_int_equal(attn_describe(context, &info), ATTN_OK);
  if (core && strcmp(core, "Prescott") == 0 && strcmp(info.isa, "reference") != 0) {
    assert_int_equal(attn_create(&with_blas, &options), ATTN_OK);
    assert_int_equal(attn_describe(with_blas, &info), ATTN_OK);
    assert_non_null(strstr(info.warning, "Prescott kernels"));
    assert_non_null(strstr(info.warning, "OPENBLAS_CORETYPE="));
    attn_destroy(with_blas);
  }
  attn_destroy(context);
}

/* No better kernels are known for a CPU with AVX-512: the one warning left is of another kind. */
static void test_no_warning_of_the_best_kernels(void **state) {
  (void)state;
  const attn_options options = {.size = sizeof options, .engine = ATTN_ENGINE_BLAS, .threads = 1};
  attn_context *context;
  attn_info info = {.size = sizeof info};
  if (attn_create(&context, &options) != ATTN_OK) skip(); /* built without BLAS */
  assert_int_equal(attn_describe(context, &info), ATTN_OK);
  if (strcmp(info.blas_core, "SkylakeX") == 0) assert_string_equal(info.warning, "");
  attn_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_flavor),
                                     cmocka_unit_test(test_kernels_for_an_older_cpu),
                                     cmocka_unit_test(test_no_warning_of_the_best_kernels)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
