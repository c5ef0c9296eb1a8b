/* probe.h - how fast this machine is at this very moment.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A probe is a millisecond or two of work that nothing can do faster, on all members of a crew at once:
 * arithmetic in registers (fma.h), or reading an array (read.h). */
#ifndef BENCH_PROBE_H
#define BENCH_PROBE_H

#include <stdint.h>

#include "crew.h"

enum { PROBE_MEMBERS_MAX = 1024 };

/* What a probe does. */
typedef struct probe_work {
  /* One member's part, so many steps of it; returns a number, else a compiler could leave the work out. */
  float (*run)(const void *data, int64_t steps, int member, int members);
  const void *data;
  double step_amount; /* flops or bytes of one step, all members together */
  /* The two probes beside a repeat are good if the slower one is at least these parts of the faster one and of
     the best of all. */
  double steadiness, share;
} probe_work;

typedef struct bench_probe {
  bench_crew *crew;
  probe_work work;
  int64_t steps;
  double best; /* of all probes so far: 1e9 flops or bytes in a second */
} bench_probe;

/* probe_open - sets up a probe on a crew that outlives it, as do the work's data, and takes it for some
 * seconds to know the best speed. */
void probe_open(bench_probe *probe, bench_crew *crew, probe_work work, double seconds);

/* probe_take - one probe: 1e9 flops or bytes in a second, of all members together. */
double probe_take(bench_probe *probe);

#endif
