/* engine.h - what is timed: the library with one of its product engines, or a rival.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include <attn/attn.h>

#include "crew.h"
#include "inputs.h"
#include "shapes.h"
#include "unfused.h"

/* In the order of the table; what others are compared with comes first. */
enum {
  ENGINE_AUTO,
  ENGINE_BUILTIN,
  ENGINE_BLAS,
  ENGINE_UNFUSED,
  ENGINE_UNFUSED_BEST, /* from here on in processes of their own */
  ENGINE_ONNXRUNTIME,
  ENGINE_NUMPY,
  ENGINE_KINDS
};

enum { ENGINE_TEXT_SIZE = 200 };

typedef struct bench_rivals bench_rivals; /* rivals.h */
typedef struct bench_peer bench_peer;     /* peer.h */

typedef struct bench_engine {
  int kind;
  attn_context *context; /* NULL for rivals */
  attn_args args;
  int64_t kv_strides[3]; /* which they point to */
  bench_unfused unfused;
  bench_peer *peer;               /* the process that computes; NULL: this one */
  char detail[ENGINE_TEXT_SIZE];  /* how it computes: "tiled, blas" */
  char skipped[ENGINE_TEXT_SIZE]; /* why it does not take part; "" if it does */
  double first_seconds;           /* of the first call */
  int64_t rss_growth_kib;         /* peak memory grown by the first call, roughly; -1: not known */
} bench_engine;

/* What an engine is opened for; all of it outlives the engine. */
typedef struct engine_setup {
  const bench_shape *shape;
  const bench_inputs *inputs;
  bench_crew *crew; /* has as many members as the engine may use threads */
  int32_t isa;      /* ATTN_ISA_..., the cap of the library's kernels */
  const bench_rivals *rivals;
  double largest_difference; /* between a rival's output and the reference, or it does not take part */
  double longest_call;       /* of a rival in a process of its own, in seconds, or it does not take part */
} engine_setup;

const char *engine_name(int kind);

/* engine_kind - the kind of that name, -1 if there is none. */
int engine_kind(const char *name);

/* engine_is_rival - is it something else than the library? */
int engine_is_rival(int kind);

/* engine_is_apart - does it run in a process of its own? */
int engine_is_apart(int kind);

/* engine_open - makes an engine ready and calls it once into the inputs' output, or sets skipped where it
 * cannot do this shape on this machine. Returns a BENCH_ code; close it either way. */
int engine_open(bench_engine *engine, int kind, const engine_setup *setup);

/* engine_time - the seconds of so many calls into the inputs' output. Where calls are short, one more comes
 * before them, which brings the caches back. Returns a BENCH_ code. */
int engine_time(bench_engine *engine, int64_t calls, double *seconds);

void engine_close(bench_engine *engine);

#endif
