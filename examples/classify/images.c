/* images.c - Fashion-MNIST, read from its files and made ready to be compared.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "images.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

enum { PATH_SPACE = 4096, MOST_IMAGES = 1000000 };

static int64_t big_endian(const uint8_t *at) {
  return (int64_t)at[0] << 24 | (int64_t)at[1] << 16 | (int64_t)at[2] << 8 | at[3];
}

static uint8_t *read_items(gzFile file, int sizes, size_t item, int64_t *count) {
  uint8_t head[16];
  const int length = 4 + 4 * sizes; /* four bytes that name the type, then the sizes */
  if (gzread(file, head, (unsigned)length) != length || head[2] != 8 || head[3] != sizes) return NULL;
  *count = big_endian(head + 4);
  if (*count < 1 || *count > MOST_IMAGES) return NULL;
  const size_t bytes = (size_t)*count * item;
  uint8_t *items = malloc(bytes);
  if (items && gzread(file, items, (unsigned)bytes) != (int)bytes) {
    free(items);
    return NULL;
  }
  return items;
}

/* Reads a file of count items; sizes is the number of its dimensions, item the bytes of one. */
static uint8_t *read_file(const char *path, int sizes, size_t item, int64_t *count) {
  gzFile file = gzopen(path, "rb");
  if (!file) {
    fprintf(stderr, "%s: cannot be read; on Debian: apt install dataset-fashion-mnist\n", path);
    return NULL;
  }
  uint8_t *items = read_items(file, sizes, item, count);
  gzclose(file);
  if (!items) fprintf(stderr, "%s: not such a file of Fashion-MNIST, or memory is short\n", path);
  return items;
}

int images_read(images *set, const char *folder, const char *name) {
  char path[PATH_SPACE];
  int64_t labels = 0;
  snprintf(path, sizeof path, "%s/%s-images-idx3-ubyte.gz", folder, name);
  set->pixels = read_file(path, 3, PIXELS, &set->count);
  if (!set->pixels) return 0;
  snprintf(path, sizeof path, "%s/%s-labels-idx1-ubyte.gz", folder, name);
  set->labels = read_file(path, 1, 1, &labels);
  if (!set->labels) return 0;
  int good = labels == set->count;
  for (int64_t i = 0; good && i < labels; i++) good = set->labels[i] < CLASSES;
  if (!good) fprintf(stderr, "%s: its labels do not fit the images\n", path);
  return good;
}

void images_mean(const images *set, float *mean) {
  double sums[PIXELS] = {0};
  for (int64_t i = 0; i < set->count; i++)
    for (int d = 0; d < PIXELS; d++) sums[d] += sqrt(set->pixels[i * PIXELS + d]);
  for (int d = 0; d < PIXELS; d++) mean[d] = (float)(sums[d] / (double)set->count);
}

int images_vectors(images *set, const float *mean) {
  set->vectors = malloc((size_t)set->count * PIXELS * sizeof(float));
  if (!set->vectors) return 0;
  for (int64_t i = 0; i < set->count; i++) {
    float *vector = set->vectors + i * PIXELS, square = 0;
    for (int d = 0; d < PIXELS; d++) {
      vector[d] = sqrtf(set->pixels[i * PIXELS + d]) - mean[d];
      square += vector[d] * vector[d];
    }
    for (int d = 0; d < PIXELS; d++) vector[d] /= sqrtf(square);
  }
  return 1;
}

void images_free(images *set) {
  free(set->pixels);
  free(set->labels);
  free(set->vectors);
}

const char *images_class(int label) {
  static const char *const names[CLASSES] = {"T-shirt", "trousers", "pullover", "dress", "coat",
                                             "sandal",  "shirt",    "sneaker",  "bag",   "boot"};
  return names[label];
}
