/* refuse.h - how the command ends: exit codes and the one sentence that goes with them.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TOOL_REFUSE_H
#define ATTN_TOOL_REFUSE_H

enum {
  EXIT_OK = 0,
  EXIT_DIFFERENT = 1, /* a comparison failed */
  EXIT_USAGE = 2,     /* the command line is wrong */
  EXIT_FILE = 3,      /* a file cannot be read or written, or does not hold what was expected */
  EXIT_LIBRARY = 4    /* the library refused or failed, or memory ran out */
};

/* Writes "attn: <sentence>" as one line to stderr, control characters replaced, and returns code. */
__attribute__((format(printf, 2, 3))) int refuse(int code, const char *format, ...);

#endif
