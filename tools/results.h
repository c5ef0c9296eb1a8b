/* results.h - what a command computes: where it is written, and what it is compared with.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Functions that return int return EXIT_OK, or report the error and return its exit code. */
#ifndef ATTN_TOOL_RESULTS_H
#define ATTN_TOOL_RESULTS_H

#include <attn/attn.h>
#include <stdbool.h>

#include "compare.h"
#include "npy.h"
#include "options.h"

enum { RESULT_OUTPUT, RESULT_WEIGHTS, RESULT_LSE, RESULT_SCORES, RESULTS };

typedef struct results {
  const char *paths[RESULTS]; /* where each is written; NULL: nowhere */
  npy_array arrays[RESULTS];  /* those that somebody wants, and the output */
  comparison compare, compare_weights;
  bool has_stage, quiet, json;
  int64_t stage;
} results;

/* The options for that struct, and their help. */
extern const option results_table[];
extern const char results_help[];

/* Checks that the options agree. */
int results_check(const results *wanted);

/* Makes the arrays, and loads what they are to be compared with. rows is the shape of the rows of scores,
 * ... x queries. */
int results_make(results *wanted, const npy_shape *rows, int64_t len_k, const npy_shape *output);

/* Sets the fields of args for all results but the output. */
void results_apply(const results *wanted, attn_args *args);

/* Says whether results_write() would work, so that long work is not done in vain. */
int results_check_files(const results *wanted);

int results_write(const results *wanted);

/* Reports the comparisons, as fields of a JSON object if the report is one; EXIT_DIFFERENT if an error is above its tolerance. */
int results_compare(const results *wanted);

void results_free(results *wanted);

#endif
