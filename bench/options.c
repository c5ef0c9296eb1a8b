/* options.c - the command line of attn-bench.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "options.h"

#include <fnmatch.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "measure.h"
#include "probe.h"

enum { ITEM_SIZE = SHAPE_NAME_SIZE };

/* Reads one item of an option's value into options. Returns a BENCH_ code. */
typedef int (*item_reader)(bench_options *options, const char *item);

/* A whole number from 1 to max; 0 if text is not one. */
static int64_t parse_count(const char *text, int64_t max) {
  size_t length = strlen(text);
  if (length == 0 || length > 9 || strspn(text, "0123456789") != length) return 0;
  int64_t count = strtoll(text, NULL, 10);
  return count <= max ? count : 0;
}

static int add_shape(bench_options *options, const char *name, const char *numbers) {
  if (options->shape_count == SHAPES_MAX)
    return bench_error(BENCH_USAGE, "--shapes: at most %d shapes", SHAPES_MAX);
  int code = shape_parse(name, numbers, &options->shapes[options->shape_count]);
  if (code == BENCH_OK) options->shape_count++;
  return code;
}

/* A name, a pattern of names, or numbers. */
static int read_shape(bench_options *options, const char *item) {
  size_t before = options->shape_count;
  int code = BENCH_OK;
  for (size_t n = 0; n < named_shape_count && code == BENCH_OK; n++)
    if (fnmatch(item, named_shapes[n].name, 0) == 0)
      code = add_shape(options, named_shapes[n].name, named_shapes[n].numbers);
  if (code != BENCH_OK || options->shape_count > before) return code;
  return add_shape(options, item, item);
}

static int read_threads(bench_options *options, const char *item) {
  if (options->threads_count == THREADS_MAX)
    return bench_error(BENCH_USAGE, "--threads: at most %d numbers", THREADS_MAX);
  int threads = (int)parse_count(item, PROBE_MEMBERS_MAX);
  if (threads == 0)
    return bench_error(BENCH_USAGE, "--threads: expected numbers from 1 to %d, got '%s'", PROBE_MEMBERS_MAX,
                       item);
  options->threads[options->threads_count++] = threads;
  return BENCH_OK;
}

/* A name, or "all". */
static int read_engine(bench_options *options, const char *item) {
  int named = engine_kind(item), is_all = strcmp(item, "all") == 0;
  if (named < 0 && !is_all)
    return bench_error(BENCH_USAGE,
                       "--engine: expected auto, builtin, blas, unfused, unfused-best, onnxruntime, numpy "
                       "or all, got '%s'",
                       item);
  for (int kind = 0; kind < ENGINE_KINDS; kind++) {
    if (kind != named && !is_all) continue;
    for (size_t e = 0; e < options->engine_count; e++)
      if (options->engines[e] == kind)
        return bench_error(BENCH_USAGE, "--engine: '%s' is given twice", engine_name(kind));
    options->engines[options->engine_count++] = kind;
  }
  return BENCH_OK;
}

static int read_isa(bench_options *options, const char *item) {
  static const char *const names[] = {
      [ATTN_ISA_AUTO] = "auto",     [ATTN_ISA_REFERENCE] = "reference", [ATTN_ISA_AVX2] = "avx2",
      [ATTN_ISA_AVX512] = "avx512", [ATTN_ISA_NEON] = "neon",           [ATTN_ISA_AMX] = "amx"};
  for (int32_t isa = 0; isa < (int32_t)(sizeof names / sizeof names[0]); isa++)
    if (strcmp(item, names[isa]) == 0) {
      options->isa = isa;
      return BENCH_OK;
    }
  return bench_error(BENCH_USAGE, "--isa: expected auto, reference, avx2, avx512, neon or amx, got '%s'",
                     item);
}

static int read_kv_layout(bench_options *options, const char *item) {
  options->side_by_side = strcmp(item, "bnhd") == 0;
  if (options->side_by_side || strcmp(item, "bhnd") == 0) return BENCH_OK;
  return bench_error(BENCH_USAGE, "--kv-layout: expected bhnd or bnhd, got '%s'", item);
}

static int read_min_pairs(bench_options *options, const char *item) {
  options->min_pairs = parse_count(item, ROUNDS_MAX);
  if (options->min_pairs == 0)
    return bench_error(BENCH_USAGE, "--min-pairs: expected a number from 1 to %d, got '%s'", ROUNDS_MAX,
                       item);
  return BENCH_OK;
}

static int read_max_seconds(bench_options *options, const char *item) {
  char *end;
  options->max_seconds = strtod(item, &end);
  if (end == item || *end != '\0' || !isfinite(options->max_seconds) || options->max_seconds <= 0)
    return bench_error(BENCH_USAGE, "--max-seconds: expected a number above 0, got '%s'", item);
  return BENCH_OK;
}

