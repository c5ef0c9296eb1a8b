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
} bench_inputs;

/* inputs_open - allocates and fills. Returns a BENCH_ code. */
int inputs_open(bench_inputs *inputs, const bench_shape *shape);

/* inputs_difference - the largest one between output and reference, of so many floats; NaN if there is a NaN. */
double inputs_difference(const bench_inputs *inputs, size_t floats);

/* inputs_close - frees what inputs_open has set, also after it failed. */
void inputs_close(bench_inputs *inputs);

#endif
