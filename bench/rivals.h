/* rivals.h - the rivals that run in processes of their own: where they are, and the best of their ways.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_RIVALS_H
#define BENCH_RIVALS_H

#include "engine.h"

enum { RIVALS_PATH_SIZE = 4096 };

struct bench_rivals {
  char library[RIVALS_PATH_SIZE];              /* ONNX Runtime's; "" if not found */
  char core[ENGINE_TEXT_SIZE];                 /* the setting that makes BLAS run its best kernels, or "" */
  char absent[ENGINE_KINDS][ENGINE_TEXT_SIZE]; /* why a kind cannot run at all; "" if it can */
};

/* rivals_find - looks for them. folder: where ONNX Runtime is, or NULL. core: the kernels that BLAS runs. */
void rivals_find(bench_rivals *rivals, const char *folder, const char *core);

/* rivals_open - starts a rival, tries each of its ways to compute the shape, and keeps the fastest whose output
 * is the reference; says on stdout which are not. Sets skipped if there is none. */
void rivals_open(bench_engine *engine, const engine_setup *setup);

/* rivals_time - as engine_time. */
int rivals_time(bench_engine *engine, int64_t calls, double *seconds);

#endif
