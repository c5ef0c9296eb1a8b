/* read.h - a probe's work: reading two arrays.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The keys and values themselves are read: the same bytes on the same pages, in the caches as far as the
 * engine finds them there. Each member reads its part of both, by wide loads from several places at once,
 * with or without prefetches; which way is the fastest is tried out on the spot. */
#ifndef BENCH_READ_H
#define BENCH_READ_H

#include <stddef.h>

#include "probe.h"

typedef struct read_job {
  const float *arrays[2];
  size_t floats; /* of each */
  int way;       /* set by read_work */
} read_job;

/* read_work - for a crew, after trying the ways to read; a step is one pass over both arrays (but for
 * some last KiB of them). job outlives the work. */
probe_work read_work(read_job *job, bench_crew *crew);

#endif
