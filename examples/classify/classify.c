/* classify.c - image classification by attention over a training set: softmax(q k^T / t) v.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Queries are the images asked about, keys the training images, values their labels: ten numbers, 1 at the
 * label. What comes out for a query is the share of each class in what it attends to. The temperature t is
 * chosen on a part of the training set that is held out; nothing else is trained.
 *
 *     cc classify.c images.c gallery.c $(pkg-config --cflags --libs libattn libpng zlib) -lm -o classify
 *     ./classify -o gallery.svg
 */
#define _POSIX_C_SOURCE 200809L
#include <attn/attn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "gallery.h"
#include "images.h"

enum { HELD_OUT = 10000, AT_ONCE = 500 };

typedef struct choices {
  const char *folder, *picture;
  double temperature; /* 0: chosen on the held-out part */
  int64_t queries;    /* at most so many, of the held-out part and of the test set */
} choices;

/* Training images and their labels, as keys and values. */
typedef struct memory {
  attn_context *context;
  int64_t count;
  const float *keys; /* count x PIXELS */
  float *values;     /* count x CLASSES */
} memory;

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int largest(const float *numbers, int64_t count) {
  int64_t best = 0;
  for (int64_t i = 1; i < count; i++)
    if (numbers[i] > numbers[best]) best = i;
  return (int)best;
}

/* shares: queries x CLASSES; weights: queries x count, or NULL. */
static int attend(const memory *from, const float *query, int64_t queries, double temperature,
                  float *shares, float *weights) {
  attn_args args = {.size = sizeof args,
                    .batch = 1,
                    .heads_q = 1,
                    .len_q = queries,
                    .len_k = from->count,
                    .dim = PIXELS,
                    .dim_v = CLASSES,
                    .query = query,
                    .key = from->keys,
                    .value = from->values,
                    .output = shares,
                    .has_scale = 1,
                    .scale = (float)(1 / temperature),
                    .weights = weights};
  if (attn_global(from->context, &args) == ATTN_OK) return 1;
  fprintf(stderr, "classify: %s\n", attn_last_error(from->context));
  return 0;
}

/* What the memory answers for each image of a set: answers has room for one an image. Returns the part that
 * is right; a negative number after an error. */
static double answer(const memory *from, const images *set, double temperature, uint8_t *answers) {
  float shares[AT_ONCE * CLASSES];
  double right = 0;
  for (int64_t done = 0; done < set->count; done += AT_ONCE) {
    const int64_t some = set->count - done < AT_ONCE ? set->count - done : AT_ONCE;
    if (!attend(from, set->vectors + done * PIXELS, some, temperature, shares, NULL)) return -1;
    for (int64_t i = 0; i < some; i++) {
      answers[done + i] = (uint8_t)largest(shares + i * CLASSES, CLASSES);
      right += answers[done + i] == set->labels[done + i];
    }
    if (isatty(STDERR_FILENO))
      fprintf(stderr, "\r%lld of %lld images \r", (long long)(done + some), (long long)set->count);
  }
  return right / (double)set->count;
}

/* The temperature that answers best for the last images of the training set, from those before them; 0
 * after an error. */
static double choose_temperature(const memory *all, const images *train, int64_t queries) {
  static const double tried[] = {0.004, 0.007, 0.01, 0.014, 0.02};
  uint8_t answers[HELD_OUT];
  memory part = *all;
  part.count = train->count - HELD_OUT;
  const images held = {.count = queries < HELD_OUT ? queries : HELD_OUT,
                       .labels = train->labels + part.count,
                       .vectors = train->vectors + part.count * PIXELS};
  double chosen = 0, best = -1;
  for (size_t n = 0; n < sizeof tried / sizeof tried[0]; n++) {
    const double right = answer(&part, &held, tried[n], answers);
    if (right < 0) return 0;
    printf("temperature %.3f: %.4f of %lld held-out images right\n", tried[n], right,
           (long long)held.count);
    if (right > best) {
      best = right;
      chosen = tried[n];
    }
  }
  return chosen;
}

/* Fills a row of the picture with the query and the keys of its largest weights, which are used up. */
static void fill_row(gallery_row *row, const images *train, float *weights) {
  for (int n = 0; n < GALLERY_KEYS; n++) {
    const int key = largest(weights, train->count);
    row->keys[n] = train->pixels + (int64_t)key * PIXELS;
    row->key_labels[n] = train->labels[key];
    row->weights[n] = weights[key];
    weights[key] = -1;
  }
}

