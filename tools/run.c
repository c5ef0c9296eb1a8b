/* run.c - attn run: attention over arrays in files.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "attend.h"
#include "commands.h"
#include "compare.h"
#include "file.h"
#include "inputs.h"
#include "library.h"
#include "npy.h"
#include "options.h"
#include "progress.h"
#include "refuse.h"
#include "variation.h"

const char run_help[] =
    "Usage: attn run -q Q.npy -k K.npy -v V.npy [-o OUT.npy] [options]\n"
    "       attn run --qkv PACKED.npy [-o OUT.npy] [options]\n"
    "\n"
    "Computes softmax(scale * query key^T) value and reports the time it took, and a speed that counts\n"
    "the keys that each query sees by its position, whatever masks and biases say.\n"
    "\n"
    "Arrays are .npy files of little-endian float32 in C order:\n"
    "  N x D, heads x N x D or batch x heads x N x D; all with as many dimensions as the query.\n"
    "  Key and value may have fewer heads than the query (grouped queries), and any other N;\n"
    "  the value may have another D. The output has the query's shape, with the value's D.\n"
    "\n"
    "Input\n"
    "  -q, --query FILE           the queries\n"
    "  -k, --key FILE             the keys\n"
    "  -v, --value FILE           the values\n"
    "      --qkv FILE             all three in one array, whose first dimension is 3\n"
    "\n"
    "Output (complete or not there at all; add --quiet where one goes to /dev/stdout)\n"
    "  -o, --output FILE          the output\n"
    "      --weights FILE         the weights, ... x queries x keys\n"
    "      --lse FILE             the log-sum-exp of each row of scores, ... x queries\n"
    "      --scores FILE          the scores, ... x queries x keys\n"
    "      --scores-stage N       0: scale * (q . k); 1: after the softcap; 2: after all that changes or\n"
    "                             masks them (default: 0)\n"
    "  --quiet                    no report, only errors\n"
    "\n"
    "Scores, in this order\n"
    "  --scale X                  what they are multiplied by (default: 1 / sqrt(D))\n"
    "  --softcap X                makes them X * tanh(score / X)\n"
    "  --bias FILE                adds numbers of a shape that broadcasts to batch x heads x queries x\n"
    "                             keys; -infinity masks\n"
    "  --alibi                    adds -slope * |p - j|, with the standard slopes\n"
    "  --alibi-slopes FILE        the same with a slope for each head of the query\n"
    "  --sinks FILE               a score for each head of the query, of no key, in the softmax only\n"
    "\n"
    "What a query sees (query i is at position p = i + offset among the keys j; all rules compose)\n"
    "  --offset N                 that offset (default: 0)\n"
    "  --causal                   only if j <= p\n"
    "  --window L,R               only if p - L <= j <= p + R; -1: no limit\n"
    "  --window-prefix N          the first N keys are inside every window\n"
    "  --window-dilation N        of the window only each Nth key from p, and it is N times as wide\n"
    "  --mask FILE                bool or uint8, broadcast like the bias: 1 is seen, 0 is masked\n"
    "  --kv-lengths FILE          how many keys each batch entry has: int32, int64 or float32\n"
    "  --query-lengths FILE       how many queries\n"
    "\n"
    "Luong's local-p (with --window: the window's middle is a real number c instead of p)\n"
    "  --local-p FILE             c for each query, in the shape of the LSE\n"
    "  --predict-w FILE           c = keys * sigmoid(v . tanh(W q)): W, any number of rows x D\n"
    "  --predict-v FILE           v, one number for each row of W\n"
    "  --sigma X                  weights are multiplied by exp(-(j - c)^2 / (2 X^2)) (default: L / 2)\n"
    "\n"
    "Comparison (exit code 1 if an error is above its tolerance; NaN equals NaN)\n"
    "  --compare FILE             report the output's maximum absolute error against FILE\n"
    "  --tolerance X              the largest that passes\n"
    "  --compare-weights FILE     the same for the weights\n"
    "  --weights-tolerance X\n"
    "\n"
    "Library\n"
    "  --threads N                0 to 1024 (default: 0, one for each CPU)\n"
    "  --engine auto|blas         who multiplies matrices\n"
    "  --isa auto|reference|avx2|avx512\n"
    "                             the highest instruction set to use\n";

enum { OUTPUT, WEIGHTS, LSE, SCORES, RESULTS };

/* A run: what was asked for, and the arrays. */
typedef struct run {
  inputs inputs;
  variation variation;
  const char *paths[RESULTS]; /* where results are written; NULL: nowhere */
  npy_array results[RESULTS]; /* those that somebody wants, and the output */
  npy_array unused;           /* takes the output where values have no columns */
  comparison compare, compare_weights;
  double scale;
  bool has_scale, has_stage, quiet;
  int64_t stage;
  library_options library;
} run;

