/* score.h - what happens to a score because of where it stands, and which keys a query can see at all.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_SCORE_H
#define ATTN_SCORE_H

#include "kernels/kernels.h"
#include "problem.h"

/* Keys [begin, end). */
typedef struct attn__key_range {
  int64_t begin, end;
} attn__key_range;

/* A tile of scores of batch entry b, in memory as heads * queries rows of stride numbers: row r is query
 * first_query + r % queries of head first_head + r / queries; column c is key first_key + c. */
typedef struct attn__score_tile {
  float *scores;
  int64_t stride;
  int64_t b;
  int64_t first_head, heads;
  int64_t first_query, queries;
  int64_t first_key, keys;
} attn__score_tile;

/* The smallest range that holds every key that some row of a tile (its keys do not matter) can see by its
 * position, or that the caller wants scores of. Masks and biases are not looked at. */
attn__key_range attn__score_visible(const attn__problem *problem, const attn__score_tile *tile);

/* 1 if by their positions no row of a tile sees any of its keys, although these may be in the range above. */
int32_t attn__score_hidden(const attn__problem *problem, const attn__score_tile *tile);

/* 1 if surely every row of a tile sees all its keys by its position. */
int32_t attn__score_whole(const attn__problem *problem, const attn__score_tile *tile);

/* 1 if query i of batch entry b and head h sees key j, else 0. */
int32_t attn__score_sees(const attn__problem *problem, int64_t b, int64_t h, int64_t i, int64_t j);

/* The score of a query and a key that it sees, in double, by their dot product. */
double attn__score_exact(const attn__problem *problem, int64_t b, int64_t h, int64_t i, int64_t j,
                         double dot);

/* Edits the raw products q . k of a tile (the scale is already in q or k): softcap, bias, ALiBi, then masked
 * scores become -infinity. On the way the scores that the caller asked for are copied out.
 * Returns 0 if surely no score is masked, else 1. */
int32_t attn__score_edit(const attn__problem *problem, const attn__kernels *kernels,
                         const attn__score_tile *tile);

/* Multiplies the weights of a tile by the Gaussian around the rows' centers, where there are centers. */
void attn__score_weigh(const attn__problem *problem, const attn__kernels *kernels,
                       const attn__score_tile *tile);

#endif
