/* terminal.c - colours, for people only.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _POSIX_C_SOURCE 200809L
#include "terminal.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool has_colours(FILE *stream) {
  const char *no_colour = getenv("NO_COLOR");
  const char *terminal = getenv("TERM");
  if (no_colour != NULL && no_colour[0] != '\0') return false;
  return terminal != NULL && strcmp(terminal, "dumb") != 0 && isatty(fileno(stream)) == 1;
}

const char *terminal_set(FILE *stream, terminal_style style) {
  static const char *const codes[] = {"\033[0m", "\033[1m", "\033[1;31m", "\033[33m"};
  return has_colours(stream) ? codes[style] : "";
}

void terminal_help(const char *text) {
  while (*text != '\0') {
    size_t length = strcspn(text, "\n");
    bool is_heading = length > 0 && text[0] != ' ' && strncmp(text + length, "\n  ", 3) == 0 &&
                      strncmp(text, "Usage:", 6) != 0;
    printf("%s%.*s%s\n", is_heading ? terminal_set(stdout, TERMINAL_BOLD) : "", (int)length, text,
           is_heading ? terminal_set(stdout, TERMINAL_PLAIN) : "");
    text += length + (text[length] == '\n');
  }
}
