/* check.h - what an argument must be: each check leaves a sentence and returns 0 where it fails.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_CHECK_H
#define ATTN_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "base.h"
#include "problem.h"

enum { ATTN__SENTENCE_SIZE = 256 };

/* Where the sentence goes: ATTN__SENTENCE_SIZE characters. */
typedef struct attn__check {
  char *sentence;
} attn__check;

/* Writes the sentence; returns 0. */
int32_t attn__check_fail(const attn__check *check, const char *format, ...) ATTN_PRINTF(2, 3);

/* Copies a caller's struct, which begins with its size, to one of known bytes: zeros where it has none. */
int32_t attn__check_struct(const attn__check *check, const char *name, const void *given, void *copy,
                           uint64_t known);

/* A struct of the caller's for results has a size that can be one: no other cuts a field in two. */
int32_t attn__check_results(const attn__check *check, const char *name, const void *out, uint64_t known);

/* low <= value <= high. */
int32_t attn__check_range(const attn__check *check, const char *name, int64_t value, int64_t low,
                          int64_t high);

/* A scale: a flag of 0 or 1, and a finite number where it is 1. */
int32_t attn__check_scale(const attn__check *check, int32_t has_scale, float scale);

/* One array of (batch, head, row, width). */
typedef struct attn__array {
  const char *name;
  const void *data;
  const int64_t *strides; /* batch, head, row; NULL: dense */
  int64_t batch, heads, rows, width;
  int32_t is_output; /* elements must not be written twice */
} attn__array;

/* Resolves an array's strides, and checks that it is there unless it is empty, that its bytes can be
 * counted, and that the rows of an output do not overlap. */
int32_t attn__check_array(const attn__check *check, const attn__array *array, attn__strides *strides);

/* The bytes from the lowest to the highest element of a resolved array. */
typedef struct attn__span {
  attn__array array;
  attn__strides strides;
  int64_t low, high;
} attn__span;

/* Appends the span of a resolved array, unless it is empty or not there; returns how many there are then. */
int32_t attn__check_span(attn__span *spans, int32_t count, const attn__array *array,
                         const attn__strides *strides);

/* No output surely shares an element with another array. (Arrays that interleave may pass without.) */
int32_t attn__check_apart(const attn__check *check, const attn__span *spans, int32_t count);

/* Resolves the four strides of what is read for single scores, an array of (batch, heads, rows, width), and
 * checks that its bytes can be counted. */
int32_t attn__check_score_array(const attn__check *check, const attn__array *array, const int64_t *given,
                                attn__score_strides *strides);

/* A field of a struct that points to elements of one alignment. */
typedef struct attn__pointer {
  const char *name;
  size_t offset, alignment; /* a power of two */
} attn__pointer;

#define ATTN__POINTER(type, field)                                                                         \
  { #field, offsetof(type, field), sizeof *((type *)0)->field }

/* Each pointer of a struct, where it is not NULL, is to an address that its elements may have. */
int32_t attn__check_pointers(const attn__check *check, const void *structure, const attn__pointer *pointers,
                             size_t count);

#endif
