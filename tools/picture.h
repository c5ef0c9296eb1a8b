/* picture.h - a PNG file to embed in a drawing.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TOOL_PICTURE_H
#define ATTN_TOOL_PICTURE_H

#include <stdint.h>
#include <stdio.h>

typedef struct picture {
  char *bytes; /* the file; NULL: no picture */
  int64_t size;
  uint32_t width, height; /* in pixels, at least 1 */
} picture;

/* Reads a PNG file. Returns EXIT_OK, or reports the error and returns its exit code. */
int picture_read(picture *png, const char *path);

/* Writes it as a data URI. */
void picture_write_uri(FILE *file, const picture *png);

void picture_free(picture *png);

#endif