static int read_json(bench_options *options, const char *item) {
  if (*item == '\0') return bench_error(BENCH_USAGE, "--json: expected a file name, got ''");
  options->json = item;
  return BENCH_OK;
}

static int read_plot(bench_options *options, const char *item) {
  if (*item == '\0') return bench_error(BENCH_USAGE, "--plot: expected a folder, got ''");
  options->plot = item;
  return BENCH_OK;
}

static int read_onnxruntime(bench_options *options, const char *item) {
  options->onnxruntime = item;
  return BENCH_OK;
}

/* Reads each item of a list with commas between. */
static int read_list(bench_options *options, const char *list, item_reader read) {
  char item[ITEM_SIZE];
  for (const char *at = list;; at++) {
    size_t length = strcspn(at, ",");
    if (length >= sizeof item) return bench_error(BENCH_USAGE, "'%s' is too long", list);
    memcpy(item, at, length);
    item[length] = '\0';
    int code = read(options, item);
    if (code != BENCH_OK) return code;
    at += length;
    if (*at == '\0') return BENCH_OK;
  }
}

static int read_value(bench_options *options, const char *name, const char *value) {
  static const struct {
    const char *name;
    item_reader read;
    int list;
  } readers[] = {{"--shapes", read_shape, 1},
                 {"--threads", read_threads, 1},
                 {"--engine", read_engine, 1},
                 {"--isa", read_isa, 0},
                 {"--kv-layout", read_kv_layout, 0},
                 {"--min-pairs", read_min_pairs, 0},
                 {"--max-seconds", read_max_seconds, 0},
                 {"--json", read_json, 0},
                 {"--onnxruntime", read_onnxruntime, 0},
                 {"--plot", read_plot, 0}};
  for (size_t r = 0; r < sizeof readers / sizeof readers[0]; r++) {
    if (strcmp(name, readers[r].name) != 0) continue;
    if (value == NULL) return bench_error(BENCH_USAGE, "%s needs a value", name);
    return readers[r].list ? read_list(options, value, readers[r].read) : readers[r].read(options, value);
  }
  return bench_error(BENCH_USAGE, "unknown option '%s', see attn-bench --help", name);
}

static int cpu_count(void) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
  int cpus = CPU_COUNT(&allowed);
  return cpus < PROBE_MEMBERS_MAX ? cpus : PROBE_MEMBERS_MAX;
}

static int compare_ints(const void *left, const void *right) {
  int a = *(const int *)left, b = *(const int *)right;
  return (a > b) - (a < b);
}

static int fill_defaults(bench_options *options) {
  int code = BENCH_OK;
  if (options->shape_count == 0) code = read_list(options, "S*,T*,D*,N*", read_shape);
  for (size_t s = 0; s < options->shape_count; s++) options->shapes[s].side_by_side = options->side_by_side;
  if (options->threads_count == 0) {
    options->threads[options->threads_count++] = 1;
    if (cpu_count() > 1) options->threads[options->threads_count++] = cpu_count();
  }
  if (options->engine_count == 0)
    for (int kind = 0; !engine_is_apart(kind); kind++) options->engines[options->engine_count++] = kind;
  if (options->onnxruntime == NULL) options->onnxruntime = getenv("ATTN_BENCH_ONNXRUNTIME");
  if (options->min_pairs == 0) options->min_pairs = options->quick ? 2 : 11;
  if (options->max_seconds <= 0) options->max_seconds = options->quick ? 2 : 120;
  /* One thread first, as others are compared with it; the library first, as rivals are. */
  qsort(options->threads, options->threads_count, sizeof options->threads[0], compare_ints);
  qsort(options->engines, options->engine_count, sizeof options->engines[0], compare_ints);
  return code;
}

int options_read(bench_options *options, int count, char **arguments) {
  *options = (bench_options){0};
  for (int a = 1; a < count; a++) {
    int code = BENCH_OK;
    if (strcmp(arguments[a], "--help") == 0)
      options->help = 1;
    else if (strcmp(arguments[a], "--version") == 0)
      options->version = 1;
    else if (strcmp(arguments[a], "--quick") == 0)
      options->quick = 1;
    else {
      code = read_value(options, arguments[a], arguments[a + 1]);
      a++;
    }
    if (code != BENCH_OK) return code;
  }
  int code = fill_defaults(options);
  if (code == BENCH_OK && engine_is_apart(options->engines[0]))
    return bench_error(
        BENCH_USAGE, "--engine: '%s' needs auto, builtin, blas or unfused beside it, to be checked against",
        engine_name(options->engines[0]));
  return code;
}

int options_want_peers(const bench_options *options) {
  return engine_is_apart(options->engines[options->engine_count - 1]);
}
