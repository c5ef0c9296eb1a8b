/* variation.h - what varies the plain formula: scores, rules of what is seen, Luong's centers, norms.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Functions that return int return EXIT_OK, or report the error and return its exit code. */
#ifndef ATTN_TOOL_VARIATION_H
#define ATTN_TOOL_VARIATION_H

#include <attn/attn.h>
#include <stdbool.h>

#include "npy.h"
#include "options.h"

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
  VARIATION_SCORE_WEIGHT,
  VARIATION_RESIDUAL,
  VARIATION_GAIN,
  VARIATION_SHIFT,
  VARIATION_FILES
};

/* All zero: the plain formula. */
typedef struct variation {
  bool causal, alibi, has_scale;
  double scale;
  int64_t offset;
  bool has_window;
  int64_t window[2];      /* left and right, -1: unbounded */
  int64_t prefix;         /* 0: not given */
  int64_t dilation;       /* 0: not given */
  double softcap;         /* 0: not given */
  double sigma;           /* 0: not given */
  double epsilon;         /* 0: not given */
  int32_t score_function; /* ATTN_SCORE_... */
  int32_t norm;           /* ATTN_NORM_... */
  const char *paths[VARIATION_FILES];
  npy_array arrays[VARIATION_FILES];
  int64_t mask_strides[4], bias_strides[4];
} variation;

/* The options for that struct, and their help. */
extern const option variation_table[];
extern const char variation_help[];

/* Checks that the options agree. */
int variation_check(const variation *varied);

/* Reads the files, checks their shapes against the sizes in args, and sets all fields of args that vary the
 * formula. They point into varied. rows is the shape of the rows of scores, ... x queries. */
int variation_apply(variation *varied, const npy_shape *rows, const npy_shape *output, attn_args *args);

void variation_free(variation *varied);

#endif
