/* terminal.h - colours, for people only.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TOOL_TERMINAL_H
#define ATTN_TOOL_TERMINAL_H

#include <stdio.h>

typedef enum terminal_style { TERMINAL_PLAIN, TERMINAL_BOLD, TERMINAL_RED, TERMINAL_YELLOW } terminal_style;

/* What to print to stream so that what follows has that style: "" unless stream is a terminal that can, and
 * the environment variable NO_COLOR is empty or not there (no-color.org). */
const char *terminal_set(FILE *stream, terminal_style style);

/* Prints a help text, its headings in bold. */
void terminal_help(const char *text);

#endif
