/* merge.h - joins partial results over disjoint keys by their log-sum-exp.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_MERGE_H
#define ATTN_MERGE_H

#include "context.h"
#include "problem.h"

typedef struct attn__merge_problem {
  int64_t parts, batch, heads, len_q, dim_v;
  const float *const *outputs; /* parts arrays of these strides */
  const float *const *lses;
  attn__strides outputs_strides, lses_strides;
  attn__output output, lse;
} attn__merge_problem;

/* For each row: lse = ln sum exp(lse_i), output = sum exp(lse_i - lse) output_i. A part with an LSE of
 * -infinity is not read. */
void attn__merge_run(attn_context *context, const attn__merge_problem *problem);

#endif
