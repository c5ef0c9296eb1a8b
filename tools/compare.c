/* compare.c - how far a result is from what was expected.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "compare.h"

#include <math.h>
#include <stddef.h>

#include "refuse.h"

int compare_load(comparison *wanted, const npy_array *got) {
  if (wanted->path == NULL) return EXIT_OK;
  int code = npy_read(&wanted->expected, NPY_FLOATS, wanted->path);
  if (code != EXIT_OK) return code;
  return npy_expect(&wanted->expected, wanted->path, "the result's shape", got->rank, got->shape);
}

static double difference(double a, double b) {
  if (a == b || (isnan(a) && isnan(b))) return 0.0;
  double error = fabs(a - b);
  return isnan(error) ? (double)INFINITY : error;
}

double compare_error(const comparison *wanted, const npy_array *got) {
  double worst = 0.0;
  for (int64_t i = 0; i < got->count; i++)
    worst = fmax(worst, difference((double)got->floats[i], (double)wanted->expected.floats[i]));
  return worst;
}

int compare_judge(const comparison *wanted, double error) {
  if (!wanted->has_tolerance || error <= wanted->tolerance) return EXIT_OK;
  return refuse(EXIT_DIFFERENT, "%s: expected a maximum absolute error of at most %.4g, got %.4g",
                wanted->path, wanted->tolerance, error);
}
