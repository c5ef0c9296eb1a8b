/* check.h - what an argument must be: each check leaves a sentence and returns 0 where it fails.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_CHECK_H
#define ATTN_CHECK_H

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

/* Copies a caller's struct, which begins with its size, over a zeroed copy of known bytes. */
int32_t attn__check_struct(const attn__check *check, const char *name, const void *given, void *copy,
                           uint64_t known);

/* A struct of the caller's for results has a size that can be one. */
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

#endif
