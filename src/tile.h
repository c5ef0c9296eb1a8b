/* tile.h - a tile of query rows and what is known of each row so far.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TILE_H
#define ATTN_TILE_H

#include <math.h>

#include "problem.h"
#include "score.h"

/* The running softmax of some rows: of each the largest score so far, the sum of exp(score - largest), and
 * the output multiplied by that sum, which holds nothing yet where the sum is 0. */
typedef struct attn__state {
  float *outputs; /* rows x dim_v */
  float *maxima;
  double *sums;
} attn__state;

/* The same over several splits of the keys. Outputs are added up in double, so that splits cost no exactness. */
typedef struct attn__total {
  double *outputs;
  float *maxima;
  double *sums;
} attn__total;

/* What is subtracted from the scores of a row whose largest so far is max: nothing where none was seen. */
static inline float attn__tile_shift(float max) {
  return max == -INFINITY ? 0 : max;
}

/* The state, or the total, of rows from row on. */
static inline attn__state attn__state_past(const attn__state *state, int64_t row, int64_t dim_v) {
  return (attn__state){state->outputs + row * dim_v, state->maxima + row, state->sums + row};
}

static inline attn__total attn__total_past(const attn__total *total, int64_t row, int64_t dim_v) {
  return (attn__total){total->outputs + row * dim_v, total->maxima + row, total->sums + row};
}

/* Row r is query first_query + r % queries of head first_head + r / queries. */
typedef struct attn__tile {
  attn__sequence sequence;
  int64_t b, first_head, heads, first_query, queries, rows;
  attn__key_range visible;
  const float
      *query; /* rows of dim, as they are multiplied, in the array or in the scratch; NULL: in thirds */
  attn__thirds_strips query_thirds;
  int32_t held; /* by the thirds: every number of the queries */
  attn__state state;
  int32_t started; /* the outputs of the state hold something */
} attn__tile;

/* A tile of scores of its rows; which keys is left open. */
static inline attn__score_tile attn__tile_scores(const attn__tile *tile, float *scores, int64_t stride) {
  return (attn__score_tile){.scores = scores,
                            .stride = stride,
                            .b = tile->b,
                            .first_head = tile->first_head,
                            .heads = tile->heads,
                            .first_query = tile->first_query,
                            .queries = tile->queries};
}

static inline int64_t attn__tile_head(const attn__tile *tile, int64_t r) {
  return tile->first_head + r / tile->queries;
}

static inline int64_t attn__tile_query(const attn__tile *tile, int64_t r) {
  return tile->first_query + r % tile->queries;
}

/* 1 if row r stands for no query: it is past the length of its sequence. */
static inline int32_t attn__tile_padding(const attn__tile *tile, int64_t r) {
  return attn__tile_query(tile, r) >= tile->sequence.len_q;
}

/* Where row r is in the output, whose sequences may be packed. */
static inline float *attn__tile_output(const attn__tile *tile, const attn__output *output, int64_t r) {
  return attn__output_row(output, tile->sequence.batch_q, attn__tile_head(tile, r),
                          tile->sequence.first_q + attn__tile_query(tile, r));
}

/* Where row r is in the weights, the scores or the LSE. */
static inline float *attn__tile_result(const attn__tile *tile, const attn__output *output, int64_t r) {
  return attn__output_row(output, tile->b, attn__tile_head(tile, r), attn__tile_query(tile, r));
}

#endif
