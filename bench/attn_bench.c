/* attn_bench.c - the attn-bench command: speed of libattn, as ratios within one run.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <attn/attn.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "fma.h"
#include "help.h"
#include "measure.h"
#include "options.h"
#include "plot.h"
#include "read.h"
#include "report.h"
#include "rivals.h"
#include "serve.h"

static const double largest_difference = 1e-4; /* between two engines' outputs */

/* One run of the program. */
typedef struct bench_run {
  bench_options options;
  attn_context *context; /* only describes the library */
  attn_info info;
  bench_crew *crews[THREADS_MAX];  /* one for each thread count */
  bench_probe probes[THREADS_MAX]; /* of arithmetic, likewise */
  bench_engine engines[ENGINE_KINDS];
  bench_series series[ENGINE_KINDS];
  double one_thread[ENGINE_KINDS]; /* speed of each kind at this shape on one thread; NaN: not known */
  bench_rivals rivals;
  bench_report report;
} bench_run;

/* A shape with a thread count: its engines are rivals. */
typedef struct bench_group {
  const bench_shape *shape;
  bench_inputs *inputs;
  bench_probe *fma;
  bench_probe *probe; /* fma or read */
  bench_probe read;   /* reads the keys and values; open where the shape is memory-bound */
  size_t engine_count;
} bench_group;

/* The first call's output must be that of the first engine. (Rivals in other processes have passed.) */
static int check_engine(bench_run *run, const bench_group *group) {
  size_t floats = shape_query_floats(group->shape), e = group->engine_count;
  bench_inputs *inputs = group->inputs;
  if (engine_is_apart(run->engines[e].kind)) return BENCH_OK;
  if (e == 0) memcpy(inputs->reference, inputs->output, floats * sizeof(float));
  double apart = inputs_difference(inputs, floats);
  if (apart <= largest_difference) return BENCH_OK;
  const char *name = engine_name(run->engines[e].kind), *shape = group->shape->name;
  int threads = crew_members(group->probe->crew);
  if (isnan(apart))
    return bench_error(BENCH_WRONG, "%s at shape %s, %d thread(s): NaN in the output", name, shape,
                       threads);
  return bench_error(BENCH_WRONG, "%s at shape %s, %d thread(s): the output differs from that of %s by %g",
                     name, shape, threads, engine_name(run->engines[0].kind), apart);
}

/* Opens the engines that can do this shape, without gaps. */
static int open_engines(bench_run *run, bench_group *group) {
  engine_setup setup = {.shape = group->shape,
                        .inputs = group->inputs,
                        .crew = group->probe->crew,
                        .isa = run->options.isa,
                        .rivals = &run->rivals,
                        .largest_difference = largest_difference,
                        .longest_call = fmax(1, run->options.max_seconds / 3)};
  for (size_t e = 0; e < run->options.engine_count; e++) {
    bench_engine *engine = &run->engines[group->engine_count];
    if (run->rivals.absent[run->options.engines[e]][0] != '\0') continue; /* said so before */
    memset(group->inputs->output, 0xff, shape_query_floats(group->shape) * sizeof(float)); /* NaN shows */
    int code = engine_open(engine, run->options.engines[e], &setup);
    if (code == BENCH_OK && engine->skipped[0] != '\0') {
      report_skipped(engine, group->shape, crew_members(group->probe->crew));
      engine_close(engine);
      continue;
    }
    if (code == BENCH_OK) code = check_engine(run, group);
    group->engine_count++;
    if (code != BENCH_OK) return code;
  }
  return BENCH_OK;
}

static report_row make_row(bench_run *run, const bench_group *group, size_t e) {
  const bench_shape *shape = group->shape;
  double amount = shape_is_memory_bound(shape) ? shape_kv_bytes(shape) : shape_flops(shape);
  report_row row = {.shape = shape,
                    .engine = &run->engines[e],
                    .probe = group->probe,
                    .calls = run->series[e].calls,
                    .summary = measure_summary(&run->series[e], amount, group->probe)};
  for (int kind = 0; kind < ENGINE_KINDS; kind++) row.ratios[kind].ratio = NAN;
  for (size_t rival = 0; rival < group->engine_count; rival++)
    if (engine_is_rival(run->engines[rival].kind))
      row.ratios[run->engines[rival].kind] =
          measure_ratio(&run->series[e], &run->series[rival], group->probe);
  return row;
}

static void report_group(bench_run *run, const bench_group *group) {
  for (size_t e = 0; e < group->engine_count; e++) {
    report_row row = make_row(run, group, e);
    double speed = row.summary.fraction * group->probe->best, *one = &run->one_thread[run->engines[e].kind];
    if (crew_members(group->probe->crew) == 1) *one = speed;
    row.ratio_to_one_thread = speed / *one;
    report_add(&run->report, &row, group->fma->best);
  }
}

static int run_group(bench_run *run, bench_group *group) {
  measure_limits limits = {(size_t)run->options.min_pairs, run->options.max_seconds};
  read_job job = {{group->inputs->key, group->inputs->value}, shape_key_floats(group->shape), 0};
  if (shape_is_memory_bound(group->shape)) {
    probe_open(&group->read, group->fma->crew, read_work(&job, group->fma->crew),
               run->options.quick ? 0.1 : 0.3);
    group->probe = &group->read;
  }
  int code = open_engines(run, group);
  if (code == BENCH_OK && group->engine_count > 0)
    code = measure_rounds(run->series, run->engines, group->engine_count, group->probe, &limits);
  if (code == BENCH_OK) report_group(run, group);
  for (size_t e = 0; e < group->engine_count; e++) engine_close(&run->engines[e]);
  return code;
}

static int run_shape(bench_run *run, const bench_shape *shape) {
  bench_inputs inputs;
  int code = inputs_open(&inputs, shape, options_want_peers(&run->options));
  for (int kind = 0; kind < ENGINE_KINDS; kind++) run->one_thread[kind] = NAN;
  for (size_t t = 0; t < run->options.threads_count && code == BENCH_OK; t++) {
    bench_probe *fma = &run->probes[t];
    code = run_group(run, &(bench_group){.shape = shape, .inputs = &inputs, .fma = fma, .probe = fma});
  }
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
    probe_open(&run->probes[t], run->crews[t], fma_work(threads), run->options.quick ? 0.2 : 0.5);
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
  if (code == BENCH_OK) code = plot_prepare(&run->options);
  if (code == BENCH_OK && options_want_peers(&run->options))
    rivals_find(&run->rivals, run->options.onnxruntime, run->info.blas_core);
  if (code == BENCH_OK) code = report_open(&run->report, &run->options, &run->info, &run->rivals);
  if (code == BENCH_OK) {
    code = run_all(run);
    int closed = report_close(&run->report);
    if (code == BENCH_OK) code = closed;
    if (code == BENCH_OK && run->options.plot != NULL) code = plot_draw(&run->options);
  }
  attn_destroy(run->context);
  return code;
}

int main(int count, char **arguments) {
  static bench_run run;
  if (count > 1 && strcmp(arguments[1], "--serve") == 0) return serve(count - 2, arguments + 2);
  int code = options_read(&run.options, count, arguments);
  if (code != BENCH_OK) return code;
  if (run.options.help)
    help_print();
  else if (run.options.version)
    printf("attn-bench %s\n", attn_version_text());
  else
    code = run_bench(&run);
  int failed = fflush(stdout) != 0 || ferror(stdout);
  if (code == BENCH_OK && failed) return bench_error(BENCH_FILE, "cannot write to standard output");
  return code;
}
