/* memory.c - how much memory this process takes, and how much there is (Linux: see proc(5)).
 * SPDX-License-Identifier: BSD-3-Clause */
#include "memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

/* The number behind "key:" in a file of lines; -1 if there is none. */
static int64_t read_number(const char *path, const char *key) {
  FILE *file = fopen(path, "r");
  if (file == NULL) return -1;
  char line[256];
  int64_t number = -1;
  while (number < 0 && fgets(line, sizeof line, file) != NULL)
    if (strncmp(line, key, strlen(key)) != 0 || sscanf(line + strlen(key), ": %" SCNd64, &number) != 1)
      number = -1;
  fclose(file);
  return number;
}

int64_t memory_peak(void) {
  return read_number("/proc/self/status", "VmHWM");
}

int64_t memory_reset_peak(void) {
#ifdef __GLIBC__
  malloc_trim(0); /* else what was freed serves the next allocation, and no growth shows */
#endif
  FILE *clear = fopen("/proc/self/clear_refs", "w");
  if (clear != NULL) {
    fputs("5", clear);
    fclose(clear);
  }
  return memory_peak();
}

int memory_suffices(double bytes, char *text, size_t text_size) {
  int64_t kib = read_number("/proc/meminfo", "MemAvailable");
  if (kib < 0 || bytes <= 512 * (double)kib) return 1;
  snprintf(text, text_size, "its score matrices take %.1f GiB, of %.1f GiB free", bytes / (1 << 30),
           (double)kib / (1 << 20));
  return 0;
}
