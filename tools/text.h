/* text.h - writes text of any origin so that XML and JSON stay well-formed.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TOOL_TEXT_H
#define ATTN_TOOL_TEXT_H

#include <stdint.h>
#include <stdio.h>

/* Reads one character of UTF-8 and moves *at past it; 0 at the end of the text, U+FFFD for bytes that
 * are not UTF-8. */
uint32_t text_next(const char **at);

/* How many characters. */
int64_t text_length(const char *text);

/* Writes at most limit characters (and an ellipsis if there are more) as XML content or attribute. */
void text_xml(FILE *file, const char *text, int64_t limit);

/* Writes a JSON string, quotes included. */
void text_json(FILE *file, const char *text);

#endif
