/* peaks.c - the largest scores of a row, as exactly as its softmax shows them.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A float near 40 has steps of 4e-6, and exp makes of a score's error a relative error of its weight. But all that a softmax
 * sees of a score is how far it is below the largest; where that is little, a float has the digits for it.
 */
#include "peaks.h"

#include "attn/attn.h"
#include "base.h"

/* Scores of a row and a tile that are made again, at most: more would cost too much, and the errors of many average out,
 * but for what is the same in all of them. */
enum { MOST = 8 };

/* What the product of floats may be off by: what is more wrong than that is so beside the peaks too. */
static const double most_wrong = 0.5;

/* A row of a tile, its query and its keys. */
typedef struct peak_row {
  float *scores;
  int64_t b, h, i, first_key;
  const float *query, *keys;
} peak_row;

static peak_row row_of(const attn__problem *problem, const attn__score_tile *tile, int64_t r) {
  const attn__sequence sequence = attn__sequence_of(problem, tile->b);
  const int64_t head =
      tile->heads == 1 ? 0 : r / tile->queries; /* a division takes as long as some lines below */
  peak_row row = {.scores = tile->scores + r * tile->stride,
                  .b = tile->b,
                  .h = tile->first_head + head,
                  .i = tile->first_query + r - head * tile->queries,
                  .first_key = tile->first_key};
  row.query = attn__input_row(&problem->query, sequence.batch_q, row.h, sequence.first_q + row.i);
  row.keys = attn__input_row(&problem->key, sequence.batch_k, row.h / problem->group,
                             sequence.first_k + row.first_key);
  return row;
}

/* The score in column j, in double. */
static double exact_score(const attn__problem *problem, const attn__kernels *kernels, const peak_row *row,
                          int64_t j) {
  const double dot = kernels->dot(problem->dim, row->query, row->keys + j * problem->key.strides.row);
  return attn__score_exact(problem, row->b, row->h, row->i, row->first_key + j, dot);
}

float attn__peaks_sharpen(const attn__problem *problem, const attn__kernels *kernels,
                          const attn__score_tile *tile, int64_t r, float largest) {
  const float limit = largest - attn__peaks_near(largest);
  int32_t near[MOST];
  float sharp[MOST];
  if (problem->score_function != ATTN_SCORE_DOT) return largest;
  const int64_t count = kernels->above(tile->keys, tile->scores + r * tile->stride, limit, MOST, near);
  if (count == 0 || count > MOST) return largest;
  const peak_row row = row_of(problem, tile, r);
  for (int64_t n = 0; n < count; n++) {
    const double exact = exact_score(problem, kernels, &row, near[n]);
    if (!(fabs(exact - (double)row.scores[near[n]]) <= most_wrong)) return largest;
    sharp[n] = (float)(exact - (double)largest);
  }
  kernels->subtract(tile->keys, row.scores, largest);
  for (int64_t n = 0; n < count; n++) row.scores[near[n]] = sharp[n];
  return 0;
}
