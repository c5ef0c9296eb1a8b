/* naive.h - the formulas in double, one row at a time: what every result is compared with.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_NAIVE_H
#define ATTN_NAIVE_H

#include "attn/attn.h"

/* What attention gives for one query. */
typedef struct naive_row {
  int64_t len_k, dim_v;
  double *output;  /* dim_v */
  double *bound;   /* dim_v: the sum of weight * |value|, which rounding errors are measured by */
  double *weights; /* len_k; also the scores on the way */
  double lse;
} naive_row;

naive_row naive_row_make(const attn_args *args);
void naive_row_free(naive_row *row);

/* 1 if a key is visible to a query. */
int naive_sees(const attn_args *args, int64_t i, int64_t j);

/* Fills row with the result of query i of query head h of batch entry b; reads no masked key or value. */
void naive_attention(const attn_args *args, int64_t b, int64_t h, int64_t i, naive_row *row);

/* out: the softmax of scale * x[0..count); returns the log-sum-exp. */
double naive_softmax(int64_t count, const float *x, double scale, double *out);

#endif