/* ---- options */

#define AT(member) offsetof(run, member)

static const option options_table[] = {
    {.name = "--query", .brief = "-q", .kind = OPTION_TEXT, .field = AT(inputs.query_path)},
    {.name = "--key", .brief = "-k", .kind = OPTION_TEXT, .field = AT(inputs.key_path)},
    {.name = "--value", .brief = "-v", .kind = OPTION_TEXT, .field = AT(inputs.value_path)},
    {.name = "--qkv", .kind = OPTION_TEXT, .field = AT(inputs.packed_path)},
    {.name = "--output", .brief = "-o", .kind = OPTION_TEXT, .field = AT(paths[OUTPUT])},
    {.name = "--weights", .kind = OPTION_TEXT, .field = AT(paths[WEIGHTS])},
    {.name = "--lse", .kind = OPTION_TEXT, .field = AT(paths[LSE])},
    {.name = "--scores", .kind = OPTION_TEXT, .field = AT(paths[SCORES])},
    {.name = "--scores-stage",
     .kind = OPTION_INTEGER,
     .field = AT(stage),
     .given = AT(has_stage),
     .high = 2},
    {.name = "--quiet", .kind = OPTION_FLAG, .field = AT(quiet)},
    {.name = "--scale", .kind = OPTION_NUMBER, .field = AT(scale), .given = AT(has_scale)},
    {.name = "--softcap", .kind = OPTION_POSITIVE, .field = AT(variation.softcap)},
    {.name = "--bias", .kind = OPTION_TEXT, .field = AT(variation.paths[VARIATION_BIAS])},
    {.name = "--alibi-slopes", .kind = OPTION_TEXT, .field = AT(variation.paths[VARIATION_SLOPES])},
    {.name = "--sinks", .kind = OPTION_TEXT, .field = AT(variation.paths[VARIATION_SINKS])},
    {.name = "--mask", .kind = OPTION_TEXT, .field = AT(variation.paths[VARIATION_MASK])},
    {.name = "--kv-lengths", .kind = OPTION_TEXT, .field = AT(variation.paths[VARIATION_LENGTHS_K])},
    {.name = "--query-lengths", .kind = OPTION_TEXT, .field = AT(variation.paths[VARIATION_LENGTHS_Q])},
    {.name = "--local-p", .kind = OPTION_TEXT, .field = AT(variation.paths[VARIATION_CENTERS])},
    {.name = "--predict-w", .kind = OPTION_TEXT, .field = AT(variation.paths[VARIATION_MATRIX])},
    {.name = "--predict-v", .kind = OPTION_TEXT, .field = AT(variation.paths[VARIATION_VECTOR])},
    {.name = "--alibi", .kind = OPTION_FLAG, .field = AT(variation.alibi)},
    {.name = "--sigma", .kind = OPTION_POSITIVE, .field = AT(variation.sigma)},
    {.name = "--causal", .kind = OPTION_FLAG, .field = AT(variation.causal)},
    {.name = "--offset",
     .kind = OPTION_INTEGER,
     .field = AT(variation.offset),
     .low = INT64_MIN,
     .high = INT64_MAX},
    {.name = "--window",
     .kind = OPTION_PAIR,
     .field = AT(variation.window),
     .given = AT(variation.has_window),
     .low = -1,
     .high = INT64_MAX},
    {.name = "--window-prefix", .kind = OPTION_INTEGER, .field = AT(variation.prefix), .high = INT64_MAX},
    {.name = "--window-dilation",
     .kind = OPTION_INTEGER,
     .field = AT(variation.dilation),
     .low = 1,
     .high = INT64_MAX},
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
    {.name = "--threads",
     .kind = OPTION_INTEGER,
     .field = AT(library.threads),
     .high = LIBRARY_MAX_THREADS},
    {.name = "--engine", .kind = OPTION_WORD, .field = AT(library.engine), .words = library_engines},
    {.name = "--isa", .kind = OPTION_WORD, .field = AT(library.isa), .words = library_isas},
    {.name = NULL},
};

