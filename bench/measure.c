/* measure.c - timing in pairs: every repeat beside a probe, rivals alternating.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "measure.h"

#include <math.h>
#include <stdlib.h>

#include "bench.h"

static const double repeat_seconds = 2e-3; /* at least, so that the clock and wake-ups weigh little */
static const double tolerance = 0.1;       /* how far under the best probe a good one may be */

static int time_calls(bench_engine *engine, int64_t calls, double *seconds) {
  int code = BENCH_OK;
  double start = bench_seconds();
  for (int64_t c = 0; c < calls && code == BENCH_OK; c++) code = engine_call(engine);
  *seconds = bench_seconds() - start;
  return code;
}

/* Finds how many calls fill a repeat; warms up on the way. */
static int calibrate(bench_engine *engine, int64_t *calls) {
  double seconds = 0;
  int code = BENCH_OK;
  for (*calls = 1; code == BENCH_OK; *calls *= 2) {
    code = time_calls(engine, *calls, &seconds);
    if (seconds >= repeat_seconds) break;
  }
  return code;
}

static int take_pair(bench_series *series, bench_engine *engine, bench_probe *probe) {
  bench_pair *pair = &series->pairs[series->count++];
  pair->before = probe_take(probe);
  int code = time_calls(engine, series->calls, &pair->seconds);
  pair->seconds /= (double)series->calls;
  pair->after = probe_take(probe);
  return code;
}

static int is_good(const bench_pair *pair, double best) {
  return fmin(pair->before, pair->after) >= (1 - tolerance) * best;
}

/* Rounds in which the pairs of both series are good. */
static size_t count_good(const bench_series *series, const bench_series *other, double best) {
  size_t good = 0;
  for (size_t r = 0; r < series->count; r++)
    good += is_good(&series->pairs[r], best) && is_good(&other->pairs[r], best);
  return good;
}

static const bench_series *find_unfused(const bench_series *series, const bench_engine *engines,
                                        size_t engine_count) {
  for (size_t e = 0; e < engine_count; e++)
    if (engines[e].kind == ENGINE_UNFUSED) return &series[e];
  return NULL;
}

int measure_rounds(bench_series *series, bench_engine *engines, size_t engine_count, bench_probe *probe,
                   const measure_limits *limits) {
  const bench_series *unfused = find_unfused(series, engines, engine_count);
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
    size_t fewest = ROUNDS_MAX;
    for (size_t e = 0; e < engine_count; e++) {
      size_t good = count_good(&series[e], unfused != NULL ? unfused : &series[e], probe->best);
      if (good < fewest) fewest = good;
    }
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

static double median_seconds(const bench_series *series, double best) {
  double values[ROUNDS_MAX];
  size_t count = 0;
  for (size_t r = 0; r < series->count; r++)
    if (is_good(&series->pairs[r], best)) values[count++] = series->pairs[r].seconds;
  if (count == 0)
    for (size_t r = 0; r < series->count; r++) values[count++] = series->pairs[r].seconds;
  return quantile(values, count, 0.5);
}

/* Against the mean of the two probes: the lower one would flatter. */
static double median_fraction(const bench_series *series, double flops, double best) {
  double values[ROUNDS_MAX];
  size_t count = 0;
  for (size_t r = 0; r < series->count; r++) {
    const bench_pair *pair = &series->pairs[r];
    double peak = (pair->before + pair->after) / 2 * 1e9;
    if (is_good(pair, best)) values[count++] = flops / pair->seconds / peak;
  }
  return quantile(values, count, 0.5);
}

static double median_ratio(const bench_series *series, const bench_series *unfused, double best) {
  double values[ROUNDS_MAX];
  size_t count = 0;
  for (size_t r = 0; r < series->count; r++)
    if (is_good(&series->pairs[r], best) && is_good(&unfused->pairs[r], best))
      values[count++] = unfused->pairs[r].seconds / series->pairs[r].seconds;
  return quantile(values, count, 0.5);
}

static double probe_spread(const bench_series *series, double best) {
  double values[2 * ROUNDS_MAX];
  for (size_t r = 0; r < series->count; r++) {
    values[2 * r] = series->pairs[r].before;
    values[2 * r + 1] = series->pairs[r].after;
  }
  return 1 - quantile(values, 2 * series->count, 0.1) / best;
}

bench_summary measure_summary(const bench_series *series, const bench_series *unfused, double flops,
                              double best) {
  return (bench_summary){
      .seconds = median_seconds(series, best),
      .fraction_of_peak = median_fraction(series, flops, best),
      .ratio_to_unfused = unfused != NULL ? median_ratio(series, unfused, best) : (double)NAN,
      .probe_spread = probe_spread(series, best),
      .pairs_used = count_good(series, series, best),
      .pairs_taken = series->count,
      .ratio_pairs_used = unfused != NULL ? count_good(series, unfused, best) : 0,
  };
}
