/* unfused.h - the rival: attention as a C user writes it by hand over BLAS.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * For each head: scores = scale query key^T (one sgemm), a stable softmax over each row of the whole matrix
 * (plain C and expf), output = scores value (one sgemm). Each thread takes the next head, and has a score
 * matrix of Nq x Nk floats that it keeps from call to call; a product runs on the thread that asks for it.
 * The other way to use threads, BLAS's own for the products and the bench's for the softmax, was 1.1 to 2
 * times slower on every shape: BLAS's threads spin between products, where the softmax wants the CPU. */
#ifndef BENCH_UNFUSED_H
#define BENCH_UNFUSED_H

#include <stdatomic.h>

#include "crew.h"
#include "inputs.h"
#include "shapes.h"

typedef struct bench_unfused {
  const bench_shape *shape;
  const bench_inputs *inputs;
  bench_crew *crew;
  float *scores;           /* members x Nq x Nk */
  atomic_llong next;       /* the head that nobody has taken yet, counted over all of the batch */
  int blas_threads_before; /* BLAS's thread count when it was opened; 0: not changed */
} bench_unfused;

/* unfused_bytes - of its score matrices. */
double unfused_bytes(const bench_shape *shape, int threads);

/* unfused_core - the CPU type whose kernels BLAS runs, "Zen"; "" if it does not tell. */
const char *unfused_core(void);

/* unfused_open - sets up, and sets BLAS's thread count to 1; shape, inputs and crew outlive it. Returns a
 * BENCH_ code. */
int unfused_open(bench_unfused *unfused, const bench_shape *shape, const bench_inputs *inputs,
                 bench_crew *crew);

/* unfused_call - fills the inputs' output with as many threads as the crew has members. */
void unfused_call(bench_unfused *unfused);

/* unfused_close - frees, and restores BLAS's thread count; also what was zeroed and never opened. */
void unfused_close(bench_unfused *unfused);

#endif
