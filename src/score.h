/* score.h - what happens to a score because of where it stands, and which keys a query can see at all.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_SCORE_H
#define ATTN_SCORE_H

#include "problem.h"

/* Keys [begin, end). */
typedef struct attn__key_range {
  int64_t begin, end;
} attn__key_range;

/* A tile of scores, in memory as heads * queries rows of stride numbers: row r is query
 * first_query + r % queries of head first_head + r / queries; column c is key first_key + c. */
typedef struct attn__score_tile {
  float *scores;
  int64_t stride;
  int64_t first_head, heads;
  int64_t first_query, queries;
  int64_t first_key, keys;
} attn__score_tile;

/* The smallest range that holds every key that some query in [first, first + count) can see. */
attn__key_range attn__score_visible(const attn__problem *problem, int64_t first, int64_t count);

/* 1 if query i sees key j, else 0. */
int32_t attn__score_sees(const attn__problem *problem, int64_t query, int64_t key);

/* Edits the raw products q . k of a tile (the scale is already in q): masked scores become -infinity.
 * Returns 1 if it masked any, else 0. */
int32_t attn__score_edit(const attn__problem *problem, const attn__score_tile *tile);

#endif
