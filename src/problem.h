/* problem.h - one attention call, resolved: every default filled in, every stride explicit.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The project's words:
 *   batch, head, query, key   what the loop letters b, h, i, j count
 *   group          the query heads that read one key head
 *   head group     one (batch, key head): the queries that share its keys and values
 *   row            one query of one query head; the softmax of a row is over keys
 *   tile           the rows or keys that one product works on; rows of a tile share a head group
 *   block          neighbouring query tiles of a head group that share each key tile while it is in cache
 *   task           what a thread takes at a time: one block
 *   strand         one of the threads of a call; it owns one slot of the scratch
 *   visible        a key that no rule masks for a query
 *   plan           how a problem will be computed: path, tile sizes, tasks, scratch
 *   engine         who multiplies tiles
 */
#ifndef ATTN_PROBLEM_H
#define ATTN_PROBLEM_H

#include <stdint.h>

/* Steps through an array of (batch, head, row, element), in elements; elements of a row are adjacent. */
typedef struct attn__strides {
  int64_t batch, head, row;
} attn__strides;

typedef struct attn__input {
  const float *data;
  attn__strides strides;
} attn__input;

typedef struct attn__output {
  float *data; /* NULL: not wanted */
  attn__strides strides;
} attn__output;

typedef struct attn__problem {
  int64_t batch, heads_q, heads_kv, len_q, len_k, dim, dim_v;
  int64_t group; /* heads_q / heads_kv */
  attn__input query, key, value;
  attn__output output, weights, lse; /* a row of lse is one number */
  float scale;
  int32_t causal;
  int64_t causal_offset;
} attn__problem;

static inline const float *attn__input_row(const attn__input *input, int64_t b, int64_t h, int64_t row) {
  return input->data + b * input->strides.batch + h * input->strides.head + row * input->strides.row;
}

static inline float *attn__output_row(const attn__output *output, int64_t b, int64_t h, int64_t row) {
  return output->data + b * output->strides.batch + h * output->strides.head + row * output->strides.row;
}

#endif
