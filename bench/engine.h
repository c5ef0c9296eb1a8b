/* engine.h - what is timed: the library with one of its product engines, or the hand-written rival.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include <attn/attn.h>

#include "crew.h"
#include "inputs.h"
#include "shapes.h"
#include "unfused.h"

enum { ENGINE_AUTO, ENGINE_BLAS, ENGINE_UNFUSED, ENGINE_KINDS };

typedef struct bench_engine {
  int kind;
  attn_context *context; /* NULL for unfused */
  attn_args args;
  bench_unfused unfused;
  int64_t rss_growth_kib; /* peak memory grown by the first call, roughly; -1: not known */
} bench_engine;

/* What an engine is opened for; all of it outlives the engine. */
typedef struct engine_setup {
  const bench_shape *shape;
  const bench_inputs *inputs;
  bench_crew *crew; /* has as many members as the engine may use threads */
  int32_t isa;      /* ATTN_ISA_..., the cap of the library's kernels */
} engine_setup;

const char *engine_name(int kind);

/* engine_kind - the kind of that name, -1 if there is none. */
int engine_kind(const char *name);

/* engine_open - makes an engine ready for its first call. Returns a BENCH_ code; close it either way. */
int engine_open(bench_engine *engine, int kind, const engine_setup *setup);

/* engine_first_call - a call into the inputs' output that sets rss_growth_kib. Returns a BENCH_ code. */
int engine_first_call(bench_engine *engine);

/* engine_call - a call into the inputs' output. Returns a BENCH_ code. */
int engine_call(bench_engine *engine);

void engine_close(bench_engine *engine);

#endif
