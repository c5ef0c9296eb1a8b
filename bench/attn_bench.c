/* attn_bench.c - the attn-bench command: speed of libattn, as ratios within one run.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <attn/attn.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "measure.h"
#include "options.h"
#include "report.h"

static const double largest_difference = 1e-4; /* between two engines' outputs */

/* One run of the program. */
typedef struct bench_run {
  bench_options options;
  attn_context *context; /* only describes the library */
  attn_info info;
  bench_crew *crews[THREADS_MAX];  /* one for each thread count */
  bench_probe probes[THREADS_MAX]; /* likewise */
  bench_engine engines[ENGINE_KINDS];
  bench_series series[ENGINE_KINDS];
  bench_report report;
} bench_run;

/* A shape with a thread count: its engines are rivals. */
typedef struct bench_group {
  const bench_shape *shape;
  bench_inputs *inputs;
  bench_probe *probe;
} bench_group;

/* The largest difference of two arrays; NaN if there is a NaN. */
static double difference(const float *left, const float *right, size_t count) {
  double largest = 0;
  for (size_t n = 0; n < count; n++) {
    double apart = fabs((double)left[n] - (double)right[n]);
    if (isnan(apart)) return apart;
    if (apart > largest) largest = apart;
  }
  return largest;
}

/* The first call of an engine; its output must be that of the first engine. */
static int check_engine(bench_run *run, const bench_group *group, size_t e) {
  size_t floats = shape_query_floats(group->shape);
  bench_inputs *inputs = group->inputs;
  memset(inputs->output, 0xff, floats * sizeof(float)); /* NaN: what is not written shows */
  int code = engine_first_call(&run->engines[e]);
  if (code != BENCH_OK) return code;
  if (e == 0) memcpy(inputs->reference, inputs->output, floats * sizeof(float));
  double apart = difference(inputs->output, inputs->reference, floats);
  if (apart <= largest_difference) return BENCH_OK;
  const char *name = engine_name(run->engines[e].kind), *shape = group->shape->name;
  int threads = crew_members(group->probe->crew);
  if (isnan(apart))
    return bench_error(BENCH_WRONG, "%s at shape %s, %d thread(s): NaN in the output", name, shape,
                       threads);
  return bench_error(BENCH_WRONG, "%s at shape %s, %d thread(s): the output differs from that of %s by %g",
                     name, shape, threads, engine_name(run->engines[0].kind), apart);
}

static int open_engines(bench_run *run, const bench_group *group, size_t *opened) {
  engine_setup setup = {group->shape, group->inputs, group->probe->crew, run->options.isa};
  int code = BENCH_OK;
  for (*opened = 0; *opened < run->options.engine_count && code == BENCH_OK; (*opened)++) {
    code = engine_open(&run->engines[*opened], run->options.engines[*opened], &setup);
    if (code == BENCH_OK) code = check_engine(run, group, *opened);
  }
  return code;
}

static void report_group(bench_run *run, const bench_group *group) {
  const bench_series *unfused = NULL;
  for (size_t e = 0; e < run->options.engine_count; e++)
    if (run->engines[e].kind == ENGINE_UNFUSED) unfused = &run->series[e];
  for (size_t e = 0; e < run->options.engine_count; e++) {
    report_row row = {.shape = group->shape,
                      .engine = &run->engines[e],
                      .threads = crew_members(group->probe->crew),
                      .calls = run->series[e].calls,
                      .peak = group->probe->best};
    row.summary = measure_summary(&run->series[e], unfused, shape_flops(group->shape), row.peak);
    report_add(&run->report, &row);
  }
}

static int run_group(bench_run *run, const bench_group *group) {
  const bench_options *options = &run->options;
  measure_limits limits = {(size_t)options->min_pairs, options->max_seconds};
  size_t opened;
  int code = open_engines(run, group, &opened);
  if (code == BENCH_OK)
    code = measure_rounds(run->series, run->engines, options->engine_count, group->probe, &limits);
  if (code == BENCH_OK) report_group(run, group);
  for (size_t e = 0; e < opened; e++) engine_close(&run->engines[e]);
  return code;
}

static int run_shape(bench_run *run, const bench_shape *shape) {
  bench_inputs inputs;
  int code = inputs_open(&inputs, shape);
  for (size_t t = 0; t < run->options.threads_count && code == BENCH_OK; t++)
    code = run_group(run, &(bench_group){shape, &inputs, &run->probes[t]});
  inputs_close(&inputs);
  return code;
}

static int describe_library(bench_run *run) {
  attn_options options = {.size = sizeof options, .isa = run->options.isa};
  if (attn_create(&run->context, &options) != ATTN_OK)
    return bench_error(BENCH_LIBRARY, "%s", attn_last_error(NULL));
  run->info.size = sizeof run->info;
  if (attn_describe(run->context, &run->info) == ATTN_OK) return BENCH_OK;
  return bench_error(BENCH_LIBRARY, "%s", attn_last_error(run->context));
}

static int open_probes(bench_run *run) {
  for (size_t t = 0; t < run->options.threads_count; t++) {
    int threads = run->options.threads[t];
    run->crews[t] = crew_open(threads);
    if (run->crews[t] == NULL) return bench_error(BENCH_LIBRARY, "cannot start %d threads", threads);
    probe_open(&run->probes[t], run->crews[t], run->options.quick ? 0.2 : 0.5);
  }
  return BENCH_OK;
}

static int run_all(bench_run *run) {
  int code = open_probes(run);
  if (code == BENCH_OK) report_heading(&run->report, run->probes);
  for (size_t s = 0; s < run->options.shape_count && code == BENCH_OK; s++)
    code = run_shape(run, &run->options.shapes[s]);
  for (size_t t = 0; t < run->options.threads_count; t++) crew_close(run->crews[t]);
  return code;
}

static int run_bench(bench_run *run) {
  int code = describe_library(run);
  if (code == BENCH_OK) code = report_open(&run->report, &run->options, &run->info);
  if (code == BENCH_OK) {
    code = run_all(run);
    int closed = report_close(&run->report);
    if (code == BENCH_OK) code = closed;
  }
  attn_destroy(run->context);
  return code;
}

int main(int count, char **arguments) {
  static bench_run run;
  int code = options_read(&run.options, count, arguments);
  if (code != BENCH_OK) return code;
  if (run.options.help)
    options_help();
  else if (run.options.version)
    printf("attn-bench %s\n", attn_version_text());
  else
    code = run_bench(&run);
  int failed = fflush(stdout) != 0 || ferror(stdout);
  if (code == BENCH_OK && failed) return bench_error(BENCH_FILE, "cannot write to standard output");
  return code;
}
