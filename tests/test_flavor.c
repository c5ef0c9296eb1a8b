/* test_flavor.c - that the loader gave this process the BLAS flavour that the test run is meant for.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

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

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_flavor)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
