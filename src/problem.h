/* problem.h - one attention call, resolved: every default filled in, every stride explicit.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The project's words:
 *   batch, head, query, key   what the loop letters b, h, i, j count
 *   group          the query heads that read one key head
 *   head group     one (batch, key head): the queries that share its keys and values; where few queries meet heads
 *                  that lie side by side, several such
 *   row            one query of one query head; the softmax of a row is over keys
 *   tile           the rows or keys that one product works on; rows of a tile share a head group
 *   block          neighbouring query tiles of a head group that share each key tile while it is in cache
 *   task           what a thread takes at a time: one block, a run of them, or a split of one
 *   strand         one of the threads of a call; it owns one slot of the scratch
 *   visible        a key that no rule masks for a query
 *   sequence       one batch entry: its queries, its keys, and how they are aligned
 *   position       of query i: p = i + offset, counted in keys
 *   plan           how a problem will be computed: path, tile sizes, tasks, scratch
 *   engine         who multiplies tiles
 */
#ifndef ATTN_PROBLEM_H
#define ATTN_PROBLEM_H

#include <stdint.h>

#include "norm.h"

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

/* What is added to or decides about single scores: (batch, head, query, key). */
typedef struct attn__score_strides {
  int64_t batch, head, query, key;
} attn__score_strides;

#define ATTN__UNBOUNDED INT64_MAX

typedef struct attn__problem {
  int64_t batch, heads_q, heads_kv, len_q, len_k, dim, dim_v;
  int64_t group; /* heads_q / heads_kv */
  attn__input query, key, value;
  attn__output output, weights, lse; /* a row of lse is one number */
  attn__output scores;               /* at this stage: */
  int32_t scores_stage;
  float scale;
  float softcap; /* 0: off */
  int32_t causal;
  int32_t has_window;
  /* The window; left and right may be ATTN__UNBOUNDED. */
  int64_t window_left, window_right, window_prefix, window_dilation;
  /* The windows' middles where they are not the positions, and the Gaussian around them. */
  attn__input centers; /* a row is one number; NULL: none */
  float sigma;
  const float *predict_matrix, *predict_vector; /* predict_dim x dim, predict_dim; NULL: no prediction */
  int64_t predict_dim;
  const float *bias;
  attn__score_strides bias_strides;
  const uint8_t *mask;
  attn__score_strides mask_strides;
  int32_t score_function; /* ATTN_SCORE_... */
  const float *score_weight;
  attn__norm norm; /* of each row of the output */
  attn__input residual;
  const float *alibi_slopes, *sinks; /* heads_q each */
  int64_t offset;
  const int64_t *offsets, *lengths_q, *lengths_k; /* batch each; NULL: offset, len_q, len_k */
  const int64_t *starts_q, *starts_k;             /* batch + 1 each; NULL: not packed */
} attn__problem;

/* One batch entry: where its rows are and what its queries are to its keys. */
typedef struct attn__sequence {
  int64_t batch_q, first_q, len_q; /* query i is row first_q + i of batch entry batch_q of the array */
  int64_t batch_k, first_k, len_k;
  int64_t offset; /* the position of query 0 among the keys */
} attn__sequence;

static inline attn__sequence attn__sequence_of(const attn__problem *problem, int64_t b) {
  attn__sequence s = {b, 0, problem->len_q, b, 0, problem->len_k, problem->offset};
  if (problem->starts_q) {
    s.batch_q = 0;
    s.first_q = problem->starts_q[b];
    s.len_q = problem->starts_q[b + 1] - s.first_q;
  }
  if (problem->starts_k) {
    s.batch_k = 0;
    s.first_k = problem->starts_k[b];
    s.len_k = problem->starts_k[b + 1] - s.first_k;
  }
  if (problem->lengths_q && problem->lengths_q[b] < s.len_q) s.len_q = problem->lengths_q[b];
  if (problem->lengths_k && problem->lengths_k[b] < s.len_k) s.len_k = problem->lengths_k[b];
  if (problem->offsets) s.offset = problem->offsets[b];
  return s;
}

static inline const float *attn__input_row(const attn__input *input, int64_t b, int64_t h, int64_t row) {
  return input->data + b * input->strides.batch + h * input->strides.head + row * input->strides.row;
}

static inline float *attn__output_row(const attn__output *output, int64_t b, int64_t h, int64_t row) {
  return output->data + b * output->strides.batch + h * output->strides.head + row * output->strides.row;
}

#endif
