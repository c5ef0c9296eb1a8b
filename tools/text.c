/* text.c - writes text of any origin so that XML and JSON stay well-formed.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "text.h"

enum { REPLACEMENT = 0xFFFD, ELLIPSIS = 0x2026 };

uint32_t text_next(const char **at) {
  const unsigned char *bytes = (const unsigned char *)*at;
  uint32_t first = bytes[0];
  if (first == 0) return 0;
  (*at)++;
  if (first < 0x80) return first;
  int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
  if (first < 0xC2 || first > 0xF4) return REPLACEMENT;
  uint32_t code = first & (0x3Fu >> more);
  for (int i = 1; i <= more; i++) {
    if ((bytes[i] & 0xC0) != 0x80) return REPLACEMENT;
    code = code << 6 | (bytes[i] & 0x3Fu);
  }
  static const uint32_t lowest[] = {0, 0x80, 0x800, 0x10000}; /* else it is an overlong form */
  if (code < lowest[more] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return REPLACEMENT;
  *at += more;
  return code;
}

int64_t text_length(const char *text) {
  int64_t length = 0;
  while (text_next(&text) != 0) length++;
  return length;
}

static void put_utf8(FILE *file, uint32_t code) {
  int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  static const uint32_t lead[] = {0, 0xC0, 0xE0, 0xF0};
  fputc((int)(lead[more] | code >> 6 * more), file);
  while (more-- > 0) fputc((int)(0x80 | (code >> 6 * more & 0x3F)), file);
}

static void put_xml(FILE *file, uint32_t code) {
  if (code == '&')
    fputs("&amp;", file);
  else if (code == '<')
    fputs("&lt;", file);
  else if (code == '>')
    fputs("&gt;", file);
  else if (code == '"')
    fputs("&quot;", file);
  else if (code == '\t')
    fputc(' ', file);
  else if (code < ' ' || code == 0xFFFE || code == 0xFFFF) /* what XML 1.0 has no way to say */
    put_utf8(file, REPLACEMENT);
  else
    put_utf8(file, code);
}

void text_xml(FILE *file, const char *text, int64_t limit) {
  int64_t kept = text_length(text) > limit ? limit - 1 : limit;
  uint32_t code = 0;
  for (int64_t i = 0; i < kept && (code = text_next(&text)) != 0; i++) put_xml(file, code);
  if (kept < limit) put_utf8(file, ELLIPSIS);
}

void text_json(FILE *file, const char *text) {
  fputc('"', file);
  for (uint32_t code; (code = text_next(&text)) != 0;) {
    if (code == '"' || code == '\\')
      fprintf(file, "\\%c", (int)code);
    else if (code < ' ')
      fprintf(file, "\\u%04x", (unsigned)code);
    else
      put_utf8(file, code);
  }
  fputc('"', file);
}
