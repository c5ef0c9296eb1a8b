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

#include "kernels/inline.h"
#include "kernels/kernels.h"

enum {
  ASK_LINE = 16,   /* numbers of a cache line */
  ASK_PAGE = 1024, /* of the smallest page */
};

/* So many rows of the piece at hand have been asked for. */
static inline void ask_pass(attn__ahead *ahead, int64_t rows) {
  ahead->row += rows;
  if (ahead->row < ahead->pieces[ahead->piece].count) return;
  ahead->row = 0;
  ahead->piece++;
}

/* The next row that has not been asked for, and the piece that it is of; NULL if there is none. */
static inline const float *ask_next_row(attn__ahead *ahead, const attn__rows **piece) {
  if (ahead->piece == ahead->count) return NULL;
  *piece = &ahead->pieces[ahead->piece];
  const float *row = (*piece)->data + ahead->row * (*piece)->stride;
  ask_pass(ahead, 1);
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

/* Which number of its page this is. */
static inline int64_t ask_place(const float *x) {
  return (int64_t)((uintptr_t)x / sizeof *x % ASK_PAGE);
}

/* How far beyond a row, the first of its page, something of the next page is; of the next row where pages have one each.
 * 0 for other rows. */
static inline int64_t ask_page_beyond(const float *row, int64_t stride) {
  if (ask_place(row) >= stride) return 0;
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

/* Goes on to lines that have not been asked for: those of a row, or of all rows that lie one after another. The page after
 * that of a row is asked for as above. */
static inline void ask_next_lines(attn__ahead *ahead) {
  ahead->at = ahead->end = NULL;
  if (ahead->piece == ahead->count) return;
  const attn__rows *piece = &ahead->pieces[ahead->piece];
  const float *row = piece->data + ahead->row * piece->stride;
  const int64_t rows = piece->stride == piece->width ? piece->count - ahead->row : 1;
  const int64_t page = ask_page_beyond(row, piece->stride);
  if (page > 0) ask_beyond(row, page);
  ahead->at = row;
  ahead->end = row + (rows - 1) * piece->stride + piece->width;
  ask_pass(ahead, rows);
}

/* 1 if there are lines to ask for. */
static inline int32_t ask_has_lines(attn__ahead *ahead) {
  if (!ahead) return 0;
  if (!ahead->at) ask_next_lines(ahead);
  return ahead->at != NULL;
}

/* Asks for the page after this one, if these lines are its first. */
static inline void ask_page_after(const float *at, int64_t lines) {
  if (ask_place(at) < lines * ASK_LINE) ask_beyond(at, ASK_PAGE);
}

/* ask_lines of such as may not all lie one after another. */
static NEVER_INLINE void ask_scattered_lines(attn__ahead *ahead, int64_t lines) {
  for (; lines > 0; lines--, ahead->at += ASK_LINE) {
    if (ahead->at >= ahead->end) ask_next_lines(ahead);
    if (!ahead->at) return;
    ask_page_after(ahead->at, 1);
    __builtin_prefetch(ahead->at, 0, 2);
  }
}

/* Asks for so many lines, to be in the second-level cache, if there were any. Between multiply-adds they take an eighth
 * of the speed of four rows of a product, asked for by rows a quarter. */
static inline void ask_lines(attn__ahead *ahead, const int lines) {
  if (lines == 0) return;
  const float *at = ahead->at;
  if (ahead->end - at >= lines * ASK_LINE) {
    ask_page_after(at, lines);
    for (int i = 0; i < lines; i++) __builtin_prefetch(at + i * ASK_LINE, 0, 2);
    ahead->at = at + lines * ASK_LINE;
  } else if (at) {
    ask_scattered_lines(ahead, lines);
  }
}

#endif
