/* naive.h - the formulas in double, one row at a time: what every result is compared with.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_NAIVE_H
#define ATTN_NAIVE_H

#include "attn/attn.h"

/* One batch entry: query i is row first_q + i of batch entry batch_q of the array, likewise keys. */
typedef struct naive_sequence {
  int64_t batch_q, first_q, len_q;
  int64_t batch_k, first_k, len_k;
  int64_t offset;
} naive_sequence;

naive_sequence naive_sequence_of(const attn_args *args, int64_t b);

/* What attention gives for one query. */
typedef struct naive_row {
  int64_t len_k, dim_v;
  int exists;     /* 0: there is no such query, as its sequence is shorter */
  int undecided;  /* 1: the edge of a predicted window is so near a key that rounding decides who sees it */
  int64_t seen;   /* how many keys it sees */
  double *output; /* dim_v */
  double *bound;  /* dim_v: the sum of weight * |value|, which rounding errors are measured by */
  double *weights; /* len_k; also the scores on the way */
  double *growth;  /* len_k: by how much the error of a weight may be above that of others; at least 1 */
  double *scores;  /* len_k: of args->scores_stage */
  double largest;  /* of the sizes of the finite scores of any stage */
  double lse;
} naive_row;

naive_row naive_row_make(const attn_args *args);
void naive_row_free(naive_row *row);

/* 1 if a key is visible to a query of a head of a batch entry. */
int naive_sees(const attn_args *args, int64_t b, int64_t h, int64_t i, int64_t j);

/* Fills row with the result of query i of query head h of batch entry b. Reads no masked key or value, but
 * masked keys where scores from before the masks are wanted. */
void naive_attention(const attn_args *args, int64_t b, int64_t h, int64_t i, naive_row *row);

/* out: the softmax of scale * x[0..count); returns the log-sum-exp. */
double naive_softmax(int64_t count, const float *x, double scale, double *out);

#endif
