/* softmax.c - the softmax of rows of a matrix.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "softmax.h"

#include <math.h>

#include "base.h"

enum {
  PIECE = 1024,               /* floats summed by a kernel at a time; the pieces are summed in double */
  FLOATS_PER_STRAND = 1 << 16 /* at least: less is done before another thread wakes up */
};

typedef struct softmax_job {
  const attn__softmax_problem *problem;
  const attn__kernels *kernels;
  int64_t strands;
} softmax_job;

static void softmax_row(const softmax_job *job, int64_t r) {
  const attn__softmax_problem *problem = job->problem;
  const attn__kernels *kernels = job->kernels;
  const int64_t cols = problem->cols;
  const float *input = problem->input + r * problem->input_stride;
  float *output = problem->output + r * problem->output_stride;
  if (problem->scale != 1) {
    kernels->scale(cols, input, problem->scale, output);
    input = output;
  }
  const float max = kernels->row_max(cols, input);
  double sum = 0;
  for (int64_t c = 0; c < cols; c += PIECE)
    sum += kernels->exp_sum(attn__min(PIECE, cols - c), input + c, max == -INFINITY ? 0 : max, output + c);
  if (sum == 0)
    for (int64_t c = 0; c < cols; c++) output[c] = 0;
  else
    kernels->divide(cols, output, (float)sum, output);
  if (problem->lse) problem->lse[r] = sum == 0 ? -INFINITY : (float)(max + log(sum));
}

static void run_strand(void *argument, int64_t index) {
  const softmax_job *job = argument;
  const int64_t rows = attn__divide_up(job->problem->rows, job->strands);
  const int64_t end = attn__min((index + 1) * rows, job->problem->rows);
  for (int64_t r = index * rows; r < end; r++) softmax_row(job, r);
}

void attn__softmax_run(attn_context *context, const attn__softmax_problem *problem) {
  if (problem->rows == 0 || (problem->cols == 0 && !problem->lse)) return;
  double wanted = (double)problem->rows * (double)problem->cols / FLOATS_PER_STRAND;
  int64_t most = attn__min(context->options.threads, problem->rows);
  int64_t strands = wanted < (double)most ? attn__max((int64_t)wanted, 1) : most;
  softmax_job job = {.problem = problem, .kernels = context->kernels, .strands = strands};
  attn__context_run(context, strands, run_strand, &job);
}
