/* rivals.c - the rivals that run in processes of their own: where they are, and the best of their ways.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "rivals.h"

#include <glob.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bench.h"
#include "graph.h"
#include "memory.h"
#include "numpy.h"
#include "peer.h"

enum { ARGUMENTS_MAX = 8, NUMBER_SIZE = 16 };
static const int tries = 3;           /* of each way, after its first call */
static const double long_call = 0.25; /* seconds: the first call is try enough */

/* A file below a folder; 0 if there is none. */
static int find_below(char found[RIVALS_PATH_SIZE], const char *folder, const char *pattern) {
  char path[RIVALS_PATH_SIZE];
  glob_t matches;
  int length = snprintf(path, sizeof path, "%s/%s", folder, pattern);
  if (length < 0 || length >= RIVALS_PATH_SIZE || glob(path, 0, NULL, &matches) != 0) return 0;
  snprintf(found, RIVALS_PATH_SIZE, "%s", matches.gl_pathv[matches.gl_pathc - 1]);
  globfree(&matches);
  return 1;
}

static void find_onnxruntime(bench_rivals *rivals, const char *folder) {
#if defined(__aarch64__)
  const char *in_npm = "node_modules/onnxruntime-node/bin/napi-v*/linux/arm64/libonnxruntime.so.1";
#else
  const char *in_npm = "node_modules/onnxruntime-node/bin/napi-v*/linux/x64/libonnxruntime.so.1";
#endif
  char *absent = rivals->absent[ENGINE_ONNXRUNTIME];
  if (folder == NULL)
    snprintf(absent, ENGINE_TEXT_SIZE, "neither --onnxruntime nor ATTN_BENCH_ONNXRUNTIME says where it is");
  else if (!find_below(rivals->library, folder, "libonnxruntime.so.1") &&
           !find_below(rivals->library, folder, in_npm))
    snprintf(absent, ENGINE_TEXT_SIZE, "no libonnxruntime.so.1 in '%.80s' or in its node_modules", folder);
}

static void find_numpy(bench_rivals *rivals) {
  if (system("python3 -c 'import numpy' >/dev/null 2>&1") != 0)
    snprintf(rivals->absent[ENGINE_NUMPY], ENGINE_TEXT_SIZE, "no python3 with NumPy in PATH");
}

/* The CPU type that OpenBLAS has its best kernels under; NULL where none is known to be better. */
static const char *best_core(const char *core) {
#if defined(__x86_64__)
  static const char *const with_avx512[] = {"SkylakeX", "Cooperlake", "SapphireRapids"};
  static const char *const with_avx2[] = {"Haswell", "Zen"};
  __builtin_cpu_init();
  int is_avx512 = __builtin_cpu_supports("avx512f"), is_avx2 = __builtin_cpu_supports("avx2");
  if (!is_avx2) return NULL;
  for (size_t n = 0; n < sizeof with_avx512 / sizeof *with_avx512; n++)
    if (strcasecmp(core, with_avx512[n]) == 0) return NULL;
  for (size_t n = 0; n < sizeof with_avx2 / sizeof *with_avx2; n++)
    if (!is_avx512 && strcasecmp(core, with_avx2[n]) == 0) return NULL;
  if (is_avx512) return "SkylakeX";
  return __builtin_cpu_is("amd") ? "Zen" : "Haswell";
#else
  (void)core;
  return NULL;
#endif
}

void rivals_find(bench_rivals *rivals, const char *folder, const char *core) {
  const char *best = best_core(core);
  *rivals = (bench_rivals){{0}, {0}, {{0}}};
  find_onnxruntime(rivals, folder);
  find_numpy(rivals);
  if (best != NULL)
    snprintf(rivals->core, sizeof rivals->core, "OPENBLAS_CORETYPE=%s", best);
  else
    snprintf(rivals->absent[ENGINE_UNFUSED_BEST], ENGINE_TEXT_SIZE,
             "no kernels of BLAS are known to be better here than those it runs, %s", core);
}

static bench_peer *start(const bench_engine *engine, const engine_setup *setup, int way) {
  const bench_rivals *rivals = setup->rivals;
  char shape[SHAPE_NAME_SIZE], threads[NUMBER_SIZE], way_number[NUMBER_SIZE];
  char blas_threads[2][ENGINE_TEXT_SIZE];
  int count = crew_members(setup->crew), is_numpy = engine->kind == ENGINE_NUMPY;
  shape_write(setup->shape, shape);
  snprintf(threads, sizeof threads, "%d", count);
  snprintf(way_number, sizeof way_number, "%d", way);
  snprintf(blas_threads[0], ENGINE_TEXT_SIZE, "OPENBLAS_NUM_THREADS=%d", count);
  snprintf(blas_threads[1], ENGINE_TEXT_SIZE, "OMP_NUM_THREADS=%d", count);
  const char *python[] = {"python3", "-c", numpy_program, shape, NULL};
  const char *ourselves[] = {
      "/proc/self/exe", "--serve", engine_name(engine->kind), shape, threads, NULL, NULL, NULL};
  if (engine->kind == ENGINE_ONNXRUNTIME) {
    ourselves[5] = way_number;
    ourselves[6] = rivals->library;
  }
  const char *best = rivals->core[0] != '\0' ? rivals->core : NULL;
  const char *numpy_settings[] = {blas_threads[0], blas_threads[1], best, NULL}, *settings[] = {best, NULL};
  return peer_open(is_numpy ? python : ourselves, is_numpy ? numpy_settings : settings,
                   setup->inputs->file);
}

