/* unfused.c - the rival: attention as a C user writes it by hand over BLAS.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "unfused.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>

#include "bench.h"

/* Declared here because only OpenBLAS's own cblas.h has them; weak for a BLAS without them. */
int openblas_get_num_threads(void) __attribute__((weak));
void openblas_set_num_threads(int threads) __attribute__((weak));
int openblas_get_parallel(void) __attribute__((weak));
char *openblas_get_corename(void) __attribute__((weak));

/* OpenBLAS's serial flavour gives wrong numbers to callers from several threads. */
static int takes_many_callers(void) {
  return openblas_get_parallel == NULL || openblas_get_parallel() != 0;
}

double unfused_bytes(const bench_shape *shape, int threads) {
  return sizeof(float) * (double)shape->len_q * (double)shape->len_k * threads;
}

const char *unfused_core(void) {
  return openblas_get_corename != NULL ? openblas_get_corename() : "";
}

int unfused_open(bench_unfused *unfused, const bench_shape *shape, const bench_inputs *inputs,
                 bench_crew *crew) {
  size_t scores = (size_t)(shape->len_q * shape->len_k) * (size_t)crew_members(crew);
  *unfused = (bench_unfused){.shape = shape, .inputs = inputs, .crew = crew};
  unfused->scores = malloc(scores * sizeof(float));
  if (unfused->scores == NULL)
    return bench_error(BENCH_LIBRARY, "no memory for the score matrices of shape %s", shape->name);
  if (openblas_get_num_threads == NULL || openblas_set_num_threads == NULL) return BENCH_OK;
  unfused->blas_threads_before = openblas_get_num_threads();
  openblas_set_num_threads(1);
  return BENCH_OK;
}

/* row: cols scores, of which only the view is seen. */
static void softmax_row(float *row, shape_view view, int64_t cols) {
  float max = -INFINITY, sum = 0, *seen = row + view.first;
  for (int64_t j = 0; j < view.count; j++)
    if (seen[j] > max) max = seen[j];
  for (int64_t j = 0; j < view.count; j++) {
    seen[j] = expf(seen[j] - max);
    sum += seen[j];
  }
  float factor = 1 / sum;
  for (int64_t j = 0; j < view.count; j++) seen[j] *= factor;
  for (int64_t j = 0; j < view.first; j++) row[j] = 0;
  for (int64_t j = view.first + view.count; j < cols; j++) row[j] = 0;
}

/* head: the query head, counted over all of the batch; scores: Nq x Nk. */
static void attend_head(const bench_unfused *unfused, int64_t head, float *scores) {
  const bench_shape *shape = unfused->shape;
  const bench_inputs *inputs = unfused->inputs;
  int len_q = (int)shape->len_q, len_k = (int)shape->len_k, dim = (int)shape->dim;
  int64_t head_kv = head / (shape->heads_q / shape->heads_kv);
  int64_t offset_q = head * shape->len_q * shape->dim, strides[3];
  shape_kv_strides(shape, strides);
  int64_t offset_kv = head_kv / shape->heads_kv * strides[0] + head_kv % shape->heads_kv * strides[1];
  int stride_kv = (int)strides[2];
  float scale = 1 / sqrtf((float)dim);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, len_q, len_k, dim, scale, inputs->query + offset_q,
              dim, inputs->key + offset_kv, stride_kv, 0, scores, len_k);
  for (int64_t i = 0; i < shape->len_q; i++)
    softmax_row(scores + i * shape->len_k, shape_see(shape, i), shape->len_k);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, len_q, dim, len_k, 1, scores, len_k,
              inputs->value + offset_kv, stride_kv, 0, inputs->output + offset_q, dim);
}

static void attend_heads(void *job, int member, int members) {
  (void)members;
  bench_unfused *unfused = job;
  const bench_shape *shape = unfused->shape;
  float *scores = unfused->scores + member * shape->len_q * shape->len_k;
  int64_t heads = shape->batch * shape->heads_q, head;
  while ((head = atomic_fetch_add(&unfused->next, 1)) < heads) attend_head(unfused, head, scores);
}

void unfused_call(bench_unfused *unfused) {
  const bench_shape *shape = unfused->shape;
  atomic_store(&unfused->next, 0);
  if (takes_many_callers() && shape->batch * shape->heads_q > 1) /* waking a thread for nothing is slow */
    crew_run(unfused->crew, attend_heads, unfused);
  else
    attend_heads(unfused, 0, 1);
}

void unfused_close(bench_unfused *unfused) {
  free(unfused->scores);
  if (unfused->blas_threads_before > 0) openblas_set_num_threads(unfused->blas_threads_before);
}
