/* options.c - the command line of attn-bench.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "options.h"

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

static int read_shape(bench_options *options, const char *item) {
  if (options->shape_count == SHAPES_MAX)
    return bench_error(BENCH_USAGE, "--shapes: at most %d shapes", SHAPES_MAX);
  int code = shape_parse(item, &options->shapes[options->shape_count]);
  if (code == BENCH_OK) options->shape_count++;
  return code;
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

static int read_engine(bench_options *options, const char *item) {
  int kind = engine_kind(item);
  if (kind < 0) return bench_error(BENCH_USAGE, "--engine: expected auto, blas or unfused, got '%s'", item);
  for (size_t e = 0; e < options->engine_count; e++)
    if (options->engines[e] == kind) return bench_error(BENCH_USAGE, "--engine: '%s' is given twice", item);
  options->engines[options->engine_count++] = kind;
  return BENCH_OK;
}

static int read_isa(bench_options *options, const char *item) {
  static const char *const names[] = {[ATTN_ISA_AUTO] = "auto",
                                      [ATTN_ISA_REFERENCE] = "reference",
                                      [ATTN_ISA_AVX2] = "avx2",
                                      [ATTN_ISA_AVX512] = "avx512"};
  for (int32_t isa = 0; isa < (int32_t)(sizeof names / sizeof names[0]); isa++)
    if (strcmp(item, names[isa]) == 0) {
      options->isa = isa;
      return BENCH_OK;
    }
  return bench_error(BENCH_USAGE, "--isa: expected auto, reference, avx2 or avx512, got '%s'", item);
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
                 {"--min-pairs", read_min_pairs, 0},
                 {"--max-seconds", read_max_seconds, 0},
                 {"--json", read_json, 0}};
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

static void fill_defaults(bench_options *options) {
  if (options->shape_count == 0) {
    memcpy(options->shapes, named_shapes, named_shape_count * sizeof *named_shapes);
    options->shape_count = named_shape_count;
  }
  if (options->threads_count == 0) {
    options->threads[options->threads_count++] = 1;
    if (cpu_count() > 1) options->threads[options->threads_count++] = cpu_count();
  }
  if (options->engine_count == 0)
    for (int kind = 0; kind < ENGINE_KINDS; kind++) options->engines[options->engine_count++] = kind;
  if (options->min_pairs == 0) options->min_pairs = options->quick ? 2 : 11;
  if (options->max_seconds <= 0) options->max_seconds = options->quick ? 2 : 120;
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
  fill_defaults(options);
  return BENCH_OK;
}

static const char help_usage[] =
    "attn-bench - speed of libattn, as ratios within one run\n"
    "\n"
    "usage: attn-bench [OPTION]...\n"
    "\n"
    "  --shapes LIST       names, or numbers B:Hq:Hkv:Nq:Nk:D:causal (default: all named shapes)\n"
    "  --threads LIST      thread counts (default: 1, and one for each CPU)\n"
    "  --engine LIST       auto, blas, unfused (default: all)\n"
    "  --isa NAME          the library's highest instruction set: auto, reference, avx2, avx512\n"
    "  --min-pairs N       repeat until each engine has N good pairs (default 11) ...\n"
    "  --max-seconds T     ... or T seconds went by for one shape and thread count (default 120)\n"
    "  --quick             a smoke run: 2 good pairs or 2 seconds\n"
    "  --json FILE         write the rows as JSON too\n"
    "  --help, --version\n"
    "\n"
    "Lists have commas between items, and options with a list may be repeated.\n"
    "Example: attn-bench --shapes S1,S3,1:8:8:1024:1024:64:1 --threads 1,2 --json rows.json\n"
    "\n"
    "named shapes (B:Hq:Hkv:Nq:Nk:D:causal):\n";

static const char help_method[] =
    "\n"
    "engines:\n"
    "  auto     attn_global() with the product engine that the library picks\n"
    "  blas     attn_global() with the tiles multiplied by cblas_sgemm\n"
    "  unfused  the same by hand: for each head one sgemm, a softmax over the full matrix in plain C\n"
    "           with expf, one sgemm; threads share the heads\n"
    "\n"
    "How it measures. The engines' first outputs are compared. Then the engines alternate, repeat by\n"
    "repeat. A repeat calls an engine as often as it takes to fill 2 ms. Right before and right after it\n"
    "a probe of 1.5 ms measures how fast as many threads do fused multiply-adds. A repeat and its two\n"
    "probes are a pair. It is good if both probes are within 10 % of the best probe of the run with that\n"
    "many threads. All numbers are medians over good pairs; repeats go on until there are enough.\n"
    "\n"
    "columns, and keys of the JSON rows:\n"
    "  ms       median_ms         time of one call; over all pairs if none is good\n"
    "  GFLOP/s  gflops            4 B Hq Nq Nk D, half if causal, by that time\n"
    "  peak     fma_peak_gflops   the best probe of the run with that many threads\n"
    "  of peak  fraction_of_peak  GFLOP/s of a repeat by the mean of its two probes; - or null if no\n"
    "                             pair is good\n"
    "  x unf.   ratio_to_unfused  time of unfused by time of this engine, both in the same round and\n"
    "                             both pairs good; - or null if there are none\n"
    "  pairs    pairs_used, pairs_taken\n"
    "                             good pairs of all; ratio_pairs_used counts those of ratio_to_unfused\n"
    "  noise    probe_spread      how far the slowest tenth of the probes lies under the best\n"
    "  KiB      rss_growth_kib    memory grown at its peak by the first call, roughly; BLAS's own buffers\n"
    "                             count for whoever touches them first; - or null if not known\n"
    "\n"
    "exit codes: 0 fine, 1 a wrong output, 2 command line, 3 file, 4 library, memory or threads\n";

void options_help(void) {
  fputs(help_usage, stdout);
  for (size_t n = 0; n < named_shape_count; n++) {
    const bench_shape *s = &named_shapes[n];
    printf("  %-4s %d:%d:%d:%d:%d:%d:%d\n", s->name, (int)s->batch, (int)s->heads_q, (int)s->heads_kv,
           (int)s->len_q, (int)s->len_k, (int)s->dim, s->causal);
  }
  fputs(help_method, stdout);
}
