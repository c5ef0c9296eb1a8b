/* images.h - Fashion-MNIST, read from its files and made ready to be compared.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef IMAGES_H
#define IMAGES_H

#include <stdint.h>

enum { SIDE = 28, PIXELS = SIDE * SIDE, CLASSES = 10 };

typedef struct images {
  int64_t count;
  uint8_t *pixels; /* count x PIXELS, 0 is the background */
  uint8_t *labels; /* count, each below CLASSES */
  float *vectors;  /* count x PIXELS, see images_vectors */
} images;

/* images_read - reads NAME-images-idx3-ubyte.gz and NAME-labels-idx1-ubyte.gz of a folder. Returns 1, or 0
 * after a sentence on stderr. */
int images_read(images *set, const char *folder, const char *name);

/* images_mean - the mean of the square roots of the pixels of the images. mean: PIXELS numbers. */
void images_mean(const images *set, float *mean);

/* images_vectors - makes the vectors: the square roots of the pixels less the mean, with a length of 1, so
 * that the product of two is their correlation. Returns 1, or 0 if memory is short. */
int images_vectors(images *set, const float *mean);

void images_free(images *set);

/* images_class - the name of a label. */
const char *images_class(int label);

#endif