/* Why a peer will not go on, by its last line. */
static const char *reason_in(const char *line) {
  return strncmp(line, "no ", 3) == 0 ? line + 3 : "its process ended";
}

/* Hears and calls a new peer, into engine. Returns 0 and sets skipped if that fails. */
static int call_first(bench_engine *engine, const engine_setup *setup) {
  char line[PEER_LINE_SIZE], *skipped = engine->skipped;
  memset(setup->inputs->output, 0xff, shape_query_floats(setup->shape) * sizeof(float)); /* NaN shows */
  if (inputs_publish(setup->inputs, setup->shape) != BENCH_OK) return 0;
  peer_hear(engine->peer, line);
  if (strncmp(line, "ready ", 6) != 0) {
    snprintf(skipped, ENGINE_TEXT_SIZE, "%.150s", reason_in(line));
    return 0;
  }
  snprintf(engine->detail, sizeof engine->detail, "%.40s", line + 6);
  peer_say(engine->peer, "first");
  if (peer_is_silent(engine->peer, setup->longest_call)) {
    snprintf(skipped, ENGINE_TEXT_SIZE, "%.40s: a call takes more than %.3g s", engine->detail,
             setup->longest_call);
    return 0;
  }
  peer_hear(engine->peer, line);
  peer_rest(engine->peer);
  if (sscanf(line, "%lf %" SCNd64, &engine->first_seconds, &engine->rss_growth_kib) == 2) return 1;
  snprintf(skipped, ENGINE_TEXT_SIZE, "%.40s: %.120s", engine->detail, reason_in(line));
  return 0;
}

/* Is what the peer has written the reference? */
static int check(bench_engine *engine, const engine_setup *setup) {
  if (inputs_fetch(setup->inputs, setup->shape) != BENCH_OK) return 0;
  double apart = inputs_difference(setup->inputs, shape_query_floats(setup->shape));
  if (apart <= setup->largest_difference) return 1;
  snprintf(engine->skipped, ENGINE_TEXT_SIZE, "%.40s: its output differs by %g", engine->detail, apart);
  printf("note: %s at %s, %d thread(s): %s\n", engine_name(engine->kind), setup->shape->name,
         crew_members(setup->crew), engine->skipped);
  return 0;
}

int rivals_time(bench_engine *engine, int64_t calls, double *seconds) {
  char question[ENGINE_TEXT_SIZE], line[PEER_LINE_SIZE];
  snprintf(question, sizeof question, "run %" PRId64, calls);
  peer_say(engine->peer, question);
  peer_hear(engine->peer, line);
  peer_rest(engine->peer);
  if (sscanf(line, "%lf", seconds) == 1) return BENCH_OK;
  return bench_error(BENCH_LIBRARY, "%s (%s) does not answer: %s", engine_name(engine->kind),
                     engine->detail, line);
}

/* Can it be tried? Says why not. Most ways hold two arrays of scores at a time. */
static int is_possible(bench_engine *engine, const bench_shape *shape, int way) {
  bench_graph made;
  int is_onnx = engine->kind == ENGINE_ONNXRUNTIME;
  if (is_onnx && !graph_make(&made, way, shape)) {
    snprintf(engine->skipped, sizeof engine->skipped, "no graph of it says this shape");
    return 0;
  }
  double bytes = is_onnx && way == GRAPH_GQA ? 0 : 2 * shape_score_bytes(shape);
  return memory_suffices(bytes, engine->skipped, sizeof engine->skipped);
}

/* The seconds of a call in this way; infinity, and why, if it is none. */
static double try_way(bench_engine *engine, const engine_setup *setup, int way) {
  if (!is_possible(engine, setup->shape, way)) return INFINITY;
  engine->peer = start(engine, setup, way);
  if (engine->peer == NULL) {
    snprintf(engine->skipped, sizeof engine->skipped, "its process cannot be started");
    return INFINITY;
  }
  if (!call_first(engine, setup) || !check(engine, setup)) return INFINITY;
  double fastest = engine->first_seconds, seconds;
  for (int t = 0; t < tries && fastest < long_call; t++) {
    if (rivals_time(engine, 1, &seconds) != BENCH_OK) {
      snprintf(engine->skipped, sizeof engine->skipped, "its process ended");
      return INFINITY;
    }
    fastest = fmin(fastest, seconds);
  }
  return fastest;
}

void rivals_open(bench_engine *engine, const engine_setup *setup) {
  if (setup->shape->side_by_side) {
    snprintf(engine->skipped, sizeof engine->skipped, "it is not given heads side by side");
    return;
  }
  int ways = engine->kind == ENGINE_ONNXRUNTIME ? GRAPH_COUNT : 1;
  double fastest = INFINITY;
  bench_engine best = *engine;
  for (int way = 0; way < ways; way++) {
    bench_engine tried = *engine;
    double seconds = try_way(&tried, setup, way);
    if (seconds < fastest) {
      peer_close(best.peer);
      best = tried;
      fastest = seconds;
      continue;
    }
    peer_close(tried.peer);
    int says_more = best.skipped[0] == '\0' || tried.detail[0] != '\0';
    if (best.peer == NULL && says_more) memcpy(best.skipped, tried.skipped, sizeof best.skipped);
  }
  *engine = best;
}
