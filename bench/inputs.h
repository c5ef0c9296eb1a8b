/* inputs.h - the arrays of a shape, filled and touched before anything is timed.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_INPUTS_H
#define BENCH_INPUTS_H

#include "shapes.h"

typedef struct bench_inputs {
  float *query;     /* (B, Hq, Nq, D), unit normal, from a fixed seed */
  float *key;       /* (B, Hkv, Nk, D), likewise */
  float *value;     /* (B, Hkv, Nk, D), likewise */
  float *output;    /* (B, Hq, Nq, D), where every engine writes */
  float *reference; /* (B, Hq, Nq, D), the first engine's output */
  int file;         /* query, key, value and output one after another, for other processes; -1: none */
} bench_inputs;

/* inputs_open - allocates and fills; makes the file if is_shared. Returns a BENCH_ code. */
int inputs_open(bench_inputs *inputs, const bench_shape *shape, int is_shared);

/* inputs_attach - allocates, and reads query, key and value from another process's file. */
int inputs_attach(bench_inputs *inputs, const bench_shape *shape, int file);

/* inputs_publish, inputs_fetch - the output to the file, and from it. Returns a BENCH_ code. */
int inputs_publish(const bench_inputs *inputs, const bench_shape *shape);
int inputs_fetch(const bench_inputs *inputs, const bench_shape *shape);

/* inputs_difference - the largest one between output and reference, of so many floats; NaN if there is a NaN. */
double inputs_difference(const bench_inputs *inputs, size_t floats);

/* inputs_close - frees what inputs_open has set, also after it failed. */
void inputs_close(bench_inputs *inputs);

#endif
