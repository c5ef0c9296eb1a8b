/* tensor.c - arrays of (batch, head, row, element) in guarded memory, in every arrangement of strides.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "tensor.h"

#include <stdlib.h>

static void set_strides(tensor *t, int64_t batch, int64_t head, int64_t row) {
  t->strides[0] = batch;
  t->strides[1] = head;
  t->strides[2] = row;
}

static void choose_strides(tensor *t, tensor_layout layout) {
  const int64_t width = t->width, row = width + 3, head = t->rows * row + 5;
  switch (layout) {
  case LAYOUT_ROW_MAJOR:
    set_strides(t, t->rows * t->heads * width, width, t->heads * width);
    break;
  case LAYOUT_PADDED:
    set_strides(t, t->heads * head + 7, head, row);
    break;
  case LAYOUT_BACKWARDS:
    set_strides(t, -t->heads * t->rows * width, -t->rows * width, -width);
    break;
  case LAYOUT_MIXED:
    set_strides(t, row, t->batch * t->rows * row + 1, -t->batch * row);
    break;
  case LAYOUT_SHARED:
    set_strides(t, 0, 0, width);
    break;
  case LAYOUT_REPEATED:
    set_strides(t, 0, 0, 0);
    break;
  case LAYOUT_SLIDING:
    set_strides(t, t->heads * t->rows, t->rows, 1);
    break;
  default:
    set_strides(t, t->heads * t->rows * width, t->rows * width, width);
  }
}

tensor tensor_make(const int64_t shape[4], tensor_layout layout, guard_side side) {
  tensor t = {.batch = shape[0], .heads = shape[1], .rows = shape[2], .width = shape[3]};
  choose_strides(&t, layout);
  int64_t before = 0, after = 0; /* elements that strides reach on each side of the first */
  const int empty = t.batch == 0 || t.heads == 0 || t.rows == 0 || t.width == 0;
  for (int axis = 0; axis < 3 && !empty; axis++) {
    const int64_t reach = (shape[axis] - 1) * t.strides[axis];
    if (reach < 0) before -= reach;
    if (reach > 0) after += reach;
  }
  t.count = empty ? 0 : before + after + t.width;
  t.memory = guarded_make(t.count, side);
  t.first = t.memory.data + before;
  tensor_fill_canary(&t);
  return t;
}

void tensor_free(tensor *t) {
  guarded_free(&t->memory);
}

float *tensor_row(const tensor *t, int64_t b, int64_t h, int64_t row) {
  return t->first + b * t->strides[0] + h * t->strides[1] + row * t->strides[2];
}

void tensor_fill_normal(tensor *t, random_source *source) {
  for (int64_t n = 0; n < t->count; n++) t->memory.data[n] = random_normal(source);
}

void tensor_fill_canary(tensor *t) {
  for (int64_t n = 0; n < t->count; n++) t->memory.data[n] = canary();
}

/* Row number n of all rows. */
static float *row_number(const tensor *t, int64_t n) {
  return tensor_row(t, n / (t->heads * t->rows), n / t->rows % t->heads, n % t->rows);
}

int64_t tensor_count_spilled(const tensor *t) {
  char *owned = calloc((size_t)t->count + 1, 1);
  int64_t spilled = 0;
  for (int64_t n = 0; n < t->batch * t->heads * t->rows; n++)
    for (int64_t d = 0; d < t->width; d++) owned[row_number(t, n) + d - t->memory.data] = 1;
  for (int64_t n = 0; n < t->count; n++) spilled += !owned[n] && !is_canary(t->memory.data[n]);
  free(owned);
  return spilled;
}

int64_t tensor_count_untouched(const tensor *t) {
  int64_t untouched = 0;
  for (int64_t n = 0; n < t->batch * t->heads * t->rows; n++)
    for (int64_t d = 0; d < t->width; d++) untouched += is_canary(row_number(t, n)[d]);
  return untouched;
}

int64_t tensor_count_different(const tensor *a, const tensor *b) {
  int64_t different = 0;
  for (int64_t n = 0; n < a->batch * a->heads * a->rows; n++)
    different += count_different(a->width, row_number(a, n), row_number(b, n));
  return different;
}
