/* self.h - the self-attention layer: projections, heads, attention, output projection.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_SELF_H
#define ATTN_SELF_H

#include "context.h"
#include "norm.h"
#include "plan.h"
#include "problem.h"

/* One projection: weight (rows, width of its input), bias (rows) or NULL. */
typedef struct attn__projection {
  const float *weight, *bias;
} attn__projection;

typedef struct attn__self_problem {
  attn__problem attention; /* its query, key, value and output are set by the run, its norm is off */
  int64_t dim_model, dim_output;
  attn__input x;                           /* (batch, len_q, dim_model): strides of batch and row */
  attn__output output;                     /* (batch, len_q, dim_output) */
  attn__projection query, key, value, out; /* out.weight NULL: no output projection */
  int32_t rope;
  int64_t rope_dim;
  float rope_base;
  attn__norm norm;
  attn__input residual; /* as output; data NULL: none */
} attn__self_problem;

/* Where the pieces of scratch begin, in bytes. */
typedef struct attn__self_layout {
  int64_t query, key, value, heads; /* (batch, len_q, heads, dim) each */
  int64_t lengths;                  /* batch: how many rows of x there are */
  int64_t strands;                  /* what the steps need, one after another */
  int64_t bytes;
} attn__self_layout;

/* Sets the strides that attention's query, key, value and output will have in the scratch. */
void attn__self_arrange(attn__self_problem *problem);

/* Sets the layout, with room at strands for steps of so many bytes; 0 if its bytes cannot be counted. */
int32_t attn__self_lay_out(const attn__self_problem *problem, uint64_t strands_bytes,
                           attn__self_layout *layout);

/* Projects x and rotates: attention's query, key, value and output point into the scratch. */
void attn__self_project(attn_context *context, attn__self_problem *problem, const attn__self_layout *layout,
                        char *scratch);

/* Output projection, residual and norm, after the attention. */
void attn__self_finish(attn_context *context, const attn__self_problem *problem,
                       const attn__self_layout *layout, char *scratch);

#endif
