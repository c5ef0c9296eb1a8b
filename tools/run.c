/* run.c - attn run: attention over arrays in files.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "attend.h"
#include "commands.h"
#include "compare.h"
#include "file.h"
#include "library.h"
#include "npy.h"
#include "options.h"
#include "progress.h"
#include "refuse.h"

const char run_help[] =
    "Usage: attn run -q Q.npy -k K.npy -v V.npy [-o OUT.npy] [options]\n"
    "       attn run --qkv PACKED.npy [-o OUT.npy] [options]\n"
    "\n"
    "Computes softmax(scale * query key^T) value and reports the time it took.\n"
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
    "  --quiet                    no report, only errors\n"
    "\n"
    "Attention\n"
    "  --scale X                  what scores are multiplied by (default: 1 / sqrt(D))\n"
    "  --causal                   query i sees key j only if j <= i + offset\n"
    "  --offset N                 that offset (default: 0)\n"
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

typedef struct run_options {
  const char *query, *key, *value, *packed;
  const char *output, *weights, *lse;
  comparison compare, compare_weights;
  double scale;
  bool has_scale, causal, has_offset, quiet;
  int64_t offset;
  library_options library;
} run_options;

/* The arrays of a run. With --qkv, query, key and value lie inside packed. */
typedef struct run_arrays {
  npy_array packed, query, key, value;
  npy_array output, weights, lse;
  npy_array unused; /* takes the output where values have no columns */
} run_arrays;

static int check_options(const run_options *options) {
  bool any = options->query != NULL || options->key != NULL || options->value != NULL;
  bool all = options->query != NULL && options->key != NULL && options->value != NULL;
  if (options->packed != NULL && any)
    return refuse(EXIT_USAGE, "--qkv: expected no -q, -k or -v beside it");
  if (options->packed == NULL && !all)
    return refuse(EXIT_USAGE, "run: expected -q, -k and -v, or --qkv; see 'attn help run'");
  if (options->has_offset && !options->causal)
    return refuse(EXIT_USAGE, "--offset: expected --causal beside it");
  if (options->compare.has_tolerance && options->compare.path == NULL)
    return refuse(EXIT_USAGE, "--tolerance: expected --compare beside it");
  if (options->compare_weights.has_tolerance && options->compare_weights.path == NULL)
    return refuse(EXIT_USAGE, "--weights-tolerance: expected --compare-weights beside it");
  const char *outputs[] = {options->output, options->weights, options->lse};
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < i; j++)
      if (outputs[i] != NULL && outputs[j] != NULL && strcmp(outputs[i], outputs[j]) == 0)
        return refuse(EXIT_USAGE, "%s: expected a file of its own for each output", outputs[i]);
  return EXIT_OK;
}

static int read_options(run_options *options, char **arguments) {
  const option table[] = {
      {.name = "--query", .brief = "-q", .kind = OPTION_TEXT, .variable = &options->query},
      {.name = "--key", .brief = "-k", .kind = OPTION_TEXT, .variable = &options->key},
      {.name = "--value", .brief = "-v", .kind = OPTION_TEXT, .variable = &options->value},
      {.name = "--qkv", .kind = OPTION_TEXT, .variable = &options->packed},
      {.name = "--output", .brief = "-o", .kind = OPTION_TEXT, .variable = &options->output},
      {.name = "--weights", .kind = OPTION_TEXT, .variable = &options->weights},
      {.name = "--lse", .kind = OPTION_TEXT, .variable = &options->lse},
      {.name = "--quiet", .kind = OPTION_FLAG, .variable = &options->quiet},
      {.name = "--scale", .kind = OPTION_NUMBER, .variable = &options->scale, .given = &options->has_scale},
      {.name = "--causal", .kind = OPTION_FLAG, .variable = &options->causal},
      {.name = "--offset",
       .kind = OPTION_INTEGER,
       .variable = &options->offset,
       .given = &options->has_offset,
       .low = INT64_MIN,
       .high = INT64_MAX},
      {.name = "--compare", .kind = OPTION_TEXT, .variable = &options->compare.path},
      {.name = "--tolerance",
       .kind = OPTION_MAGNITUDE,
       .variable = &options->compare.tolerance,
       .given = &options->compare.has_tolerance},
      {.name = "--compare-weights", .kind = OPTION_TEXT, .variable = &options->compare_weights.path},
      {.name = "--weights-tolerance",
       .kind = OPTION_MAGNITUDE,
       .variable = &options->compare_weights.tolerance,
       .given = &options->compare_weights.has_tolerance},
      {.name = "--threads",
       .kind = OPTION_INTEGER,
       .variable = &options->library.threads,
       .low = 0,
       .high = LIBRARY_MAX_THREADS},
      {.name = "--engine",
       .kind = OPTION_WORD,
       .variable = &options->library.engine,
       .words = library_engines},
      {.name = "--isa", .kind = OPTION_WORD, .variable = &options->library.isa, .words = library_isas},
      {.name = NULL},
  };
  int code = options_read(table, arguments, NULL);
  return code == EXIT_OK ? check_options(options) : code;
}

