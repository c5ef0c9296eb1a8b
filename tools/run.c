/* run.c - attn run: attention over arrays in files.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <stddef.h>
#include <stdio.h>

#include "attend.h"
#include "commands.h"
#include "inputs.h"
#include "library.h"
#include "npy.h"
#include "options.h"
#include "progress.h"
#include "refuse.h"
#include "results.h"
#include "variation.h"

static const char usage[] =
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
    "      --qkv FILE             all three in one array, whose first dimension is 3\n";

static const char examples[] = "\n"
                               "Examples\n"
                               "  attn run -q q.npy -k k.npy -v v.npy -o out.npy --causal\n"
                               "  attn run --qkv qkv.npy --weights w.npy --window 256,0 --json\n"
                               "  attn run --qkv qkv.npy --compare expected.npy --tolerance 1e-5 --quiet\n";

const char *const run_help[] = {usage, results_help, variation_help, library_help, examples, NULL};

/* A run: what was asked for, and the arrays. */
typedef struct run {
  inputs inputs;
  results results;
  variation variation;
  npy_array unused; /* takes the output where values have no columns */
  library_options library;
} run;

#define AT(member) offsetof(run, member)

static const option options_table[] = {
    {.name = "--query", .brief = "-q", .kind = OPTION_TEXT, .field = AT(inputs.query_path)},
    {.name = "--key", .brief = "-k", .kind = OPTION_TEXT, .field = AT(inputs.key_path)},
    {.name = "--value", .brief = "-v", .kind = OPTION_TEXT, .field = AT(inputs.value_path)},
    {.name = "--qkv", .kind = OPTION_TEXT, .field = AT(inputs.packed_path)},
    {.table = results_table, .field = AT(results)},
    {.table = variation_table, .field = AT(variation)},
    {.table = library_table, .field = AT(library)},
    {.name = NULL},
};

static int check_options(const run *asked) {
  int code = inputs_check(&asked->inputs);
  if (code == EXIT_OK) code = results_check(&asked->results);
  return code == EXIT_OK ? variation_check(&asked->variation) : code;
}

/* To the library a dim_v of 0 means "as dim": lets it compute something of that size, unused. */
static int take_no_columns(run *asked, attn_args *args) {
  const npy_array *query = &asked->inputs.query;
  args->dim_v = args->dim;
  args->value = args->key;
  args->norm = ATTN_NORM_NONE;
  args->residual = args->norm_gain = args->norm_shift = NULL;
  int code = npy_make(&asked->unused, "the output", query->rank, query->shape);
  args->output = asked->unused.floats;
  return code;
}

static int make_args(run *asked, attn_args *args) {
  npy_shape rows = inputs_rows(&asked->inputs);
  npy_shape output = inputs_output(&asked->inputs);
  *args = inputs_args(&asked->inputs);
  int code = results_make(&asked->results, &rows, args->len_k, &output);
  if (code == EXIT_OK) code = variation_apply(&asked->variation, &rows, &output, args);
  if (code != EXIT_OK) return code;
  results_apply(&asked->results, args);
  args->output = asked->results.arrays[RESULT_OUTPUT].floats;
  return args->dim_v == 0 ? take_no_columns(asked, args) : EXIT_OK;
}

static void report_json(const run *asked, const attn_info *info, const attn_plan *plan, double flops,
                        double seconds) {
  const npy_array *arrays[] = {&asked->inputs.query, &asked->inputs.key, &asked->inputs.value,
                               &asked->results.arrays[RESULT_OUTPUT]};
  static const char *const names[] = {"query", "key", "value", "output"};
  for (int i = 0; i < 4; i++) {
    printf(i == 0 ? "{\n  " : ",\n  ");
    npy_json_shape(names[i], arrays[i]);
  }
  library_json(info, plan, flops, seconds);
}

static void print_arrays(const run *asked) {
  npy_print_shape("query", &asked->inputs.query);
  npy_print_shape("key", &asked->inputs.key);
  npy_print_shape("value", &asked->inputs.value);
  npy_print_shape("output", &asked->results.arrays[RESULT_OUTPUT]);
}

static int run_through(run *asked, attn_context *context, const attn_info *info) {
  attn_args args;
  int code = make_args(asked, &args);
  if (code == EXIT_OK) code = results_check_files(&asked->results);
  if (code != EXIT_OK) return code;
  attn_plan plan;
  double seconds;
  bool quiet = asked->results.quiet;
  code = attend(context, &args, progress_is_visible() && !quiet, &plan, &seconds);
  if (code == EXIT_OK) code = results_write(&asked->results);
  if (code != EXIT_OK) return code;
  if (asked->results.json) {
    report_json(asked, info, &plan, attend_flops(&args), seconds);
  } else if (!quiet) {
    print_arrays(asked);
    library_report(info, &plan, attend_flops(&args), seconds);
  }
  code = results_compare(&asked->results);
  if (asked->results.json) printf("\n}\n");
  return code;
}

int run_command(char **arguments) {
  run asked = {0};
  int code = options_read(options_table, &asked, arguments, NULL);
  if (code == EXIT_OK) code = check_options(&asked);
  if (code == EXIT_OK) code = inputs_read(&asked.inputs);
  attn_context *context = NULL;
  attn_info info;
  if (code == EXIT_OK) code = library_open(&context, &info, &asked.library);
  if (code == EXIT_OK) code = run_through(&asked, context, &info);
  attn_destroy(context);
  inputs_free(&asked.inputs);
  results_free(&asked.results);
  variation_free(&asked.variation);
  npy_free(&asked.unused);
  return code;
}
