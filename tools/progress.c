/* progress.c - a progress bar on stderr for people who wait.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _POSIX_C_SOURCE 200809L
#include "progress.h"

#include <stdio.h>
#include <unistd.h>

enum { BAR_WIDTH = 40 };

bool progress_is_visible(void) {
  return isatty(STDERR_FILENO) == 1;
}

void progress_draw(int64_t done, int64_t total, double seconds) {
  static const char full[] = "########################################";
  double part = (double)done / (double)total;
  int cells = (int)(part * BAR_WIDTH);
  double left = seconds / part - seconds;
  fprintf(stderr, "\r[%-*.*s] %3.0f %%  %.0f s, %.0f s left \033[K", BAR_WIDTH, cells, full, 100.0 * part,
          seconds, left);
  fflush(stderr);
}

void progress_clear(void) {
  fputs("\r\033[K", stderr);
  fflush(stderr);
}
