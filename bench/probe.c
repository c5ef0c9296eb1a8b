/* probe.c - how fast this machine multiplies and adds at this very moment.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Built with -ffp-contract=fast, so that sum * factor + term is one instruction where there is one. */
#include "probe.h"

#include <math.h>
#include <stdatomic.h>

#include "bench.h"

static const double seconds_wanted = 1.5e-3;

/* Defines a loop over independent sums, enough of them to hide the latency of two to four units. */
#define DEFINE_LOOP(name, attributes, vector, sums)                                                        \
  attributes static float name(int64_t steps) {                                                            \
    const vector zero = {0};                                                                               \
    vector sum[sums], factor = zero + 0.5f, term = zero + 1.0f, all = zero;                                \
    for (int s = 0; s < (sums); s++) sum[s] = zero + (float)s;                                             \
    for (int64_t step = 0; step < steps; step++)                                                           \
      for (int s = 0; s < (sums); s++) sum[s] = sum[s] * factor + term;                                    \
    for (int s = 0; s < (sums); s++) all += sum[s];                                                        \
    return all[0];                                                                                         \
  }

typedef float vector4 __attribute__((vector_size(16)));

#if defined(__x86_64__)
enum { SUMS_PORTABLE = 12, SUMS_AVX2 = 12, SUMS_AVX512 = 16 };
typedef float vector8 __attribute__((vector_size(32)));
typedef float vector16 __attribute__((vector_size(64)));
DEFINE_LOOP(loop_avx2, __attribute__((target("avx2,fma"))), vector8, SUMS_AVX2)
DEFINE_LOOP(loop_avx512, __attribute__((target("avx512f"))), vector16, SUMS_AVX512)
#else
enum { SUMS_PORTABLE = 16 };
#endif
DEFINE_LOOP(loop_portable, , vector4, SUMS_PORTABLE)

typedef struct loop {
  float (*run)(int64_t steps);
  double flops; /* of one step */
} loop;

static loop pick_loop(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) return (loop){loop_avx512, 2.0 * 16 * SUMS_AVX512};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return (loop){loop_avx2, 2.0 * 8 * SUMS_AVX2};
#endif
  return (loop){loop_portable, 2.0 * 4 * SUMS_PORTABLE};
}

typedef struct probe_job {
  loop loop;
  int64_t steps;
  atomic_int arrived;
  float result[PROBE_MEMBERS_MAX]; /* nobody reads it, but the compiler cannot know */
  double begin[PROBE_MEMBERS_MAX], end[PROBE_MEMBERS_MAX];
} probe_job;

/* Members meet first, so that the time to wake them does not count. */
static void run_member(void *argument, int member, int members) {
  probe_job *job = argument;
  atomic_fetch_add(&job->arrived, 1);
  while (atomic_load(&job->arrived) < members) continue;
  job->begin[member] = bench_seconds();
  job->result[member] = job->loop.run(job->steps);
  job->end[member] = bench_seconds();
}

/* The last one's end counts, so that two which shared one CPU are not taken for two CPUs. */
static double run_all(const bench_probe *probe) {
  static probe_job job;
  int members = crew_members(probe->crew);
  job.loop = pick_loop();
  job.steps = probe->steps;
  atomic_store(&job.arrived, 0);
  crew_run(probe->crew, run_member, &job);
  double begin = job.begin[0], end = job.end[0];
  for (int m = 1; m < members; m++) {
    begin = fmin(begin, job.begin[m]);
    end = fmax(end, job.end[m]);
  }
  return members * (double)job.steps * job.loop.flops / (end - begin) * 1e-9;
}

double probe_take(bench_probe *probe) {
  double speed = run_all(probe);
  probe->best = fmax(probe->best, speed);
  return speed;
}

void probe_open(bench_probe *probe, bench_crew *crew, double seconds) {
  const double step_flops = pick_loop().flops;
  double start = bench_seconds();
  probe->crew = crew;
  probe->steps = 100000;
  probe->best = 0;
  do probe_take(probe);
  while (bench_seconds() < start + seconds / 2);
  probe->steps = (int64_t)(seconds_wanted * probe->best * 1e9 / (step_flops * crew_members(crew))) + 1;
  probe->best = 0; /* of probes of the final length only */
  do probe_take(probe);
  while (bench_seconds() < start + seconds);
}
