/* denoise.c - non-local means: each pixel becomes a mean of those around it whose patches look like its own.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * This is local attention (Buades, Coll and Morel, 2005): queries and keys are the patches around the pixels,
 * values the pixels. The weight exp(-|q - k|^2 / h^2) is a softmax of 2 q.k / h^2 - |k|^2 / h^2, the first term
 * a scaled product, the second a bias. The square around a pixel is one window for each of its rows: rows of
 * the photo are the batch, so one call does this row of the squares of all pixels, and attn_merge joins the
 * rows by their log-sum-exps.
 *
 *     cc denoise.c photo.c $(pkg-config --cflags --libs libattn libpng) -lm -o denoise
 *     ./denoise -o denoised.png
 */
#define _POSIX_C_SOURCE 200809L
#include <attn/attn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "photo.h"

enum { PATCH = 5, DIM = PATCH * PATCH * COLOURS };

/* What the squares are computed from and into. */
typedef struct denoiser {
  attn_context *context;
  int64_t width, height, reach; /* a square is 2 reach + 1 pixels wide */
  float scale;                  /* 2 / h^2 */
  const float *noisy;           /* height x width x COLOURS */
  float *patches;               /* height x width x DIM */
  float *biases;                /* height x width: -|patch|^2 / h^2 */
  float *row, *row_lse;         /* of one row of the squares: height x width (x COLOURS) */
  float *output, *lse;          /* of the rows so far */
} denoiser;

/* Numbers are centred, so that products of patches are small and exact. */
static void cut_patches(denoiser *of, const photo *noisy) {
  float *patch = of->patches, *bias = of->biases;
  for (int64_t y = 0; y < of->height; y++)
    for (int64_t x = 0; x < of->width; x++, patch += DIM, bias++) {
      float square = 0;
      for (int64_t n = 0; n < DIM; n++) {
        const int64_t place = n / COLOURS;
        const float *pixel =
            photo_pixel(noisy, y + place / PATCH - PATCH / 2, x + place % PATCH - PATCH / 2);
        patch[n] = pixel[n % COLOURS] - 0.5f;
        square += patch[n] * patch[n];
      }
      *bias = -square * of->scale / 2;
    }
}

/* Attention of all pixels to those in the row `down` rows below their own. */
static int32_t attend_row(denoiser *of, int64_t down) {
  const int64_t query = down < 0 ? -down : 0, key = query + down; /* the first rows that take part */
  const int64_t pixel_strides[] = {of->width, 0, 0, 1};
  const int64_t pixels = of->width * of->height, first = query * of->width;
  for (int64_t n = 0; n < pixels; n++) of->row_lse[n] = -INFINITY; /* where the photo has no such row */
  attn_args args = {.size = sizeof args,
                    .batch = of->height - labs((long)down),
                    .heads_q = 1,
                    .len_q = of->width,
                    .len_k = of->width,
                    .dim = DIM,
                    .dim_v = COLOURS,
                    .query = of->patches + first * DIM,
                    .key = of->patches + key * of->width * DIM,
                    .value = of->noisy + key * of->width * COLOURS,
                    .output = of->row + first * COLOURS,
                    .lse = of->row_lse + first,
                    .has_scale = 1,
                    .scale = of->scale,
                    .bias = of->biases + key * of->width,
                    .bias_strides = pixel_strides,
                    .has_window = 1,
                    .window_left = of->reach,
                    .window_right = of->reach};
  return attn_local(of->context, &args);
}

static int32_t join_row(denoiser *of) {
  const float *outputs[] = {of->output, of->row}, *lses[] = {of->lse, of->row_lse};
  attn_merge_args args = {.size = sizeof args,
                          .parts = 2,
                          .batch = 1,
                          .heads = 1,
                          .len_q = of->width * of->height,
                          .dim_v = COLOURS,
                          .outputs = outputs,
                          .lses = lses,
                          .output = of->output,
                          .lse = of->lse};
  return attn_merge(of->context, &args);
}

static int denoise(denoiser *of) {
  for (int64_t n = 0; n < of->width * of->height; n++) of->lse[n] = -INFINITY; /* no row so far */
  for (int64_t down = -of->reach; down <= of->reach; down++) {
    if (isatty(STDERR_FILENO))
      fprintf(stderr, "\rrow %lld of %lld \r", (long long)(down + of->reach + 1),
              (long long)(2 * of->reach + 1));
    if (attend_row(of, down) != ATTN_OK || join_row(of) != ATTN_OK) {
      fprintf(stderr, "denoise: %s\n", attn_last_error(of->context));
      return 0;
    }
  }
  return 1;
}

