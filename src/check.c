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
  if (size < sizeof size || size > LARGEST_STRUCT || size % sizeof size)
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
  if (size > known) size = known;
  memcpy(copy, given, size);
  memset((unsigned char *)copy + size, 0, known - size);
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

/* The bytes of an array, of at most 8 for an element, cannot be counted. */
static int32_t fail_as_too_large(const attn__check *check, const attn__array *array) {
  return attn__check_fail(check,
                          "%s: expected an array that memory can hold, got batch %" PRId64
                          ", heads %" PRId64 ", rows %" PRId64 ", width %" PRId64,
                          array->name, array->batch, array->heads, array->rows, array->width);
}

/* The strides of a dense array. */
static int32_t check_dense(const attn__check *check, const attn__array *array, attn__strides *strides) {
  int64_t numbers;
  strides->row = array->width;
  return (attn__multiply(array->rows, strides->row, &strides->head) &&
          attn__multiply(array->heads, strides->head, &strides->batch) &&
          attn__multiply(array->batch, strides->batch, &numbers) && numbers <= INT64_MAX / 8) ||
         fail_as_too_large(check, array);
}

typedef struct axis {
  int64_t count, stride; /* stride >= 0 */
} axis;

enum { MOST_AXES = 4 };

static void sort_by_stride(axis *axes, int axis_count) {
  for (int end = axis_count - 1; end > 0; end--)
    for (int i = 0; i < end; i++)
      if (axes[i].stride > axes[i + 1].stride) {
        const int64_t count_here = axes[i].count, stride_here = axes[i].stride;
        axes[i].count = axes[i + 1].count;
        axes[i].stride = axes[i + 1].stride;
        axes[i + 1].count = count_here;
        axes[i + 1].stride = stride_here;
      }
}

/* How a row of width elements is stepped over. */
typedef enum reach {
  REACH_FITS,     /* its bytes can be counted */
  REACH_OVERLAPS, /* an output writes an element twice */
  REACH_TOO_FAR
} reach;

/* The distances that the strides step over add up to a countable number of bytes, and for an output each
 * step is over all that the smaller steps reach. */
static reach reach_of(axis *axes, int count, int64_t width, int32_t is_output) {
  int64_t far = width;
  for (int i = 0; i < count; i++) {
    if (axes[i].count == 1) axes[i].stride = 0;
    if (axes[i].stride == INT64_MIN) axes[i].stride = INT64_MAX;
    if (axes[i].stride < 0) axes[i].stride = -axes[i].stride;
  }
  sort_by_stride(axes, count);
  for (int i = 0; i < count; i++) {
    int64_t step;
    if (axes[i].count == 1) continue;
    if (is_output && axes[i].stride < far) return REACH_OVERLAPS;
    if (!attn__multiply(axes[i].stride, axes[i].count - 1, &step) || !attn__add(far, step, &far) ||
        far > INT64_MAX / 8)
      return REACH_TOO_FAR;
  }
  return REACH_FITS;
}

static int32_t check_extent(const attn__check *check, const attn__array *array,
                            const attn__strides *strides) {
  axis axes[3] = {
      {array->batch, strides->batch}, {array->heads, strides->head}, {array->rows, strides->row}};
  const reach found = reach_of(axes, 3, array->width, array->is_output);
  if (found == REACH_OVERLAPS)
    return attn__check_fail(check,
                            "%s: expected strides that write no element twice, got batch %" PRId64
                            ", head %" PRId64 ", row %" PRId64,
                            array->name, strides->batch, strides->head, strides->row);
  return found == REACH_FITS || fail_as_too_large(check, array);
}

int32_t attn__check_array(const attn__check *check, const attn__array *array, attn__strides *strides) {
  if (array->batch == 0 || array->heads == 0 || array->rows == 0 || array->width == 0) {
    *strides = (attn__strides){0};
    return 1;
  }
  if (!array->data)
    return attn__check_fail(check, "%s: expected a pointer to an array, got NULL", array->name);
  if (!array->strides) return check_dense(check, array, strides);
  *strides = (attn__strides){array->strides[0], array->strides[1], array->strides[2]};
  return check_extent(check, array, strides);
}

