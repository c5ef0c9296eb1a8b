/* local.c - Luong's local-p: the windows' middles, predicted from the queries.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * center = len_k * sigmoid(v . tanh(W q)) (Luong, Pham and Manning, 2015, equation 9), a tile of queries at a
 * time: hidden = Q W^T by the product engine, then a row of hidden becomes one number.
 */
#include "local.h"

#include <math.h>
#include <string.h>

#include "base.h"
#include "queue.h"

enum { TILE_ROWS = 64 };

typedef struct local_job {
  const attn__problem *problem;
  const attn__kernels *kernels;
  const attn__engine *engine;
  float *centers;      /* batch x heads_q x len_q */
  attn__matrix matrix; /* dim x predict_dim: W transposed */
  float *strands;      /* for each: TILE_ROWS x dim of queries, TILE_ROWS x predict_dim of hidden */
  int64_t parts;       /* tiles of a head */
  attn__queue *queue;
} local_job;

static int64_t strand_floats(const attn__problem *problem) {
  return attn__round_up(TILE_ROWS * (problem->dim + problem->predict_dim), ATTN_CACHE_LINE);
}

static int64_t centers_floats(const attn__problem *problem) {
  return attn__round_up(problem->batch * problem->heads_q * problem->len_q, ATTN_CACHE_LINE);
}

static int64_t matrix_floats(const attn__problem *problem, const attn__engine *engine) {
  return attn__round_up(attn__product_floats(engine, problem->dim, problem->predict_dim), ATTN_CACHE_LINE);
}

uint64_t attn__local_scratch(const attn_context *context, const attn__problem *problem) {
  if (!problem->predict_matrix) return 0;
  const int64_t floats = centers_floats(problem) + matrix_floats(problem, &context->engine) +
                         attn__context_strands(context) * strand_floats(problem);
  return (uint64_t)floats * sizeof(float);
}

static float center(const local_job *job, const float *hidden, int64_t len_k) {
  double energy = 0;
  for (int64_t p = 0; p < job->problem->predict_dim; p++)
    energy += (double)job->problem->predict_vector[p] * (double)tanhf(hidden[p]);
  return (float)((double)len_k / (1 + exp(-energy)));
}

static void predict_tile(const local_job *job, int64_t task, float *queries) {
  const attn__problem *problem = job->problem;
  const int64_t dim = problem->dim, predict_dim = problem->predict_dim;
  const int64_t first = task % job->parts * TILE_ROWS, h = task / job->parts % problem->heads_q;
  const int64_t b = task / job->parts / problem->heads_q;
  const attn__sequence sequence = attn__sequence_of(problem, b);
  const int64_t rows = attn__min(TILE_ROWS, sequence.len_q - first);
  if (rows <= 0) return;
  float *hidden = queries + TILE_ROWS * dim;
  for (int64_t r = 0; r < rows; r++)
    memcpy(queries + r * dim,
           attn__input_row(&problem->query, sequence.batch_q, h, sequence.first_q + first + r),
           (size_t)dim * sizeof(float));
  const attn__product product = {.rows = rows,
                                 .cols = predict_dim,
                                 .inner = dim,
                                 .a = queries,
                                 .stride_a = dim,
                                 .b = job->matrix,
                                 .c = hidden,
                                 .stride_c = predict_dim};
  job->engine->multiply(&product);
  float *centers = job->centers + (b * problem->heads_q + h) * problem->len_q + first;
  for (int64_t r = 0; r < rows; r++) centers[r] = center(job, hidden + r * predict_dim, sequence.len_k);
}

static void run_strand(void *argument, int64_t index) {
  local_job *job = argument;
  float *scratch = job->strands + index * strand_floats(job->problem);
  job->engine->enter();
  int64_t lane = attn__queue_lane(job->queue, index), task;
  while ((task = attn__queue_take(job->queue, &lane)) >= 0) predict_tile(job, task, scratch);
  job->engine->leave();
}

void attn__local_predict(attn_context *context, attn__problem *problem, void *scratch) {
  local_job job = {
      .problem = problem, .kernels = context->kernels, .engine = &context->engine, .centers = scratch};
  float *matrix = job.centers + centers_floats(problem);
  job.strands = matrix + matrix_floats(problem, &context->engine);
  job.parts = attn__divide_up(problem->len_q, TILE_ROWS);
  const int64_t tasks = problem->batch * problem->heads_q * job.parts;
  const int64_t strands = attn__min(attn__context_strands(context), tasks);
  attn__queue queue;
  attn__queue_fill(&queue, tasks, strands);
  job.queue = &queue;
  const attn__rows rows = {problem->predict_matrix, problem->dim, problem->predict_dim, problem->dim};
  job.matrix = attn__product_pack_transposed(&context->engine, context->kernels, &rows, 1, matrix);
  attn__context_run(context, strands, run_strand, &job);
  problem->centers = (attn__input){job.centers, {problem->heads_q * problem->len_q, problem->len_q, 1}};
}
