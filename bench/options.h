/* options.h - the command line of attn-bench.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "shapes.h"

enum { SHAPES_MAX = 64, THREADS_MAX = 16 };

typedef struct bench_options {
  bench_shape shapes[SHAPES_MAX];
  size_t shape_count;
  int threads[THREADS_MAX]; /* rising */
  size_t threads_count;
  int engines[ENGINE_KINDS]; /* kinds, rising */
  size_t engine_count;
  int32_t isa;        /* ATTN_ISA_... */
  int side_by_side;   /* of all shapes */
  int64_t min_pairs;  /* how many good pairs are enough */
  double max_seconds; /* for one shape and thread count */
  int quick;
  int help, version;
  const char *json;        /* NULL: none */
  const char *plot;        /* a folder for pictures; NULL: none */
  const char *onnxruntime; /* the folder where it is; NULL: not known */
} bench_options;

/* options_want_peers - is there a rival among the engines that runs in a process of its own? */
int options_want_peers(const bench_options *options);

/* options_read - reads the command line, and fills in the defaults. Returns a BENCH_ code. */
int options_read(bench_options *options, int count, char **arguments);

#endif
