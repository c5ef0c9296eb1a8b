/* variation.h - what varies the plain formula: rules of what is seen, edits of scores, Luong's centers.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Functions that return int return EXIT_OK, or report the error and return its exit code. */
#ifndef ATTN_TOOL_VARIATION_H
#define ATTN_TOOL_VARIATION_H

#include <attn/attn.h>
#include <stdbool.h>

#include "npy.h"

/* The files that may be given. */
enum {
  VARIATION_MASK,
  VARIATION_BIAS,
  VARIATION_SLOPES,
  VARIATION_SINKS,
  VARIATION_LENGTHS_Q,
  VARIATION_LENGTHS_K,
  VARIATION_CENTERS,
  VARIATION_MATRIX,
  VARIATION_VECTOR,
  VARIATION_FILES
};

/* All zero: the plain formula. */
typedef struct variation {
  bool causal, alibi;
  int64_t offset;
  bool has_window;
  int64_t window[2]; /* left and right, -1: unbounded */
  int64_t prefix;    /* 0: not given */
  int64_t dilation;  /* 0: not given */
  double softcap;    /* 0: not given */
  double sigma;      /* 0: not given */
  const char *paths[VARIATION_FILES];
  npy_array arrays[VARIATION_FILES];
  int64_t mask_strides[4], bias_strides[4];
} variation;

/* Checks that the options agree. */
int variation_check(const variation *varied);

/* Reads the files, checks their shapes against the sizes in args, and sets all fields of args that vary the
 * formula. They point into varied. query is the array of the queries. */
int variation_apply(variation *varied, const npy_array *query, attn_args *args);

void variation_free(variation *varied);

#endif
