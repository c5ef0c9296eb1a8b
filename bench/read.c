/* read.c - a probe's work: reading two arrays.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "read.h"

enum {
  PART_UNIT = 512,  /* floats: a member's part of an array is a multiple of it */
  STEP_FLOATS = 32, /* read from each stream in turn */
  SUMS = 8,         /* to hide the latency of an addition */
};
static const int tries = 5;                        /* of each way */
static const double seconds = 2e-3;                /* of a try, at least */
static const double steadiness = 0.8, share = 0.5; /* memory is shared with others all the time */

/* Defines a loop that sums part floats up, reading from so many streams in turn; ahead: how many floats
 * before it needs them it asks for them, 0 for never. */
#define DEFINE_LOOP(name, attributes, vector, streams)                                                     \
  attributes static float name(const float *array, size_t part, size_t ahead) {                            \
    enum { LANES = sizeof(vector) / sizeof(float), LOADS = STEP_FLOATS / LANES };                          \
    vector sum[SUMS] = {0};                                                                                \
    size_t stream = part / (streams);                                                                      \
    for (size_t n = 0; n < stream; n += STEP_FLOATS)                                                       \
      for (size_t s = 0; s < (streams); s++) {                                                             \
        const float *at = array + s * stream + n;                                                          \
        if (ahead > 0) {                                                                                   \
          __builtin_prefetch(at + ahead);                                                                  \
          __builtin_prefetch(at + ahead + STEP_FLOATS / 2);                                                \
        }                                                                                                  \
        for (size_t l = 0; l < LOADS; l++)                                                                 \
          sum[(s * LOADS + l) % SUMS] += *(const vector *)(at + l * LANES);                                \
      }                                                                                                    \
    for (size_t s = 1; s < SUMS; s++) sum[0] += sum[s];                                                    \
    return sum[0][0];                                                                                      \
  }

#define DEFINE_LOOPS(isa, attributes, vector)                                                              \
  DEFINE_LOOP(isa##_1, attributes, vector, 1)                                                              \
  DEFINE_LOOP(isa##_2, attributes, vector, 2)                                                              \
  DEFINE_LOOP(isa##_4, attributes, vector, 4)                                                              \
  DEFINE_LOOP(isa##_8, attributes, vector, 8)

typedef float vector4 __attribute__((vector_size(16), aligned(4), may_alias));
DEFINE_LOOPS(portable, , vector4)
#if defined(__x86_64__)
typedef float vector8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float vector16 __attribute__((vector_size(64), aligned(4), may_alias));
DEFINE_LOOPS(avx2, __attribute__((target("avx2"))), vector8)
DEFINE_LOOPS(avx512, __attribute__((target("avx512f"))), vector16)
#endif

typedef float (*read_loop)(const float *array, size_t part, size_t ahead);
enum { LOOPS = 4 };

static const read_loop *pick_loops(void) {
  static const read_loop loops_portable[LOOPS] = {portable_1, portable_2, portable_4, portable_8};
#if defined(__x86_64__)
  static const read_loop loops_avx2[LOOPS] = {avx2_1, avx2_2, avx2_4, avx2_8};
  static const read_loop loops_avx512[LOOPS] = {avx512_1, avx512_2, avx512_4, avx512_8};
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) return loops_avx512;
  if (__builtin_cpu_supports("avx2")) return loops_avx2;
#endif
  return loops_portable;
}

/* The ways: each loop with each distance. */
static const size_t distances[] = {0, 128, 512};
enum { DISTANCES = sizeof distances / sizeof distances[0], WAYS = LOOPS * DISTANCES };

static size_t part_of(const read_job *job, int members) {
  return job->floats / (size_t)members / PART_UNIT * PART_UNIT;
}

static float read_part(const void *data, int64_t steps, int member, int members) {
  const read_job *job = data;
  read_loop loop = pick_loops()[job->way / DISTANCES];
  size_t part = part_of(job, members), ahead = distances[job->way % DISTANCES];
  float sum = 0;
  for (int64_t step = 0; step < steps; step++)
    for (int a = 0; a < 2; a++) sum += loop(job->arrays[a] + (size_t)member * part, part, ahead);
  return sum;
}

probe_work read_work(read_job *job, bench_crew *crew) {
  int members = crew_members(crew), fastest = 0;
  probe_work work = {.run = read_part,
                     .data = job,
                     .step_amount = 2.0 * sizeof(float) * (double)part_of(job, members) * members,
                     .steadiness = steadiness,
                     .share = share};
  double speed = 0;
  for (int t = 0; t < tries * WAYS; t++) {
    bench_probe probe;
    job->way = t % WAYS;
    probe_open(&probe, crew, work, seconds);
    if (probe.best > speed) {
      speed = probe.best;
      fastest = job->way;
    }
  }
  job->way = fastest;
  return work;
}
