/* compare.c - how far a result is from what was expected.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "compare.h"

#include <math.h>
#include <string.h>

#include "refuse.h"

int compare_load(comparison *wanted, const npy_array *got) {
  if (wanted->path == NULL) return EXIT_OK;
  npy_array *expected = &wanted->expected;
  int code = npy_read(expected, wanted->path);
  if (code != EXIT_OK) return code;
  if (expected->rank == got->rank &&
      memcmp(expected->shape, got->shape, (size_t)got->rank * sizeof got->shape[0]) == 0)
    return EXIT_OK;
  char shape[NPY_SHAPE_TEXT];
  char came[NPY_SHAPE_TEXT];
  return refuse(EXIT_FILE, "%s: expected the result's shape %s, got %s", wanted->path,
                npy_shape_text(shape, got->rank, got->shape),
                npy_shape_text(came, expected->rank, expected->shape));
}

static double difference(double a, double b) {
  if (a == b || (isnan(a) && isnan(b))) return 0.0;
  double error = fabs(a - b);
  return isnan(error) ? (double)INFINITY : error;
}

double compare_error(const comparison *wanted, const npy_array *got) {
  double worst = 0.0;
  for (int64_t i = 0; i < got->count; i++)
    worst = fmax(worst, difference((double)got->data[i], (double)wanted->expected.data[i]));
  return worst;
}

int compare_judge(const comparison *wanted, double error) {
  if (!wanted->has_tolerance || error <= wanted->tolerance) return EXIT_OK;
  return refuse(EXIT_DIFFERENT, "%s: expected a maximum absolute error of at most %.4g, got %.4g",
                wanted->path, wanted->tolerance, error);
}
