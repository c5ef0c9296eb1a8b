/* refuse.c - how the command ends: exit codes and the one sentence that goes with them.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "refuse.h"

#include <stdarg.h>
#include <stdio.h>

#include "terminal.h"

int refuse(int code, const char *format, ...) {
  char line[8192];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  for (char *c = line; *c != '\0'; c++)
    if ((unsigned char)*c < ' ' || *c == 127) *c = '?';
  fprintf(stderr, "%sattn:%s %s\n", terminal_set(stderr, TERMINAL_RED),
          terminal_set(stderr, TERMINAL_PLAIN), line);
  return code;
}
