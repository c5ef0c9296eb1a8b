/* photo.h - a colour photograph as floats, its files, its noise, and how far it is from another.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef PHOTO_H
#define PHOTO_H

#include <stdint.h>

enum { COLOURS = 3 };

typedef struct photo {
  int64_t width, height;
  float *pixels; /* height x width x COLOURS, from 0 to 1; NULL: none, for want of memory */
} photo;

/* photo_read - reads a PNG file. Returns 1, or 0 after a sentence on stderr. */
int photo_read(photo *picture, const char *path);

/* photo_empty - a photo of the size of another, black. */
photo photo_empty(const photo *like);

/* photo_noisy - the photo with normally distributed noise on it, the same on every run. */
photo photo_noisy(const photo *clean, float sigma);

/* photo_blurred - the photo through a Gaussian blur. */
photo photo_blurred(const photo *from, float sigma);

/* photo_psnr - the peak signal-to-noise ratio of a photo against the true one, in dB. */
double photo_psnr(const photo *picture, const photo *truth);

/* photo_write - writes four photos of one size as one PNG, two above two. Returns 1, or 0 if it cannot. */
int photo_write(const char *path, const photo *four);

/* photo_pixel - the pixel at a place, or that of the nearest edge where the place is outside. */
const float *photo_pixel(const photo *from, int64_t y, int64_t x);

#endif