/* What non-local means make of the photo; no pixels after an error. strength: h^2 in units of the expected
 * square of the noise of a patch. */
static photo denoised(const photo *noisy, float sigma, float strength, int64_t reach) {
  const size_t pixels = (size_t)(noisy->width * noisy->height);
  photo made = photo_empty(noisy), row = photo_empty(noisy);
  denoiser of = {.width = noisy->width,
                 .height = noisy->height,
                 .reach = reach < noisy->height ? reach : noisy->height - 1,
                 .scale = 2 / (strength * sigma * sigma * DIM),
                 .noisy = noisy->pixels,
                 .patches = malloc(pixels * DIM * sizeof(float)),
                 .biases = malloc(pixels * sizeof(float)),
                 .row = row.pixels,
                 .row_lse = malloc(pixels * sizeof(float)),
                 .output = made.pixels,
                 .lse = malloc(pixels * sizeof(float))};
  int done = of.output && of.row && of.patches && of.biases && of.row_lse && of.lse;
  if (done) cut_patches(&of, noisy);
  done = done && attn_create(&of.context, NULL) == ATTN_OK && denoise(&of);
  attn_destroy(of.context);
  free(of.patches);
  free(of.biases);
  free(of.row);
  free(of.row_lse);
  free(of.lse);
  if (done) return made;
  free(made.pixels);
  made.pixels = NULL;
  return made;
}

/* The blur that comes nearest to the truth, which only an oracle would know. */
static photo best_blur(const photo *noisy, const photo *truth) {
  photo best = photo_blurred(noisy, 0.3f);
  for (int tenths = 4; tenths <= 30 && best.pixels; tenths++) {
    photo next = photo_blurred(noisy, (float)tenths / 10);
    const int better = next.pixels && photo_psnr(&next, truth) > photo_psnr(&best, truth);
    free(better ? best.pixels : next.pixels);
    if (!better) break;
    best = next;
  }
  return best;
}

/* Fills in the noisy one, the blurred one and the denoised one; the original is the last. */
static int measure(photo *four, float sigma, float strength, int64_t reach) {
  const photo *truth = &four[3];
  four[0] = photo_noisy(truth, sigma);
  if (four[0].pixels) four[1] = best_blur(&four[0], truth);
  if (four[1].pixels) four[2] = denoised(&four[0], sigma, strength, reach);
  if (!four[2].pixels) return 0;
  const double noisy = photo_psnr(&four[0], truth), blurred = photo_psnr(&four[1], truth);
  const double mended = photo_psnr(&four[2], truth);
  printf("noisy %.2f dB\n", noisy);
  printf("blurred %.2f dB, by the Gaussian blur that is best for this photo\n", blurred);
  printf("denoised %.2f dB, by non-local means\n", mended);
  printf("gain %.2f dB over the noisy photo\n", mended - noisy);
  printf("lead %.2f dB over the blurred one\n", mended - blurred);
  return 1;
}

static int usage(void) {
  fputs("usage: denoise [-s SIGMA] [-k STRENGTH] [-r REACH] [-o PICTURE.png] [PHOTO.png]\n", stderr);
  return 2;
}

int main(int count, char **words) {
  const char *picture = NULL,
             *path = "/usr/lib/python3/dist-packages/imageio/resources/images/astronaut.png";
  float sigma = 25, strength = 0.8f; /* sigma is that of pixels from 0 to 255 */
  int64_t reach = 10;
  for (int option; (option = getopt(count, words, "s:k:r:o:")) != -1;)
    if (option == 's')
      sigma = strtof(optarg, NULL);
    else if (option == 'k')
      strength = strtof(optarg, NULL);
    else if (option == 'r')
      reach = atoll(optarg);
    else if (option == 'o')
      picture = optarg;
    else
      return usage();
  if (optind + 1 < count || !(sigma > 0) || !(strength > 0) || reach < 0) return usage();
  if (optind < count)
    path = words[optind];
  else if (access(path, R_OK) != 0) {
    fprintf(stderr, "%s: not there; on Debian: apt install python3-imageio\n", path);
    return 1;
  }
  photo four[4] = {{0}}; /* noisy, blurred, denoised, original */
  int done = photo_read(&four[3], path) && measure(four, sigma / 255, strength, reach);
  if (done && picture && !photo_write(picture, four)) {
    fprintf(stderr, "denoise: %s cannot be written\n", picture);
    done = 0;
  }
  for (int n = 0; n < 4; n++) free(four[n].pixels);
  return done ? 0 : 1;
}
