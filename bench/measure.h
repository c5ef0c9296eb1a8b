/* measure.h - timing in pairs: every repeat beside a probe, rivals alternating.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Machines shared with others change their speed by up to 2x within milliseconds. So a time says little
 * without the speed of the machine at that moment, and two times say little about each other unless they
 * were taken side by side. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "probe.h"

enum { ROUNDS_MAX = 1000 };

/* One repeat and the probes beside it: a pair. */
typedef struct bench_pair {
  double seconds;       /* of one call */
  double before, after; /* the probes: 1e9 flops or bytes in a second */
} bench_pair;

/* The pairs of one engine, one for each round. */
typedef struct bench_series {
  int64_t calls; /* of one repeat */
  size_t count;
  bench_pair pairs[ROUNDS_MAX];
} bench_series;

typedef struct measure_limits {
  size_t min_pairs;
  double max_seconds;
} measure_limits;

/* measure_rounds - takes rounds, a pair of each engine in each, into series[0 .. engine_count), until each
 * engine has min_pairs good ones in the same rounds as each rival or a limit is reached; at least one. Returns a BENCH_ code. */
int measure_rounds(bench_series *series, bench_engine *engines, size_t engine_count, bench_probe *probe,
                   const measure_limits *limits);

/* What a series says. */
typedef struct bench_summary {
  double seconds;      /* median over good pairs; over all of them if none is good */
  double fraction;     /* of the probe's speed: median over good pairs; NaN if none is good */
  double probe_spread; /* 1 - (10th percentile of the probes beside the repeats) / best */
  size_t pairs_used, pairs_taken;
} bench_summary;

/* measure_summary - sums up a series of calls that each do so much of what the probe does, in flops or
 * bytes. */
bench_summary measure_summary(const bench_series *series, double amount, const bench_probe *probe);

/* What two series of the same rounds say. */
typedef struct bench_ratio {
  double ratio; /* the rival's time by the engine's: median over rounds where both pairs are good; or NaN */
  size_t pairs_used; /* those rounds */
} bench_ratio;

bench_ratio measure_ratio(const bench_series *series, const bench_series *rival, const bench_probe *probe);

#endif
