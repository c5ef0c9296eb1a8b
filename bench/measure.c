/* measure.c - timing in pairs: every repeat beside a probe, rivals alternating.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _POSIX_C_SOURCE 200809L
#include "measure.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "bench.h"

static const double repeat_seconds = 2e-3; /* at least, so that the clock and wake-ups weigh little */
static const double long_call = 0.25; /* a first call of so many seconds says how long the others are */

/* Finds how many calls fill a repeat; warms up on the way. */
static int calibrate(bench_engine *engine, int64_t *calls) {
  double seconds = engine->first_seconds;
  int code = BENCH_OK;
  *calls = 1;
  if (seconds >= long_call) return BENCH_OK;
  for (;; *calls *= 2) {
    code = engine_time(engine, *calls, &seconds);
    if (code != BENCH_OK || seconds >= repeat_seconds) return code;
  }
}

/* Lets the probe's threads fall asleep: an engine's, woken while those still run, may be put on a CPU that is taken,
 * and stay there for milliseconds. */
static void pause_shortly(void) {
  nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

static int take_pair(bench_series *series, bench_engine *engine, bench_probe *probe) {
  bench_pair *pair = &series->pairs[series->count++];
  pair->before = probe_take(probe);
  pause_shortly();
  int code = engine_time(engine, series->calls, &pair->seconds);
  pair->seconds /= (double)series->calls;
  if (engine->peer != NULL) probe_take(probe); /* another process has emptied the caches */
  pair->after = probe_take(probe);
  return code;
}

static int is_good(const bench_pair *pair, const bench_probe *probe) {
  double slower = fmin(pair->before, pair->after), faster = fmax(pair->before, pair->after);
  return slower >= probe->work.steadiness * faster && slower >= probe->work.share * probe->best;
}

/* Rounds in which the pairs of both series are good. */
static size_t count_good(const bench_series *series, const bench_series *other, const bench_probe *probe) {
  size_t good = 0;
  for (size_t r = 0; r < series->count; r++)
    good += is_good(&series->pairs[r], probe) && is_good(&other->pairs[r], probe);
  return good;
}

/* The fewest good pairs of any engine, alone and in the rounds of each rival. */
static size_t fewest_good(const bench_series *series, const bench_engine *engines, size_t engine_count,
                          const bench_probe *probe) {
  size_t fewest = ROUNDS_MAX;
  for (size_t e = 0; e < engine_count; e++)
    for (size_t other = 0; other < engine_count; other++) {
      if (other != e && !engine_is_rival(engines[other].kind)) continue;
      size_t good = count_good(&series[e], &series[other], probe);
      if (good < fewest) fewest = good;
    }
  return fewest;
}

int measure_rounds(bench_series *series, bench_engine *engines, size_t engine_count, bench_probe *probe,
                   const measure_limits *limits) {
  double deadline = bench_seconds() + limits->max_seconds;
  for (size_t e = 0; e < engine_count; e++) {
    series[e].count = 0;
    int code = calibrate(&engines[e], &series[e].calls);
    if (code != BENCH_OK) return code;
  }
  for (size_t round = 0; round < ROUNDS_MAX; round++) {
    for (size_t e = 0; e < engine_count; e++) {
      size_t turn = (round + e) % engine_count; /* no engine always comes after the same one */
      int code = take_pair(&series[turn], &engines[turn], probe);
      if (code != BENCH_OK) return code;
    }
    size_t fewest = fewest_good(series, engines, engine_count, probe);
    if (fewest >= limits->min_pairs || bench_seconds() >= deadline) break;
  }
  return BENCH_OK;
}

static int compare_doubles(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

/* Sorts values; NaN if there are none. */
static double quantile(double *values, size_t count, double share) {
  if (count == 0) return NAN;
  qsort(values, count, sizeof *values, compare_doubles);
  double at = share * (double)(count - 1);
  size_t below = (size_t)at, above = below + 1 < count ? below + 1 : below;
  return values[below] + (at - (double)below) * (values[above] - values[below]);
}

static double median_seconds(const bench_series *series, const bench_probe *probe) {
  double values[ROUNDS_MAX];
  size_t count = 0;
  for (size_t r = 0; r < series->count; r++)
    if (is_good(&series->pairs[r], probe)) values[count++] = series->pairs[r].seconds;
  if (count == 0)
    for (size_t r = 0; r < series->count; r++) values[count++] = series->pairs[r].seconds;
  return quantile(values, count, 0.5);
}

/* Against the mean of the two probes: the lower one would flatter. */
static double median_fraction(const bench_series *series, double amount, const bench_probe *probe) {
  double values[ROUNDS_MAX];
  size_t count = 0;
  for (size_t r = 0; r < series->count; r++) {
    const bench_pair *pair = &series->pairs[r];
    double limit = (pair->before + pair->after) / 2 * 1e9;
    if (is_good(pair, probe)) values[count++] = amount / pair->seconds / limit;
  }
  return quantile(values, count, 0.5);
}

static double probe_spread(const bench_series *series, const bench_probe *probe) {
  double values[2 * ROUNDS_MAX];
  for (size_t r = 0; r < series->count; r++) {
    values[2 * r] = series->pairs[r].before;
    values[2 * r + 1] = series->pairs[r].after;
  }
  return 1 - quantile(values, 2 * series->count, 0.1) / probe->best;
}

bench_summary measure_summary(const bench_series *series, double amount, const bench_probe *probe) {
  return (bench_summary){
      .seconds = median_seconds(series, probe),
      .fraction = median_fraction(series, amount, probe),
      .probe_spread = probe_spread(series, probe),
      .pairs_used = count_good(series, series, probe),
      .pairs_taken = series->count,
  };
}

bench_ratio measure_ratio(const bench_series *series, const bench_series *rival, const bench_probe *probe) {
  double values[ROUNDS_MAX];
  size_t count = 0;
  for (size_t r = 0; r < series->count; r++)
    if (is_good(&series->pairs[r], probe) && is_good(&rival->pairs[r], probe))
      values[count++] = rival->pairs[r].seconds / series->pairs[r].seconds;
  return (bench_ratio){quantile(values, count, 0.5), count};
}
