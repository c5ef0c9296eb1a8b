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

enum { ASK_LINE = 16 }; /* numbers of a cache line */

/* The next row that has not been asked for; NULL if there is none. */
static inline const float *ask_next_row(attn__ahead *ahead, int64_t *width) {
  if (ahead->piece == ahead->count) return NULL;
  const attn__rows *rows = &ahead->pieces[ahead->piece];
  const float *row = rows->data + ahead->row++ * rows->stride;
  *width = rows->width;
  if (ahead->row == rows->count) {
    ahead->row = 0;
    ahead->piece++;
  }
  return row;
}

/* Asks for so many lines or a few more, to be in every cache: what comes next will be packed. */
static inline void ask_near(attn__ahead *ahead, int64_t lines) {
  const float *row;
  int64_t width;
  while (lines > 0 && (row = ask_next_row(ahead, &width)) != NULL)
    for (int64_t c = 0; c < width; c += ASK_LINE, lines--) __builtin_prefetch(row + c, 0, 3);
}

/* Asks for what is so many numbers after x, wherever that may be, to be in every cache. */
static inline void ask_beyond(const float *x, int64_t distance) {
  __builtin_prefetch((const void *)((uintptr_t)x + (uintptr_t)distance * sizeof *x), 0, 3);
}

/* Asks for so many rows, to be in the second-level cache: the first is full of what is multiplied. */
static inline void ask_far(attn__ahead *ahead, int64_t rows) {
  const float *row;
  int64_t width;
  for (; rows > 0 && (row = ask_next_row(ahead, &width)) != NULL; rows--)
    for (int64_t c = 0; c < width; c += ASK_LINE) __builtin_prefetch(row + c, 0, 2);
}

#endif
