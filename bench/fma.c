/* fma.c - a probe's work: fused multiply-adds.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Built with -ffp-contract=fast, so that sum * factor + term is one instruction where there is one. */
#include "fma.h"

#include <stddef.h>

/* Defines a loop over independent sums, enough of them to hide the latency of two to four units. What is added is
 * not known to the compiler: it would leave out a sum that it knows to stay what it is. */
#define DEFINE_LOOP(name, attributes, vector, sums)                                                        \
  attributes static float name(const void *data, int64_t steps, int member, int members) {                 \
    (void)data, (void)member;                                                                              \
    const vector zero = {0};                                                                               \
    vector sum[sums], factor = zero + 0.5f, term = zero + (float)members, all = zero;                      \
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

static const double steadiness = 0.9; /* a core is ours, or it is not */
static const double share = 0.7;      /* its clock depends on how long vectors have been busy */

probe_work fma_work(int members) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f"))
    return (probe_work){loop_avx512, NULL, 2.0 * 16 * SUMS_AVX512 * members, steadiness, share};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return (probe_work){loop_avx2, NULL, 2.0 * 8 * SUMS_AVX2 * members, steadiness, share};
#endif
  return (probe_work){loop_portable, NULL, 2.0 * 4 * SUMS_PORTABLE * members, steadiness, share};
}