static int check_options(const run *asked) {
  const comparison *compare = &asked->compare;
  const comparison *compare_weights = &asked->compare_weights;
  const option_rule rules[] = {
      {asked->has_stage && asked->paths[SCORES] == NULL, "--scores-stage", "--scores"},
      {compare->has_tolerance && compare->path == NULL, "--tolerance", "--compare"},
      {compare_weights->has_tolerance && compare_weights->path == NULL, "--weights-tolerance",
       "--compare-weights"},
      {.name = NULL},
  };
  for (int i = 0; i < RESULTS; i++)
    for (int j = 0; j < i; j++)
      if (asked->paths[i] != NULL && asked->paths[j] != NULL &&
          strcmp(asked->paths[i], asked->paths[j]) == 0)
        return refuse(EXIT_USAGE, "%s: expected a file of its own for each output", asked->paths[i]);
  int code = inputs_check(&asked->inputs);
  if (code == EXIT_OK) code = options_agree(rules);
  return code == EXIT_OK ? variation_check(&asked->variation) : code;
}

/* ---- work */

/* Makes the arrays of results that somebody wants, and loads what they are to be compared with. */
static int make_results(run *asked) {
  static const char *const names[] = {"the output", "the weights", "the LSE", "the scores"};
  const npy_array *query = &asked->inputs.query;
  attn_args sizes = inputs_args(&asked->inputs);
  const int64_t widths[] = {sizes.dim_v, sizes.len_k, 0, sizes.len_k};
  int code = EXIT_OK;
  for (int i = 0; i < RESULTS && code == EXIT_OK; i++) {
    bool compared = i == WEIGHTS && asked->compare_weights.path != NULL;
    if (i != OUTPUT && asked->paths[i] == NULL && !compared) continue;
    int64_t shape[NPY_MAX_RANK];
    memcpy(shape, query->shape, sizeof shape);
    shape[query->rank - 1] = widths[i];
    code = npy_make(&asked->results[i], names[i], i == LSE ? query->rank - 1 : query->rank, shape);
  }
  if (code == EXIT_OK && sizes.dim_v == 0)
    code = npy_make(&asked->unused, "the output", query->rank, query->shape);
  if (code == EXIT_OK) code = compare_load(&asked->compare, &asked->results[OUTPUT]);
  return code == EXIT_OK ? compare_load(&asked->compare_weights, &asked->results[WEIGHTS]) : code;
}

static int make_args(run *asked, attn_args *args) {
  *args = inputs_args(&asked->inputs);
  args->has_scale = asked->has_scale;
  args->scale = (float)asked->scale;
  args->output = asked->results[OUTPUT].floats;
  args->weights = asked->results[WEIGHTS].floats;
  args->lse = asked->results[LSE].floats;
  args->scores = asked->results[SCORES].floats;
  args->scores_stage = (int32_t)asked->stage;
  if (args->dim_v == 0) { /* to the library 0 means "as dim": compute something of that size, unused */
    args->dim_v = args->dim;
    args->value = args->key;
    args->output = asked->unused.floats;
  }
  return variation_apply(&asked->variation, &asked->inputs.query, args);
}

