/* tensor.h - arrays of (batch, head, row, element) in guarded memory, in every arrangement of strides.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TENSOR_H
#define ATTN_TENSOR_H

#include "support.h"

typedef enum tensor_layout {
  LAYOUT_DENSE,                   /* batch, head, row, element */
  LAYOUT_ROW_MAJOR,               /* batch, row, head, element */
  LAYOUT_PADDED,                  /* dense, with gaps after each row, head and batch entry */
  LAYOUT_BACKWARDS,               /* dense, with each stride negative */
  LAYOUT_MIXED,                   /* head, row, batch, element, with rows backwards and gaps */
  LAYOUT_OUTPUTS,                 /* how many there are for outputs; those below repeat elements */
  LAYOUT_SHARED = LAYOUT_OUTPUTS, /* the same for each batch entry and head: strides of 0 */
  LAYOUT_REPEATED,                /* the same row everywhere: each stride 0 */
  LAYOUT_SLIDING,                 /* each row begins one element after the one before */
  LAYOUT_INPUTS                   /* how many there are for inputs */
} tensor_layout;

typedef struct tensor {
  int64_t batch, heads, rows, width;
  int64_t strides[3]; /* batch, head, row */
  float *first;       /* element 0 of row 0 of head 0 of batch entry 0 */
  int64_t count;      /* of floats in memory, gaps included */
  guarded memory;
} tensor;

/* shape: batch, heads, rows, width. All numbers are canaries. The first and the last element that a
 * stride can reach stand at the ends of the memory, one of them beside a page that cannot be read. */
tensor tensor_make(const int64_t shape[4], tensor_layout layout, guard_side side);
void tensor_free(tensor *t);

/* Row row of head h of batch entry b. */
float *tensor_row(const tensor *t, int64_t b, int64_t h, int64_t row);

/* Every number of the memory. */
void tensor_fill_normal(tensor *t, random_source *source);
void tensor_fill_canary(tensor *t);

/* How many numbers that belong to no row are no canaries any more. */
int64_t tensor_count_spilled(const tensor *t);

/* How many numbers of the rows are canaries still. */
int64_t tensor_count_untouched(const tensor *t);

/* How many numbers of the rows differ in any bit; shapes are the same, strides need not be. */
int64_t tensor_count_different(const tensor *a, const tensor *b);

#endif
