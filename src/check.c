/* check.c - what an argument must be.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "check.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LARGEST_STRUCT = 4096 }; /* a larger size is a struct that was never set up */

int32_t attn__check_fail(const attn__check *check, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(check->sentence, ATTN__SENTENCE_SIZE, format, arguments);
  va_end(arguments);
  return 0;
}

int32_t attn__check_results(const attn__check *check, const char *name, const void *out, uint64_t known) {
  uint64_t size;
  if (!out) return attn__check_fail(check, "%s: expected a pointer to a struct, got NULL", name);
  memcpy(&size, out, sizeof size);
  if (size < sizeof size || size > LARGEST_STRUCT)
    return attn__check_fail(check,
                            "%s: expected size to be that of the struct, %" PRIu64 " here, got %" PRIu64,
                            name, known, size);
  return 1;
}

int32_t attn__check_struct(const attn__check *check, const char *name, const void *given, void *copy,
                           uint64_t known) {
  uint64_t size;
  if (!attn__check_results(check, name, given, known)) return 0;
  memcpy(&size, given, sizeof size);
  const unsigned char *bytes = given;
  for (uint64_t i = known; i < size; i++)
    if (bytes[i])
      return attn__check_fail(check,
                              "%s: expected only zeros after the %" PRIu64
                              " bytes that this version knows, got a value at byte %" PRIu64,
                              name, known, i);
  memcpy(copy, given, size < known ? size : known);
  return 1;
}

int32_t attn__check_range(const attn__check *check, const char *name, int64_t value, int64_t low,
                          int64_t high) {
  if (value >= low && value <= high) return 1;
  if (high == INT64_MAX)
    return attn__check_fail(check, "%s: expected at least %" PRId64 ", got %" PRId64, name, low, value);
  return attn__check_fail(check, "%s: expected %" PRId64 " to %" PRId64 ", got %" PRId64, name, low, high,
                          value);
}

int32_t attn__check_scale(const attn__check *check, int32_t has_scale, float scale) {
  if (!attn__check_range(check, "has_scale", has_scale, 0, 1)) return 0;
  if (!has_scale && scale != 0)
    return attn__check_fail(check, "scale: expected 0 where has_scale is 0, got %g", (double)scale);
  if (!isfinite(scale))
    return attn__check_fail(check, "scale: expected a finite number, got %g", (double)scale);
  return 1;
}

/* The dense strides of an array; 0 if they do not fit. */
static int32_t dense(const attn__array *array, attn__strides *strides) {
  strides->row = array->width;
  return attn__multiply(array->rows, strides->row, &strides->head) &&
         attn__multiply(array->heads, strides->head, &strides->batch);
}

typedef struct axis {
  int64_t count, stride; /* stride >= 0 */
} axis;

static void sort_by_stride(axis axes[3]) {
  for (int end = 2; end > 0; end--)
    for (int i = 0; i < end; i++)
      if (axes[i].stride > axes[i + 1].stride) {
        axis swap = axes[i];
        axes[i] = axes[i + 1];
        axes[i + 1] = swap;
      }
}

/* The distances that the strides step over add up to a countable number of bytes, and for an output each
 * step is over all that the smaller steps reach. */
static int32_t check_extent(const attn__check *check, const attn__array *array,
                            const attn__strides *strides) {
  axis axes[3] = {
      {array->batch, strides->batch}, {array->heads, strides->head}, {array->rows, strides->row}};
  for (int i = 0; i < 3; i++) {
    if (axes[i].count == 1) axes[i].stride = 0;
    if (axes[i].stride == INT64_MIN) axes[i].stride = INT64_MAX;
    if (axes[i].stride < 0) axes[i].stride = -axes[i].stride;
  }
  sort_by_stride(axes);
  int64_t reach = array->width;
  for (int i = 0; i < 3; i++) {
    if (axes[i].count == 1) continue;
    if (array->is_output && axes[i].stride < reach)
      return attn__check_fail(check,
                              "%s: expected strides that write no element twice, got batch %" PRId64
                              ", head %" PRId64 ", row %" PRId64,
                              array->name, strides->batch, strides->head, strides->row);
    int64_t step;
    if (!attn__multiply(axes[i].stride, axes[i].count - 1, &step) || !attn__add(reach, step, &reach) ||
        reach > INT64_MAX / 8)
      return attn__check_fail(check,
                              "%s: expected an array that memory can hold, got batch %" PRId64
                              ", heads %" PRId64 ", rows %" PRId64 ", width %" PRId64,
                              array->name, array->batch, array->heads, array->rows, array->width);
  }
  return 1;
}

int32_t attn__check_array(const attn__check *check, const attn__array *array, attn__strides *strides) {
  if (array->batch == 0 || array->heads == 0 || array->rows == 0 || array->width == 0) {
    *strides = (attn__strides){0};
    return 1;
  }
  if (!array->data)
    return attn__check_fail(check, "%s: expected a pointer to an array, got NULL", array->name);
  if (array->strides)
    *strides = (attn__strides){array->strides[0], array->strides[1], array->strides[2]};
  else if (!dense(array, strides))
    *strides = (attn__strides){INT64_MAX, INT64_MAX, INT64_MAX}; /* refused below: too large */
  return check_extent(check, array, strides);
}
