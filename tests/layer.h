/* layer.h - one attn_self call as a test sees it: shape, options, weights, arrays, and the comparison of its
 * results.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_LAYER_H
#define ATTN_LAYER_H

#include "case.h"

/* What a layer is made from; zero in a field means what it means in attn_self_args. */
typedef struct layer_spec {
  int64_t batch, heads_q, heads_kv, len, dim, dim_v, dim_model, dim_output;
  int single;  /* 1: weights one by one, else packed */
  int biases;  /* bits: q, k, v, o */
  int project; /* 1: an output projection */
  int32_t rope;
  float rope_base;
  int64_t rope_dim;
  tensor_layout x_layout, output_layout;
} layer_spec;

/* The call. It points into itself, so it must not be copied. */
typedef struct layer_case {
  attention_case options; /* and what attention gives; its output is the layer's */
  attn_args attention;
  attn_self_args args;
  tensor x;
  int64_t x_strides[2], output_strides[2];
} layer_case;

/* Sets up arrays and arguments. The options begin as those of attention over arrays that a layer does not
 * have; more may be set in them, as features do. */
void layer_open(layer_case *c, const layer_spec *spec, random_source *source);
void layer_close(layer_case *c);

/* Calls attn_self, and returns what it returns. */
int32_t layer_call(layer_case *c, attn_context *context);

/* Fills the outputs with canaries, calls attn_self and asserts that it succeeds. */
void layer_run(layer_case *c, attn_context *context);

/* Asserts that every result of the last call is as the formulas in double have it, as closely as rounded
 * queries, keys and values allow. */
void layer_check(const layer_case *c);

#endif
