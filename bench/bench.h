/* bench.h - what every file of attn-bench needs: exit codes, errors, the clock, when a call is short.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

/* Exit codes; functions that can fail return one of them and have said why. */
enum {
  BENCH_OK = 0,
  BENCH_WRONG = 1,   /* an output is wrong */
  BENCH_USAGE = 2,   /* the command line */
  BENCH_FILE = 3,    /* a file */
  BENCH_LIBRARY = 4, /* the library, memory or threads */
};

/* Where a first call took fewer seconds, a turn begins with a call that is not timed: it brings the caches back. First calls
 * may take several times as long as others. */
#define BENCH_SHORT_CALL 0.1

/* bench_error - prints "attn-bench: " and one sentence to stderr; returns code. */
int bench_error(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* bench_seconds - a clock that only moves forward. */
double bench_seconds(void);

#endif
