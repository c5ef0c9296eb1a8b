/* probe.c - how fast this machine is at this very moment.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "probe.h"

#include <math.h>
#include <stdatomic.h>

#include "bench.h"

static const double seconds_wanted = 1.5e-3;

typedef struct probe_job {
  const probe_work *work;
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
  job->result[member] = job->work->run(job->work->data, job->steps, member, members);
  job->end[member] = bench_seconds();
}

/* The last one's end counts, so that two which shared one CPU are not taken for two CPUs. */
static double run_all(const bench_probe *probe) {
  static probe_job job;
  int members = crew_members(probe->crew);
  job.work = &probe->work;
  job.steps = probe->steps;
  atomic_store(&job.arrived, 0);
  crew_run(probe->crew, run_member, &job);
  double begin = job.begin[0], end = job.end[0];
  for (int m = 1; m < members; m++) {
    begin = fmin(begin, job.begin[m]);
    end = fmax(end, job.end[m]);
  }
  return (double)job.steps * probe->work.step_amount / (end - begin) * 1e-9;
}

double probe_take(bench_probe *probe) {
  double speed = run_all(probe);
  probe->best = fmax(probe->best, speed);
  return speed;
}

void probe_open(bench_probe *probe, bench_crew *crew, probe_work work, double seconds) {
  const double step_seconds_at_1e9 = work.step_amount * 1e-9;
  double start = bench_seconds();
  *probe = (bench_probe){.crew = crew, .work = work, .steps = 1};
  do { /* of any length that the clock can measure */
    double speed = probe_take(probe);
    probe->steps = (int64_t)(seconds_wanted / 2 * speed / step_seconds_at_1e9) + 1;
  } while (bench_seconds() < start + seconds / 2);
  probe->steps = (int64_t)(seconds_wanted * probe->best / step_seconds_at_1e9) + 1;
  probe->best = 0; /* of probes of the final length only */
  do probe_take(probe);
  while (bench_seconds() < start + seconds);
}