static int check_files(const run *asked) {
  int code = EXIT_OK;
  for (int i = 0; i < RESULTS && code == EXIT_OK; i++)
    if (asked->paths[i] != NULL) code = file_check(asked->paths[i]);
  return code;
}

static int write_results(const run *asked) {
  int code = EXIT_OK;
  for (int i = 0; i < RESULTS && code == EXIT_OK; i++)
    if (asked->paths[i] != NULL) code = npy_write(&asked->results[i], asked->paths[i]);
  return code;
}

static void print_array(const char *name, const npy_array *array) {
  char text[NPY_SHAPE_TEXT];
  printf("%-8s %s\n", name, npy_shape_text(text, array->rank, array->shape));
}

static void print_report(const run *asked, const attn_info *info, const char *engine, double flops,
                         double seconds) {
  print_array("query", &asked->inputs.query);
  print_array("key", &asked->inputs.key);
  print_array("value", &asked->inputs.value);
  print_array("output", &asked->results[OUTPUT]);
  printf("engine   %s (%s, %s, %s)\n", engine, info->blas, info->blas_flavor, info->blas_core);
  printf("isa      %s\n", info->isa);
  printf("threads  %" PRId64 "\n", info->threads);
  printf("time     %.6f s\n", seconds);
  printf("speed    %.2f GFLOP/s\n", seconds > 0.0 ? flops / seconds * 1e-9 : 0.0);
  if (info->warning[0] != '\0') printf("warning  %s\n", info->warning);
}

/* Reports both comparisons; the first that fails has the sentence. */
static int compare_results(const run *asked) {
  const comparison *comparisons[] = {&asked->compare, &asked->compare_weights};
  const npy_array *results[] = {&asked->results[OUTPUT], &asked->results[WEIGHTS]};
  static const char *const names[] = {"output", "weights"};
  int code = EXIT_OK;
  for (int i = 0; i < 2; i++) {
    if (comparisons[i]->path == NULL) continue;
    double error = compare_error(comparisons[i], results[i]);
    if (!asked->quiet) printf("error    %.6g (%s, maximum absolute)\n", error, names[i]);
    if (code == EXIT_OK) code = compare_judge(comparisons[i], error);
  }
  return code;
}

static int run_through(run *asked, attn_context *context, const attn_info *info) {
  attn_args args;
  int code = make_results(asked);
  if (code == EXIT_OK) code = make_args(asked, &args);
  if (code == EXIT_OK) code = check_files(asked);
  if (code != EXIT_OK) return code;
  attn_plan plan;
  double seconds;
  code = attend(context, &args, progress_is_visible() && !asked->quiet, &plan, &seconds);
  if (code == EXIT_OK) code = write_results(asked);
  if (code != EXIT_OK) return code;
  if (!asked->quiet) print_report(asked, info, plan.engine, attend_flops(&args), seconds);
  return compare_results(asked);
}

static void free_arrays(run *asked) {
  inputs_free(&asked->inputs);
  variation_free(&asked->variation);
  for (int i = 0; i < RESULTS; i++) npy_free(&asked->results[i]);
  npy_free(&asked->unused);
  npy_free(&asked->compare.expected);
  npy_free(&asked->compare_weights.expected);
}

int run_command(char **arguments) {
  run asked = {.quiet = false};
  int code = options_read(options_table, &asked, arguments, NULL);
  if (code == EXIT_OK) code = check_options(&asked);
  if (code == EXIT_OK) code = inputs_read(&asked.inputs);
  attn_context *context = NULL;
  attn_info info;
  if (code == EXIT_OK) code = library_open(&context, &info, &asked.library);
  if (code == EXIT_OK) code = run_through(&asked, context, &info);
  attn_destroy(context);
  free_arrays(&asked);
  return code;
}
