/* softmax.h - the softmax of rows of a matrix.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_SOFTMAX_H
#define ATTN_SOFTMAX_H

#include "context.h"

typedef struct attn__softmax_problem {
  int64_t rows, cols;
  const float *input;
  float *output; /* may be input */
  int64_t input_stride, output_stride;
  float scale;
  float *lse; /* NULL: not wanted */
} attn__softmax_problem;

void attn__softmax_run(attn_context *context, const attn__softmax_problem *problem);

#endif
