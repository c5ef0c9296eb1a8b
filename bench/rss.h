/* rss.h - the peak of this process's resident memory.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_RSS_H
#define BENCH_RSS_H

#include <stdint.h>

/* rss_peak - the peak in KiB; -1 where the system does not tell. */
int64_t rss_peak(void);

/* rss_reset_peak - sets the peak back to what is resident now, where the system allows it; returns the
 * peak after that, as rss_peak. Where it does not, growth below an earlier peak goes unseen. */
int64_t rss_reset_peak(void);

#endif
