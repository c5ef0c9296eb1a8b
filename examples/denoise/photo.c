/* photo.c - a colour photograph as floats, its files, its noise, and how far it is from another.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "photo.h"

#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GAP = 4 };

static int64_t numbers_of(const photo *picture) {
  return picture->width * picture->height * COLOURS;
}

int photo_read(photo *picture, const char *path) {
  png_image image = {.version = PNG_IMAGE_VERSION};
  if (!png_image_begin_read_from_file(&image, path)) {
    fprintf(stderr, "%s: %s\n", path, image.message);
    return 0;
  }
  image.format = PNG_FORMAT_RGB;
  *picture = photo_empty(&(photo){.width = image.width, .height = image.height});
  uint8_t *bytes = malloc(PNG_IMAGE_SIZE(image));
  const int done = picture->pixels && bytes && png_image_finish_read(&image, NULL, bytes, 0, NULL);
  for (int64_t n = 0; done && n < numbers_of(picture); n++) picture->pixels[n] = (float)bytes[n] / 255;
  if (!done) fprintf(stderr, "%s: %s\n", path, image.message[0] ? image.message : "memory is short");
  free(bytes);
  png_image_free(&image);
  return done;
}

photo photo_empty(const photo *like) {
  photo made = *like;
  made.pixels = calloc((size_t)numbers_of(like), sizeof(float));
  return made;
}

/* A number between 0 and 1, neither of them (Marsaglia's xorshift). */
static double uniform(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return ((double)(*state >> 12) + 0.5) / 4503599627370496.0;
}

photo photo_noisy(const photo *clean, float sigma) {
  photo made = photo_empty(clean);
  uint64_t state = 88172645463325252u;
  for (int64_t n = 0; made.pixels && n < numbers_of(clean); n++) {
    const double radius = sqrt(-2 * log(uniform(&state))), angle = 6.283185307179586 * uniform(&state);
    made.pixels[n] = clean->pixels[n] + sigma * (float)(radius * cos(angle));
  }
  return made;
}

const float *photo_pixel(const photo *from, int64_t y, int64_t x) {
  y = y < 0 ? 0 : y >= from->height ? from->height - 1 : y;
  x = x < 0 ? 0 : x >= from->width ? from->width - 1 : x;
  return from->pixels + (y * from->width + x) * COLOURS;
}

/* The blur along one direction: (down, right) is (1, 0) or (0, 1). */
static photo blurred_along(const photo *from, float sigma, int down, int right) {
  photo made = photo_empty(from);
  const int reach = (int)ceilf(3 * sigma);
  float *to = made.pixels;
  for (int64_t y = 0; to && y < from->height; y++)
    for (int64_t x = 0; x < from->width; x++, to += COLOURS) {
      float sum = 0;
      for (int n = -reach; n <= reach; n++) {
        const float weight = expf(-(float)(n * n) / (2 * sigma * sigma));
        const float *pixel = photo_pixel(from, y + n * down, x + n * right);
        for (int d = 0; d < COLOURS; d++) to[d] += weight * pixel[d];
        sum += weight;
      }
      for (int d = 0; d < COLOURS; d++) to[d] /= sum;
    }
  return made;
}

photo photo_blurred(const photo *from, float sigma) {
  photo half = blurred_along(from, sigma, 0, 1);
  photo made = half.pixels ? blurred_along(&half, sigma, 1, 0) : half;
  free(half.pixels);
  return made;
}

double photo_psnr(const photo *picture, const photo *truth) {
  double squares = 0;
  for (int64_t n = 0; n < numbers_of(truth); n++) {
    const double difference = (double)picture->pixels[n] - (double)truth->pixels[n];
    squares += difference * difference;
  }
  return 10 * log10((double)numbers_of(truth) / squares);
}

static void place(uint8_t *bytes, int64_t stride, const photo *from) {
  for (int64_t y = 0; y < from->height; y++)
    for (int64_t n = 0; n < from->width * COLOURS; n++) {
      const float number = from->pixels[y * from->width * COLOURS + n];
      bytes[y * stride + n] = (uint8_t)lroundf(255 * fminf(fmaxf(number, 0), 1));
    }
}

int photo_write(const char *path, const photo *four) {
  const int64_t width = 2 * four->width + GAP, height = 2 * four->height + GAP;
  png_image image = {.version = PNG_IMAGE_VERSION,
                     .width = (uint32_t)width,
                     .height = (uint32_t)height,
                     .format = PNG_FORMAT_RGB};
  uint8_t *bytes = malloc((size_t)(width * height * COLOURS));
  if (!bytes) return 0;
  memset(bytes, 255, (size_t)(width * height * COLOURS));
  for (int n = 0; n < 4; n++) {
    const int64_t y = n / 2 * (four->height + GAP), x = n % 2 * (four->width + GAP);
    place(bytes + (y * width + x) * COLOURS, width * COLOURS, &four[n]);
  }
  const int done = png_image_write_to_file(&image, path, 0, bytes, 0, NULL);
  free(bytes);
  return done;
}
