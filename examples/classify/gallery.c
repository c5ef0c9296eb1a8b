/* gallery.c - images in rows, the first asked about and the others answering, as an SVG drawing.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "gallery.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All images are one sheet with room for words between them, drawn twice as large. */
enum {
  COLUMNS = 1 + GALLERY_KEYS,
  STEP_X = 40,
  STEP_Y = 48,
  SHEET_WIDTH = COLUMNS * STEP_X,
  SHEET_HEIGHT = GALLERY_ROWS * STEP_Y,
  SCALE = 2,
  HEAD = 40
};

static void place(uint8_t *sheet, int row, int column, const uint8_t *pixels) {
  for (int y = 0; y < SIDE; y++)
    for (int x = 0; x < SIDE; x++)
      sheet[(row * STEP_Y + y) * SHEET_WIDTH + column * STEP_X + (STEP_X - SIDE) / 2 + x] =
          (uint8_t)(255 - pixels[y * SIDE + x]);
}

static void write_base64(FILE *file, const uint8_t *bytes, size_t count) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < count; i += 3) {
    uint32_t three = 0;
    for (size_t n = 0; n < 3; n++) three = three << 8 | (i + n < count ? bytes[i + n] : 0);
    for (size_t n = 0; n < 4; n++)
      fputc(i + n > count ? '=' : digits[three >> (18 - 6 * (int)n) & 63], file);
  }
}

static int write_sheet(FILE *file, const uint8_t *sheet) {
  png_image image = {.version = PNG_IMAGE_VERSION,
                     .width = SHEET_WIDTH,
                     .height = SHEET_HEIGHT,
                     .format = PNG_FORMAT_GRAY};
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  uint8_t *bytes = malloc(size);
  const int done = bytes && png_image_write_to_memory(&image, bytes, &size, 0, sheet, 0, NULL);
  if (done) {
    fprintf(file, "<image y=\"%d\" width=\"%d\" height=\"%d\" href=\"data:image/png;base64,", HEAD,
            SHEET_WIDTH * SCALE, SHEET_HEIGHT * SCALE);
    write_base64(file, bytes, size);
    fputs("\"/>\n", file);
  }
  free(bytes);
  return done;
}

/* Two lines below an image. */
static void write_words(FILE *file, int row, int column, const char *colour, const char *const lines[2]) {
  for (int line = 0; line < 2; line++)
    fprintf(file, "<text x=\"%d\" y=\"%d\" fill=\"%s\">%s</text>\n", (2 * column + 1) * STEP_X * SCALE / 2,
            HEAD + (row * STEP_Y + SIDE + 6) * SCALE + 13 * line, colour, lines[line]);
}

static void write_row(FILE *file, int row, const gallery_row *from) {
  const char *right = "#1a6b32", *wrong = "#b3261e", *plain = "#333";
  char words[32];
  snprintf(words, sizeof words, "\u2192 %s", images_class(from->answer));
  write_words(file, row, 0, from->answer == from->label ? right : wrong,
              (const char *[]){images_class(from->label), words});
  for (int key = 0; key < GALLERY_KEYS; key++) {
    snprintf(words, sizeof words, "%.3f", (double)from->weights[key]);
    write_words(file, row, 1 + key, from->key_labels[key] == from->label ? plain : wrong,
                (const char *[]){images_class(from->key_labels[key]), words});
  }
}

int gallery_write(const char *path, const gallery_row *rows) {
  static uint8_t sheet[SHEET_WIDTH * SHEET_HEIGHT];
  memset(sheet, 255, sizeof sheet);
  for (int row = 0; row < GALLERY_ROWS; row++) {
    place(sheet, row, 0, rows[row].query);
    for (int key = 0; key < GALLERY_KEYS; key++) place(sheet, row, 1 + key, rows[row].keys[key]);
  }
  FILE *file = fopen(path, "w");
  if (!file) return 0;
  const int width = SHEET_WIDTH * SCALE, height = HEAD + SHEET_HEIGHT * SCALE;
  fprintf(file,
          "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\"\n",
          width, height, width, height);
  fputs("  font-family=\"sans-serif\" font-size=\"11\" text-anchor=\"middle\">\n", file);
  fprintf(file, "<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n", width, height);
  int done = write_sheet(file, sheet);
  fprintf(file, "<text x=\"%d\" y=\"24\" font-size=\"13\" font-weight=\"bold\">asked</text>\n",
          STEP_X * SCALE / 2);
  fprintf(file,
          "<text x=\"%d\" y=\"24\" font-size=\"13\" text-anchor=\"start\"><tspan font-weight=\"bold\">most "
          "attended to</tspan>, with the weight of each (red: not of the same class)</text>\n",
          STEP_X * SCALE + 8);
  fprintf(file, "<path d=\"M%d %d V%d\" stroke=\"#999\"/>\n", STEP_X * SCALE, HEAD - 6, height - 4);
  for (int row = 0; row < GALLERY_ROWS; row++) write_row(file, row, &rows[row]);
  fputs("</svg>\n", file);
  done = !ferror(file) && done;
  return fclose(file) == 0 && done;
}
