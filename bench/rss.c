/* rss.c - the peak of this process's resident memory (Linux: see proc(5), VmHWM and clear_refs).
 * SPDX-License-Identifier: BSD-3-Clause */
#include "rss.h"

#include <inttypes.h>
#include <stdio.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

int64_t rss_peak(void) {
  FILE *status = fopen("/proc/self/status", "r");
  if (status == NULL) return -1;
  char line[256];
  int64_t peak = -1;
  while (peak < 0 && fgets(line, sizeof line, status) != NULL)
    if (sscanf(line, "VmHWM: %" SCNd64, &peak) != 1) peak = -1;
  fclose(status);
  return peak;
}

int64_t rss_reset_peak(void) {
#ifdef __GLIBC__
  malloc_trim(0); /* else what was freed serves the next allocation, and no growth shows */
#endif
  FILE *clear = fopen("/proc/self/clear_refs", "w");
  if (clear != NULL) {
    fputs("5", clear);
    fclose(clear);
  }
  return rss_peak();
}
