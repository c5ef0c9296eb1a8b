/* merge.c - joins partial results over disjoint keys by their log-sum-exp.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "merge.h"

#include <math.h>

#include "base.h"

enum {
  PIECE = 64,                 /* elements of a row summed at a time */
  FLOATS_PER_STRAND = 1 << 16 /* at least: less is done before another thread wakes up */
};

typedef struct merge_job {
  const attn__merge_problem *problem;
  int64_t rows, strands;
} merge_job;

/* Row i of head h of batch entry b. */
typedef struct merge_row {
  const attn__merge_problem *problem;
  int64_t b, h, i;
  double max, sum; /* of the LSEs, of exp(lse - max) */
} merge_row;

static const float *row_of(const merge_row *row, const float *part, const attn__strides *strides) {
  const attn__input input = {part, *strides};
  return attn__input_row(&input, row->b, row->h, row->i);
}

static double lse_of(const merge_row *row, int64_t part) {
  return (double)*row_of(row, row->problem->lses[part], &row->problem->lses_strides);
}

static void sum_up(merge_row *row) {
  row->max = -INFINITY;
  for (int64_t part = 0; part < row->problem->parts; part++) row->max = fmax(row->max, lse_of(row, part));
  for (int64_t part = 0; part < row->problem->parts; part++) {
    const double lse = lse_of(row, part);
    if (lse != -INFINITY) row->sum += exp(lse - row->max);
  }
}

/* output = sum of weight * output_i, an element at a time, as output may be one of the parts. */
static void add_up(const merge_row *row, float *output) {
  const attn__merge_problem *problem = row->problem;
  for (int64_t first = 0; first < problem->dim_v; first += PIECE) {
    const int64_t count = attn__min(PIECE, problem->dim_v - first);
    double total[PIECE] = {0};
    for (int64_t part = 0; part < problem->parts; part++) {
      const double lse = lse_of(row, part);
      if (lse == -INFINITY) continue;
      const double weight = exp(lse - row->max) / row->sum;
      const float *values = row_of(row, problem->outputs[part], &problem->outputs_strides) + first;
      for (int64_t d = 0; d < count; d++) total[d] += weight * (double)values[d];
    }
    for (int64_t d = 0; d < count; d++) output[first + d] = (float)total[d];
  }
}

static void merge(const attn__merge_problem *problem, int64_t number) {
  merge_row row = {.problem = problem, .i = number % problem->len_q};
  row.h = number / problem->len_q % problem->heads;
  row.b = number / problem->len_q / problem->heads;
  sum_up(&row);
  add_up(&row, attn__output_row(&problem->output, row.b, row.h, row.i));
  if (problem->lse.data)
    *attn__output_row(&problem->lse, row.b, row.h, row.i) =
        row.sum == 0 ? -INFINITY : (float)(row.max + log(row.sum));
}

static void run_strand(void *argument, int64_t index) {
  const merge_job *job = argument;
  const int64_t rows = attn__divide_up(job->rows, job->strands);
  const int64_t end = attn__min((index + 1) * rows, job->rows);
  for (int64_t row = index * rows; row < end; row++) merge(job->problem, row);
}

void attn__merge_run(attn_context *context, const attn__merge_problem *problem) {
  if (problem->batch == 0 || problem->heads == 0 || problem->len_q == 0) return;
  const int64_t rows = problem->batch * problem->heads * problem->len_q;
  const double wanted = (double)rows * (double)problem->dim_v * (double)problem->parts / FLOATS_PER_STRAND;
  const int64_t most = attn__min(context->options.threads, rows);
  merge_job job = {.problem = problem, .rows = rows, .strands = most};
  if (wanted < (double)most) job.strands = attn__max((int64_t)wanted, 1);
  attn__context_run(context, job.strands, run_strand, &job);
}
