/* compare.h - how far a result is from what was expected.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TOOL_COMPARE_H
#define ATTN_TOOL_COMPARE_H

#include <stdbool.h>

#include "npy.h"

/* One comparison of a run. Without a path there is nothing to compare. */
typedef struct comparison {
  const char *path; /* the file with the expected numbers; NULL: none */
  bool has_tolerance;
  double tolerance; /* the largest absolute error that passes */
  npy_array expected;
} comparison;

/* Reads what is expected of an array of got's shape. Returns EXIT_OK, or reports the error. */
int compare_load(comparison *wanted, const npy_array *got);

/* The maximum absolute difference; infinity where a NaN or an infinity is on one side only. */
double compare_error(const comparison *wanted, const npy_array *got);

/* Returns EXIT_OK, or reports that error is above the tolerance and returns EXIT_DIFFERENT. */
int compare_judge(const comparison *wanted, double error);

#endif
