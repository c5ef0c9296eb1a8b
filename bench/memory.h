/* memory.h - how much memory this process takes, and how much there is.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* memory_peak - the peak of this process's resident memory in KiB; -1 where the system does not tell. */
int64_t memory_peak(void);

/* memory_reset_peak - brings the peak down to what is resident now, where the system can; returns it. */
int64_t memory_reset_peak(void);

/* memory_suffices - can so many bytes of score matrices be had without swapping, twice over? Says why not. */
int memory_suffices(double bytes, char *text, size_t text_size);

#endif