/* ---- input */

/* query, key and value as views into packed. */
static int unpack(run_arrays *arrays, const char *path) {
  const npy_array *packed = &arrays->packed;
  char text[NPY_SHAPE_TEXT];
  if (packed->rank < 3 || packed->rank > 5 || packed->shape[0] != 3)
    return refuse(EXIT_FILE, "%s: expected 3 x (batch x heads x) N x D, got %s", path,
                  npy_shape_text(text, packed->rank, packed->shape));
  npy_array *parts[] = {&arrays->query, &arrays->key, &arrays->value};
  for (int i = 0; i < 3; i++) {
    *parts[i] = (npy_array){.rank = packed->rank - 1, .count = packed->count / 3};
    parts[i]->data = packed->data + i * parts[i]->count;
    memcpy(parts[i]->shape, packed->shape + 1, (size_t)parts[i]->rank * sizeof packed->shape[0]);
  }
  return EXIT_OK;
}

static int read_inputs(const run_options *options, run_arrays *arrays) {
  if (options->packed != NULL) {
    int code = npy_read(&arrays->packed, options->packed);
    return code == EXIT_OK ? unpack(arrays, options->packed) : code;
  }
  int code = npy_read(&arrays->query, options->query);
  if (code == EXIT_OK) code = npy_read(&arrays->key, options->key);
  return code == EXIT_OK ? npy_read(&arrays->value, options->value) : code;
}

/* A dimension counted from the last: 0 columns, 1 rows, 2 heads, 3 batch; 1 where there is none. */
static int64_t dimension(const npy_array *array, int from_last) {
  return from_last < array->rank ? array->shape[array->rank - 1 - from_last] : 1;
}

static int check_dimension(const char *path, const npy_array *array, int from_last, int64_t expected) {
  static const char *const names[] = {"a head size", "a length", "a number of heads", "a batch"};
  int64_t got = dimension(array, from_last);
  if (got == expected) return EXIT_OK;
  return refuse(EXIT_FILE, "%s: expected %s of %" PRId64 ", got %" PRId64, path, names[from_last], expected,
                got);
}

/* Checks what the library cannot see: that the arrays have the sizes that it is told once. */
static int check_inputs(const run_options *options, const run_arrays *arrays) {
  const npy_array *query = &arrays->query;
  const npy_array *key = &arrays->key;
  const npy_array *value = &arrays->value;
  if (options->packed != NULL) return EXIT_OK;
  if (query->rank < 2 || query->rank > 4)
    return refuse(EXIT_FILE, "%s: expected 2, 3 or 4 dimensions, got %d", options->query, query->rank);
  if (key->rank != query->rank)
    return refuse(EXIT_FILE, "%s: expected %d dimensions, as the query has, got %d", options->key,
                  query->rank, key->rank);
  if (value->rank != query->rank)
    return refuse(EXIT_FILE, "%s: expected %d dimensions, as the query has, got %d", options->value,
                  query->rank, value->rank);
  if (dimension(key, 2) == 0 && dimension(query, 2) > 0)
    return refuse(EXIT_FILE, "%s: expected at least 1 head, got 0", options->key);
  int code = check_dimension(options->key, key, 3, dimension(query, 3));
  if (code == EXIT_OK) code = check_dimension(options->key, key, 0, dimension(query, 0));
  if (code == EXIT_OK) code = check_dimension(options->value, value, 3, dimension(query, 3));
  if (code == EXIT_OK) code = check_dimension(options->value, value, 2, dimension(key, 2));
  return code == EXIT_OK ? check_dimension(options->value, value, 1, dimension(key, 1)) : code;
}

/* ---- work */

/* Makes the arrays of results that somebody wants, and loads what they are to be compared with. */
static int make_outputs(run_options *options, run_arrays *arrays) {
  int64_t shape[NPY_MAX_RANK];
  int rank = arrays->query.rank;
  memcpy(shape, arrays->query.shape, sizeof shape);
  shape[rank - 1] = dimension(&arrays->value, 0);
  int code = npy_make(&arrays->output, "the output", rank, shape);
  if (code == EXIT_OK && shape[rank - 1] == 0)
    code = npy_make(&arrays->unused, "the output", rank, arrays->query.shape);
  shape[rank - 1] = dimension(&arrays->key, 1);
  bool wants_weights = options->weights != NULL || options->compare_weights.path != NULL;
  if (code == EXIT_OK && wants_weights) code = npy_make(&arrays->weights, "the weights", rank, shape);
  if (code == EXIT_OK && options->lse != NULL) code = npy_make(&arrays->lse, "the LSE", rank - 1, shape);
  if (code == EXIT_OK) code = compare_load(&options->compare, &arrays->output);
  return code == EXIT_OK ? compare_load(&options->compare_weights, &arrays->weights) : code;
}

