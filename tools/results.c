/* results.c - what a command computes: where it is written, and what it is compared with.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "results.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "file.h"
#include "refuse.h"

const char results_help[] =
    "\n"
    "Output (complete or not there at all; add --quiet where one goes to /dev/stdout)\n"
    "  -o, --output FILE          the output\n"
    "      --weights FILE         the weights, ... x queries x keys\n"
    "      --lse FILE             the log-sum-exp of each row of scores, ... x queries\n"
    "      --scores FILE          the scores, ... x queries x keys\n"
    "      --scores-stage N       0: scale * (q . k); 1: after the softcap; 2: after all that changes or\n"
    "                             masks them (default: 0)\n"
    "  --quiet                    no report, only errors\n"
    "  --json                     the report as a JSON object\n"
    "\n"
    "Comparison (exit code 1 if an error is above its tolerance; NaN equals NaN)\n"
    "  --compare FILE             report the output's maximum absolute error against FILE\n"
    "  --tolerance X              the largest that passes\n"
    "  --compare-weights FILE     the same for the weights\n"
    "  --weights-tolerance X\n";

#define AT(member) offsetof(results, member)

const option results_table[] = {
    {.name = "--output", .brief = "-o", .kind = OPTION_TEXT, .field = AT(paths[RESULT_OUTPUT])},
    {.name = "--weights", .kind = OPTION_TEXT, .field = AT(paths[RESULT_WEIGHTS])},
    {.name = "--lse", .kind = OPTION_TEXT, .field = AT(paths[RESULT_LSE])},
    {.name = "--scores", .kind = OPTION_TEXT, .field = AT(paths[RESULT_SCORES])},
    {.name = "--scores-stage",
     .kind = OPTION_INTEGER,
     .field = AT(stage),
     .given = AT(has_stage),
     .high = 2},
    {.name = "--quiet", .kind = OPTION_FLAG, .field = AT(quiet)},
    {.name = "--json", .kind = OPTION_FLAG, .field = AT(json)},
    {.name = "--compare", .kind = OPTION_TEXT, .field = AT(compare.path)},
    {.name = "--tolerance",
     .kind = OPTION_MAGNITUDE,
     .field = AT(compare.tolerance),
     .given = AT(compare.has_tolerance)},
    {.name = "--compare-weights", .kind = OPTION_TEXT, .field = AT(compare_weights.path)},
    {.name = "--weights-tolerance",
     .kind = OPTION_MAGNITUDE,
     .field = AT(compare_weights.tolerance),
     .given = AT(compare_weights.has_tolerance)},
    {.name = NULL},
};

int results_check(const results *wanted) {
  const comparison *compare = &wanted->compare;
  const comparison *compare_weights = &wanted->compare_weights;
  const option_rule rules[] = {
      {wanted->json && wanted->quiet, "--json", "no --quiet"},
      {wanted->has_stage && wanted->paths[RESULT_SCORES] == NULL, "--scores-stage", "--scores"},
      {compare->has_tolerance && compare->path == NULL, "--tolerance", "--compare"},
      {compare_weights->has_tolerance && compare_weights->path == NULL, "--weights-tolerance",
       "--compare-weights"},
      {.name = NULL},
  };
  for (int i = 0; i < RESULTS; i++)
    for (int j = 0; j < i; j++)
      if (wanted->paths[i] != NULL && wanted->paths[j] != NULL &&
          strcmp(wanted->paths[i], wanted->paths[j]) == 0)
        return refuse(EXIT_USAGE, "%s: expected a file of its own for each output", wanted->paths[i]);
  return options_agree(rules);
}

/* The shape of each result. */
static npy_shape shape_of(int result, const npy_shape *rows, int64_t len_k, const npy_shape *output) {
  npy_shape shape = result == RESULT_OUTPUT ? *output : *rows;
  if (result == RESULT_WEIGHTS || result == RESULT_SCORES) shape.lengths[shape.rank++] = len_k;
  return shape;
}

int results_make(results *wanted, const npy_shape *rows, int64_t len_k, const npy_shape *output) {
  static const char *const names[] = {"the output", "the weights", "the LSE", "the scores"};
  int code = EXIT_OK;
  for (int i = 0; i < RESULTS && code == EXIT_OK; i++) {
    bool compared = i == RESULT_WEIGHTS && wanted->compare_weights.path != NULL;
    if (i != RESULT_OUTPUT && wanted->paths[i] == NULL && !compared) continue;
    npy_shape shape = shape_of(i, rows, len_k, output);
    code = npy_make(&wanted->arrays[i], names[i], shape.rank, shape.lengths);
  }
  if (code == EXIT_OK) code = compare_load(&wanted->compare, &wanted->arrays[RESULT_OUTPUT]);
  if (code == EXIT_OK) code = compare_load(&wanted->compare_weights, &wanted->arrays[RESULT_WEIGHTS]);
  return code;
}

void results_apply(const results *wanted, attn_args *args) {
  args->weights = wanted->arrays[RESULT_WEIGHTS].floats;
  args->lse = wanted->arrays[RESULT_LSE].floats;
  args->scores = wanted->arrays[RESULT_SCORES].floats;
  args->scores_stage = (int32_t)wanted->stage;
}

int results_check_files(const results *wanted) {
  int code = EXIT_OK;
  for (int i = 0; i < RESULTS && code == EXIT_OK; i++)
    if (wanted->paths[i] != NULL) code = file_check(wanted->paths[i]);
  return code;
}

int results_write(const results *wanted) {
  int code = EXIT_OK;
  for (int i = 0; i < RESULTS && code == EXIT_OK; i++)
    if (wanted->paths[i] != NULL) code = npy_write(&wanted->arrays[i], wanted->paths[i]);
  return code;
}

/* JSON has neither infinity nor NaN. */
static void report_error(const results *wanted, const char *name, double error) {
  if (wanted->json && isfinite(error))
    printf(",\n  \"%s_error\": %.9g", name, error);
  else if (wanted->json)
    printf(",\n  \"%s_error\": null", name);
  else if (!wanted->quiet)
    printf("error    %.6g (%s, maximum absolute)\n", error, name);
}

/* Where both comparisons fail, the first has the sentence. */
int results_compare(const results *wanted) {
  const comparison *comparisons[] = {&wanted->compare, &wanted->compare_weights};
  const npy_array *arrays[] = {&wanted->arrays[RESULT_OUTPUT], &wanted->arrays[RESULT_WEIGHTS]};
  static const char *const names[] = {"output", "weights"};
  int code = EXIT_OK;
  for (int i = 0; i < 2; i++) {
    if (comparisons[i]->path == NULL) continue;
    double error = compare_error(comparisons[i], arrays[i]);
    report_error(wanted, names[i], error);
    if (code == EXIT_OK) code = compare_judge(comparisons[i], error);
  }
  return code;
}

void results_free(results *wanted) {
  for (int i = 0; i < RESULTS; i++) npy_free(&wanted->arrays[i]);
  npy_free(&wanted->compare.expected);
  npy_free(&wanted->compare_weights.expected);
}