int32_t attn__check_score_array(const attn__check *check, const attn__array *array, const int64_t *given,
                                attn__score_strides *strides) {
  const attn__array dense_array = {array->name,  array->data, NULL,         array->batch,
                                   array->heads, array->rows, array->width, 0};
  attn__strides rows;
  if (!given) {
    if (!attn__check_array(check, &dense_array, &rows)) return 0;
    *strides = (attn__score_strides){rows.batch, rows.head, rows.row, 1};
    return 1;
  }
  *strides = (attn__score_strides){given[0], given[1], given[2], given[3]};
  axis axes[MOST_AXES] = {{array->batch, given[0]},
                          {array->heads, given[1]},
                          {array->rows, given[2]},
                          {array->width, given[3]}};
  const int32_t empty = array->batch == 0 || array->heads == 0 || array->rows == 0 || array->width == 0;
  return empty || reach_of(axes, MOST_AXES, 1, 0) == REACH_FITS ||
         attn__check_fail(check,
                          "%s: expected an array that memory can hold, got strides of batch %" PRId64
                          ", head %" PRId64 ", query %" PRId64 ", key %" PRId64,
                          array->name, given[0], given[1], given[2], given[3]);
}

int32_t attn__check_pointers(const attn__check *check, const void *structure, const attn__pointer *pointers,
                             size_t count) {
  for (size_t n = 0; n < count; n++) {
    uintptr_t address;
    memcpy(&address, (const char *)structure + pointers[n].offset, sizeof address);
    if (address & (pointers[n].alignment - 1))
      return attn__check_fail(
          check, "%s: expected an address that is a multiple of %zu, got one %zu past it", pointers[n].name,
          pointers[n].alignment, (size_t)(address & (pointers[n].alignment - 1)));
  }
  return 1;
}

int32_t attn__check_span(attn__span *spans, int32_t count, const attn__array *array,
                         const attn__strides *strides) {
  const int64_t size = sizeof(float);
  /* Of an empty array, no size has been checked. */
  if (!array->data || array->batch == 0 || array->heads == 0 || array->rows == 0 || array->width == 0)
    return count;
  const int64_t far[3] = {strides->batch * (array->batch - 1), strides->head * (array->heads - 1),
                          strides->row * (array->rows - 1)};
  attn__span span = {*array, *strides, (int64_t)(intptr_t)array->data, 0};
  span.high = span.low + array->width * size;
  for (int i = 0; i < 3; i++) {
    span.low += attn__min(far[i] * size, 0);
    span.high += attn__max(far[i] * size, 0);
  }
  spans[count] = span;
  return count + 1;
}

/* 1 if each element of a span is one of the array's own. */
static int32_t is_full(const attn__span *span) {
  const attn__array *array = &span->array;
  axis axes[3] = {{array->batch, span->strides.batch},
                  {array->heads, span->strides.head},
                  {array->rows, span->strides.row}};
  return reach_of(axes, 3, array->width, 1) == REACH_FITS &&
         array->batch * array->heads * array->rows * array->width ==
             (span->high - span->low) / (int64_t)sizeof(float);
}

/* The lowest or the highest element of one array is among those of the other, which has no gaps. */
static int32_t reaches_into(const attn__span *one, const attn__span *other) {
  const int64_t last = one->high - (int64_t)sizeof(float);
  return ((one->low >= other->low && one->low < other->high) ||
          (last >= other->low && last < other->high)) &&
         is_full(other);
}

int32_t attn__check_apart(const attn__check *check, const attn__span *spans, int32_t count) {
  for (int32_t a = 0; a < count; a++)
    for (int32_t b = 0; b < count; b++)
      if (a != b && spans[a].array.is_output &&
          (reaches_into(&spans[b], &spans[a]) || reaches_into(&spans[a], &spans[b])))
        return attn__check_fail(
            check, "%s: expected an array that overlaps no other, got one that shares elements with %s",
            spans[a].array.name, spans[b].array.name);
  return 1;
}
