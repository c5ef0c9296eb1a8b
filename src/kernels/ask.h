/* ask.h - asking for memory before it is read, in the shadow of products.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A core computes while lines are on their way, but only so many can be: asked for all at once they would be waited
 * for. So a product asks for a few each time that it begins a slab of rows, or for a row with each four tiles of AMX, or,
 * where it has few slabs, all along these.
 */
#ifndef ATTN_ASK_H
#define ATTN_ASK_H

#include <stddef.h>

#include "kernels/kernels.h"

enum {
  ASK_LINE = 16,   /* numbers of a cache line */
  ASK_PAGE = 1024, /* of the smallest page */
};

/* The next row that has not been asked for, and the piece that it is of; NULL if there is none. */
static inline const float *ask_next_row(attn__ahead *ahead, const attn__rows **piece) {
  if (ahead->piece == ahead->count) return NULL;
  *piece = &ahead->pieces[ahead->piece];
  const float *row = (*piece)->data + ahead->row++ * (*piece)->stride;
  if (ahead->row == (*piece)->count) {
    ahead->row = 0;
    ahead->piece++;
  }
  return row;
}

/* Asks for so many lines or a few more, to be in every cache: what comes next will be packed. */
static inline void ask_near(attn__ahead *ahead, int64_t lines) {
  const attn__rows *piece;
  const float *row;
  while (lines > 0 && (row = ask_next_row(ahead, &piece)) != NULL)
    for (int64_t c = 0; c < piece->width; c += ASK_LINE, lines--) __builtin_prefetch(row + c, 0, 3);
}

/* Asks for what is so many numbers after x, wherever that may be, to be in every cache. */
static inline void ask_beyond(const float *x, int64_t distance) {
  __builtin_prefetch((const void *)((uintptr_t)x + (uintptr_t)distance * sizeof *x), 0, 3);
}

/* How far beyond a row, the first of its page, something of the next page is; of the next row where pages have one each.
 * 0 for other rows. */
static inline int64_t ask_page_beyond(const float *row, int64_t stride) {
  const int64_t place = (int64_t)((uintptr_t)row / sizeof *row % ASK_PAGE);
  if (place >= stride) return 0;
  return stride > ASK_PAGE ? stride : ASK_PAGE;
}

/* Asks for so many rows, to be in the second-level cache: the first is full of what is multiplied. On Zen 4 such requests
 * bring little from pages that were not read lately, unless a request to every cache has gone before them: of each page
 * one does, while the page before it is gone through. */
static inline void ask_far(attn__ahead *ahead, int64_t rows) {
  const attn__rows *piece;
  const float *row;
  for (; rows > 0 && (row = ask_next_row(ahead, &piece)) != NULL; rows--) {
    const int64_t page = ask_page_beyond(row, piece->stride);
    if (page > 0) ask_beyond(row, page);
    for (int64_t c = 0; c < piece->width; c += ASK_LINE) __builtin_prefetch(row + c, 0, 2);
  }
}

#endif
