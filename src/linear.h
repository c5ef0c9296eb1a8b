/* linear.h - a linear layer, y = x W^T + bias, spread over the workers.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_LINEAR_H
#define ATTN_LINEAR_H

#include "context.h"
#include "problem.h"

typedef struct attn__linear {
  int64_t batch, rows, dim_in, dim_out;
  const int64_t *lengths; /* batch of them: rows that there are; NULL: rows. The others stay as they are */
  attn__input x;          /* (batch, rows, dim_in), strides of batch and row */
  const float *weight;    /* (dim_out, dim_in), dense */
  const float *bias;      /* (dim_out); NULL: none */
  attn__output y;         /* (batch, rows, dim_out); row stride dim_out to INT32_MAX */
} attn__linear;

/* The scratch that a layer of any size needs, in bytes. */
uint64_t attn__linear_scratch(const attn__engine *engine, int64_t strands);

void attn__linear_run(attn_context *context, const attn__linear *layer, void *scratch);

#endif
