/* naive_layer.h - the formulas in double of a self-attention layer, and of what becomes of an output row.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_NAIVE_LAYER_H
#define ATTN_NAIVE_LAYER_H

#include "attn/attn.h"

/* What becomes of an output row of count numbers at the end, and of its bound: residual (NULL: none) is
 * added, then come norm, gain and shift. */
void naive_finish(const attn_args *args, int64_t count, const float *residual, double *x, double *bound);

/* A layer whose queries, keys and values have been projected and rotated, in double, and rounded. */
typedef struct naive_layer {
  const attn_self_args *args;
  attn_args heads; /* the attention of its heads; points into this struct */
  float *query, *key, *value;
  int64_t strides_q[3], strides_k[3], strides_v[3];
} naive_layer;

void naive_layer_open(naive_layer *layer, const attn_self_args *args);
void naive_layer_close(naive_layer *layer);

/* output, bound: row i of batch entry b of the layer's output, as in naive_row. Returns the largest score
 * of its heads. */
double naive_layer_row(const naive_layer *layer, int64_t b, int64_t i, double *output, double *bound);

#endif