/* The first image from next on that has this label, or, with a label of -1, a wrong answer; the last image
 * if there is none. */
static int64_t find(const images *set, const uint8_t *answers, int64_t next, int label) {
  for (; next < set->count; next++)
    if (label < 0 ? answers[next] != set->labels[next] : set->labels[next] == label) return next;
  return set->count - 1;
}

/* Chooses what to draw: the first image of each class, then further ones with a wrong answer. */
static void choose_rows(const images *set, const uint8_t *answers, int64_t *chosen) {
  int64_t last = 0;
  for (int n = 0; n < GALLERY_ROWS; n++) {
    chosen[n] = n < CLASSES ? find(set, answers, 0, n) : find(set, answers, last + 1, -1);
    if (last < chosen[n]) last = chosen[n];
  }
}

static int draw(const memory *from, const images *train, const images *test, const choices *how,
                const uint8_t *answers) {
  float *weights = malloc((size_t)train->count * sizeof(float)), shares[CLASSES];
  gallery_row rows[GALLERY_ROWS];
  int64_t chosen[GALLERY_ROWS];
  choose_rows(test, answers, chosen);
  int done = weights != NULL;
  for (int n = 0; done && n < GALLERY_ROWS; n++) {
    done = attend(from, test->vectors + chosen[n] * PIXELS, 1, how->temperature, shares, weights);
    rows[n].query = test->pixels + chosen[n] * PIXELS;
    rows[n].label = test->labels[chosen[n]];
    rows[n].answer = answers[chosen[n]];
    fill_row(&rows[n], train, weights);
  }
  if (done && !gallery_write(how->picture, rows)) {
    fprintf(stderr, "classify: %s cannot be written\n", how->picture);
    done = 0;
  }
  free(weights);
  return done;
}

static int classify(memory *from, const images *train, const images *test, choices *how) {
  for (int64_t i = 0; i < train->count; i++) from->values[i * CLASSES + train->labels[i]] = 1;
  if (how->temperature == 0) how->temperature = choose_temperature(from, train, how->queries);
  uint8_t *answers = malloc((size_t)test->count);
  if (how->temperature == 0 || !answers) {
    free(answers);
    return 0;
  }
  const double start = seconds();
  const double right = answer(from, test, how->temperature, answers);
  int done = right >= 0;
  if (done)
    printf("accuracy %.4f: %lld test images over %lld training images in %.1f s, temperature %.3f\n", right,
           (long long)test->count, (long long)train->count, seconds() - start, how->temperature);
  if (done && how->picture) done = draw(from, train, test, how, answers);
  free(answers);
  return done;
}

static int load(images *train, images *test, const char *folder) {
  float mean[PIXELS];
  if (!images_read(train, folder, "train") || !images_read(test, folder, "t10k")) return 0;
  images_mean(train, mean);
  if (train->count <= HELD_OUT || test->count < GALLERY_ROWS) {
    fprintf(stderr, "%s: too few images\n", folder);
    return 0;
  }
  return images_vectors(train, mean) && images_vectors(test, mean);
}

static int usage(void) {
  fputs("usage: classify [-n QUERIES] [-t TEMPERATURE] [-o PICTURE.svg] [-d FOLDER]\n", stderr);
  return 2;
}

int main(int count, char **words) {
  choices how = {.folder = "/usr/share/datasets/fashion-mnist", .queries = HELD_OUT};
  for (int option; (option = getopt(count, words, "n:t:o:d:")) != -1;)
    if (option == 'n')
      how.queries = atoll(optarg);
    else if (option == 't')
      how.temperature = atof(optarg);
    else if (option == 'o')
      how.picture = optarg;
    else if (option == 'd')
      how.folder = optarg;
    else
      return usage();
  if (optind < count || how.queries < 1 || !(how.temperature >= 0)) return usage();

  images train = {0}, test = {0};
  memory from = {0};
  int done = load(&train, &test, how.folder);
  if (done) {
    from.count = train.count;
    from.keys = train.vectors;
    from.values = calloc((size_t)train.count * CLASSES, sizeof(float));
    done = from.values && attn_create(&from.context, NULL) == ATTN_OK;
  }
  if (test.count > how.queries) test.count = how.queries;
  done = done && classify(&from, &train, &test, &how);
  attn_destroy(from.context);
  free(from.values);
  images_free(&train);
  images_free(&test);
  return done ? 0 : 1;
}
