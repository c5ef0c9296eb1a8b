/* onnx.h - a rival: ONNX Runtime, through the C interface of its shared library, found at run time.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_ONNX_H
#define BENCH_ONNX_H

#include "graph.h"
#include "inputs.h"
#include "shapes.h"

enum { ONNX_TEXT_SIZE = 512 };

typedef struct bench_onnx bench_onnx;

typedef struct onnx_setup {
  const bench_shape *shape;
  const bench_inputs *inputs;
  int threads;
  int graph; /* GRAPH_... */
  const char *library;
} onnx_setup;

/* onnx_open - loads the library and the graph and lays the inputs out as the graph wants them, or returns
 * NULL and says in text why not. */
bench_onnx *onnx_open(const onnx_setup *setup, char text[ONNX_TEXT_SIZE]);

/* onnx_how - the version of the library, and the graph. */
const char *onnx_how(const bench_onnx *onnx);

/* onnx_call - runs the graph. Returns 0 and says in text why it cannot. */
int onnx_call(bench_onnx *onnx, char text[ONNX_TEXT_SIZE]);

/* onnx_fetch - the result, as (B, Hq, Nq, D). */
void onnx_fetch(const bench_onnx *onnx, float *output);

#endif
