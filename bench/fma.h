/* fma.h - a probe's work: fused multiply-adds.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Independent ones in registers, of the widest kind that the CPU has. They touch no memory: they see the
 * clock speed and the share of the CPU that the host leaves us, not the caches. */
#ifndef BENCH_FMA_H
#define BENCH_FMA_H

#include "probe.h"

/* fma_work - for a crew of so many members. */
probe_work fma_work(int members);

#endif