static attn_args attention_args(const run_options *options, const run_arrays *arrays) {
  attn_args args = {.size = sizeof args,
                    .batch = dimension(&arrays->query, 3),
                    .heads_q = dimension(&arrays->query, 2),
                    .heads_kv = dimension(&arrays->key, 2),
                    .len_q = dimension(&arrays->query, 1),
                    .len_k = dimension(&arrays->key, 1),
                    .dim = dimension(&arrays->query, 0),
                    .dim_v = dimension(&arrays->value, 0),
                    .query = arrays->query.data,
                    .key = arrays->key.data,
                    .value = arrays->value.data,
                    .output = arrays->output.data,
                    .has_scale = options->has_scale,
                    .scale = (float)options->scale,
                    .causal = options->causal,
                    .causal_offset = options->offset,
                    .weights = arrays->weights.data,
                    .lse = arrays->lse.data};
  if (args.dim_v == 0) { /* to the library 0 means "as dim": compute something of that size, unused */
    args.dim_v = args.dim;
    args.value = arrays->key.data;
    args.output = arrays->unused.data;
  }
  return args;
}

static int check_files(const run_options *options) {
  const char *paths[] = {options->output, options->weights, options->lse};
  int code = EXIT_OK;
  for (int i = 0; i < 3 && code == EXIT_OK; i++)
    if (paths[i] != NULL) code = file_check(paths[i]);
  return code;
}

static int write_outputs(const run_options *options, const run_arrays *arrays) {
  int code = EXIT_OK;
  if (options->output != NULL) code = npy_write(&arrays->output, options->output);
  if (code == EXIT_OK && options->weights != NULL) code = npy_write(&arrays->weights, options->weights);
  if (code == EXIT_OK && options->lse != NULL) code = npy_write(&arrays->lse, options->lse);
  return code;
}

static void print_array(const char *name, const npy_array *array) {
  char text[NPY_SHAPE_TEXT];
  printf("%-8s %s\n", name, npy_shape_text(text, array->rank, array->shape));
}

static void print_report(const run_arrays *arrays, const attn_info *info, const char *engine, double flops,
                         double seconds) {
  print_array("query", &arrays->query);
  print_array("key", &arrays->key);
  print_array("value", &arrays->value);
  print_array("output", &arrays->output);
  printf("engine   %s (%s, %s, %s)\n", engine, info->blas, info->blas_flavor, info->blas_core);
  printf("isa      %s\n", info->isa);
  printf("threads  %" PRId64 "\n", info->threads);
  printf("time     %.6f s\n", seconds);
  printf("speed    %.2f GFLOP/s\n", seconds > 0.0 ? flops / seconds * 1e-9 : 0.0);
  if (info->warning[0] != '\0') printf("warning  %s\n", info->warning);
}

/* Reports both comparisons; the first that fails has the sentence. */
static int compare_outputs(const run_options *options, const run_arrays *arrays) {
  const comparison *comparisons[] = {&options->compare, &options->compare_weights};
  const npy_array *results[] = {&arrays->output, &arrays->weights};
  static const char *const names[] = {"output", "weights"};
  int code = EXIT_OK;
  for (int i = 0; i < 2; i++) {
    if (comparisons[i]->path == NULL) continue;
    double error = compare_error(comparisons[i], results[i]);
    if (!options->quiet) printf("error    %.6g (%s, maximum absolute)\n", error, names[i]);
    if (code == EXIT_OK) code = compare_judge(comparisons[i], error);
  }
  return code;
}

static int run_arrays_through(run_options *options, run_arrays *arrays, attn_context *context,
                              const attn_info *info) {
  int code = make_outputs(options, arrays);
  if (code == EXIT_OK) code = check_files(options);
  if (code != EXIT_OK) return code;
  attn_args args = attention_args(options, arrays);
  attn_plan plan;
  double seconds;
  code = attend(context, &args, progress_is_visible() && !options->quiet, &plan, &seconds);
  if (code == EXIT_OK) code = write_outputs(options, arrays);
  if (code != EXIT_OK) return code;
  if (!options->quiet) print_report(arrays, info, plan.engine, attend_flops(&args), seconds);
  return compare_outputs(options, arrays);
}

static void free_arrays(run_options *options, run_arrays *arrays) {
  npy_array *owned[] = {&arrays->packed, &arrays->query, &arrays->key, &arrays->value};
  for (int i = 0; i < (options->packed != NULL ? 1 : 4); i++) npy_free(owned[i]);
  npy_free(&arrays->output);
  npy_free(&arrays->weights);
  npy_free(&arrays->lse);
  npy_free(&arrays->unused);
  npy_free(&options->compare.expected);
  npy_free(&options->compare_weights.expected);
}

int run_command(char **arguments) {
  run_options options = {0};
  run_arrays arrays = {0};
  int code = read_options(&options, arguments);
  if (code != EXIT_OK) return code;
  code = read_inputs(&options, &arrays);
  if (code == EXIT_OK) code = check_inputs(&options, &arrays);
  attn_context *context = NULL;
  attn_info info;
  if (code == EXIT_OK) code = library_open(&context, &info, &options.library);
  if (code == EXIT_OK) code = run_arrays_through(&options, &arrays, context, &info);
  attn_destroy(context);
  free_arrays(&options, &arrays);
  return code;
}
