/* layer.h - the input and the weights of a self-attention layer from files.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Functions that return int return EXIT_OK, or report the error and return its exit code. */
#ifndef ATTN_TOOL_LAYER_H
#define ATTN_TOOL_LAYER_H

#include <attn/attn.h>
#include <stdbool.h>

#include "npy.h"
#include "options.h"

/* The files that may be given. */
enum {
  LAYER_X,
  LAYER_WEIGHT_QKV,
  LAYER_WEIGHT_Q,
  LAYER_WEIGHT_K,
  LAYER_WEIGHT_V,
  LAYER_WEIGHT_O,
  LAYER_BIAS_QKV,
  LAYER_BIAS_Q,
  LAYER_BIAS_K,
  LAYER_BIAS_V,
  LAYER_BIAS_O,
  LAYER_FILES
};

typedef struct layer {
  const char *paths[LAYER_FILES];
  npy_array arrays[LAYER_FILES];
  int64_t heads, heads_kv; /* heads_kv 0: as heads */
  int64_t dim, dim_v;      /* found by layer_read() */
  int32_t rope;            /* ATTN_ROPE_... */
  int64_t rope_dim;        /* 0: not given */
  double rope_base;        /* 0: not given */
} layer;

/* The options for that struct, and their help. */
extern const option layer_table[];
extern const char layer_help[];

/* Checks that the options agree. */
int layer_check(const layer *given);

/* Reads the files, finds the head sizes, and checks that all shapes belong together. */
int layer_read(layer *given);

/* The sizes of the layer's attention. */
attn_args layer_attention(const layer *given);

/* The layer but for its attention and output. */
attn_self_args layer_args(const layer *given);

/* The shapes of what comes of it: the rows of scores, (batch x) heads x N; and the output. */
npy_shape layer_rows(const layer *given);
npy_shape layer_output(const layer *given);

void layer_free(layer *given);

#endif
