/* probe.h - how fast this machine multiplies and adds at this very moment.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A probe is a millisecond or two of independent fused multiply-adds in registers, of the widest kind
 * that the CPU has, on all members of a crew at once. It touches no memory: it sees the clock speed and
 * the share of the CPU that the host leaves us, not the caches. */
#ifndef BENCH_PROBE_H
#define BENCH_PROBE_H

#include <stdint.h>

#include "crew.h"

enum { PROBE_MEMBERS_MAX = 1024 };

typedef struct bench_probe {
  bench_crew *crew;
  int64_t steps; /* of the loop, on each member */
  double best;   /* GFLOP/s, of all probes so far */
} bench_probe;

/* probe_open - sets up a probe on a crew that outlives it, and takes it for some seconds to know the
 * best speed. */
void probe_open(bench_probe *probe, bench_crew *crew, double seconds);

/* probe_take - one probe: GFLOP/s of all members together. */
double probe_take(bench_probe *probe);

#endif
