/* score.c - what happens to scores between the two products.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "score.h"

#include <math.h>

#include "base.h"

/* One past the last key that query i sees; keys below it are all visible. */
static int64_t visible_end(const attn__problem *problem, int64_t query) {
  if (!problem->causal) return problem->len_k;
  int64_t last = attn__add_saturating(query, problem->causal_offset);
  return last < 0 ? 0 : attn__min(last, problem->len_k - 1) + 1;
}

attn__key_range attn__score_visible(const attn__problem *problem, int64_t first, int64_t count) {
  return (attn__key_range){0, visible_end(problem, first + count - 1)};
}

int32_t attn__score_sees(const attn__problem *problem, int64_t query, int64_t key) {
  return key < visible_end(problem, query);
}

int32_t attn__score_edit(const attn__problem *problem, const attn__score_tile *tile) {
  int64_t end_key = tile->first_key + tile->keys;
  if (visible_end(problem, tile->first_query) >= end_key) return 0;
  for (int64_t head = 0; head < tile->heads; head++)
    for (int64_t query = 0; query < tile->queries; query++) {
      float *row = tile->scores + (head * tile->queries + query) * tile->stride;
      int64_t visible = visible_end(problem, tile->first_query + query) - tile->first_key;
      for (int64_t c = attn__max(visible, 0); c < tile->keys; c++) row[c] = -INFINITY;
    }
  return 1;
}
