/* picture.c - a PNG file to embed in a drawing.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "picture.h"

#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "refuse.h"

enum { SIZE_LIMIT = 16 * 1024 * 1024, WIDTH_AT = 16, HEIGHT_AT = 20, HEADER_SIZE = 33 };

static uint32_t from_big_endian(const char *bytes) {
  uint32_t number = 0;
  for (int i = 0; i < 4; i++) number = number << 8 | (unsigned char)bytes[i];
  return number;
}

int picture_read(picture *png, const char *path) {
  static const char start[] =
      "\x89PNG\r\n\x1a\n\0\0\0\rIHDR"; /* signature; the first chunk's length and name */
  int code = file_read(path, SIZE_LIMIT, &png->bytes, &png->size);
  if (code != EXIT_OK) return code;
  if (png->size >= HEADER_SIZE && memcmp(png->bytes, start, sizeof start - 1) == 0) {
    png->width = from_big_endian(png->bytes + WIDTH_AT);
    png->height = from_big_endian(png->bytes + HEIGHT_AT);
    if (png->width > 0 && png->height > 0) return EXIT_OK;
  }
  picture_free(png);
  return refuse(EXIT_FILE, "%s: expected a PNG picture", path);
}

void picture_write_uri(FILE *file, const picture *png) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  fputs("data:image/png;base64,", file);
  for (int64_t at = 0; at < png->size; at += 3) {
    int64_t count = png->size - at < 3 ? png->size - at : 3;
    uint32_t group = 0;
    for (int64_t i = 0; i < 3; i++)
      group = group << 8 | (i < count ? (unsigned char)png->bytes[at + i] : 0);
    for (int64_t i = 0; i < 4; i++) fputc(i <= count ? digits[group >> (18 - 6 * i) & 63] : '=', file);
  }
}

void picture_free(picture *png) {
  free(png->bytes);
  *png = (picture){0};
}
