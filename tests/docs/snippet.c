/* snippet.c - around the examples of the pages: the sizes and arrays that they take for granted.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <attn/attn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { FLOATS = 1 << 18 };

static const int64_t B = 2, Hq = 4, Hkv = 2, Nq = 10, Nk = 12, D = 8, Dv = 6, E = 32, P = 5, G = 3, R = 7;

/* Inputs */
static float q[FLOATS], k[FLOATS], v[FLOATS], query[FLOATS], key[FLOATS], value[FLOATS], x[FLOATS],
    past_key[FLOATS], past_value[FLOATS], in_proj_weight[FLOATS], in_proj_bias[FLOATS],
    out_proj_weight[FLOATS], out_proj_bias[FLOATS], weight_q[FLOATS], weight_k[FLOATS], weight_v[FLOATS],
    weight_o[FLOATS], bias_q[FLOATS], bias_k[FLOATS], bias_v[FLOATS], bias_o[FLOATS], score_vector[FLOATS],
    score_matrix[FLOATS], predict_matrix[FLOATS], predict_vector[FLOATS], centers[FLOATS], bias[FLOATS],
    slopes[FLOATS], sinks[FLOATS], gain[FLOATS], shift[FLOATS], residual[FLOATS];
static uint8_t mask[FLOATS];
static const int64_t lengths[] = {7, 10}, cache_lengths[] = {12, 11};

/* Outputs */
static float out[FLOATS], output[FLOATS], y[FLOATS], lse[FLOATS], weights[FLOATS], scores[FLOATS],
    part_outputs[2][FLOATS], part_sums[2][FLOATS];
static float *const outputs[] = {part_outputs[0], part_outputs[1]}, *const lses[] = {part_sums[0],
                                                                                     part_sums[1]};

/* A call and a layer */
static const attn_args args = {.size = sizeof args,
                               .batch = 1,
                               .heads_q = 1,
                               .len_q = 9,
                               .len_k = 9,
                               .dim = 4,
                               .query = query,
                               .key = key,
                               .value = value,
                               .output = output};

/* A host */
static void *host;

static void *host_allocate(void *user, uint64_t bytes, uint64_t alignment) {
  (void)user;
  return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

static void host_deallocate(void *user, void *memory, uint64_t bytes) {
  (void)user;
  (void)bytes;
  free(memory);
}

static void host_parallel_for(void *user, int64_t count, attn_task task, void *job) {
  (void)user;
  for (int64_t index = 0; index < count; index++) task(job, index);
}

static void fill(float *array, int seed) {
  for (int n = 0; n < FLOATS; n++) array[n] = sinf((float)(n + 1) * (float)seed);
}

/* SNIPPETS */

int main(void) {
  float *const inputs[] = {q,
                           k,
                           v,
                           query,
                           key,
                           value,
                           x,
                           past_key,
                           past_value,
                           weight_q,
                           weight_k,
                           weight_v,
                           weight_o,
                           bias_q,
                           bias_k,
                           bias_v,
                           bias_o,
                           score_vector,
                           centers,
                           score_matrix,
                           predict_matrix,
                           gain,
                           shift,
                           predict_vector,
                           slopes,
                           sinks,
                           bias,
                           residual,
                           in_proj_bias,
                           in_proj_weight,
                           out_proj_weight,
                           out_proj_bias};
  for (size_t n = 0; n < sizeof inputs / sizeof inputs[0]; n++) fill(inputs[n], (int)n + 3);
  for (int n = 0; n < FLOATS; n++) mask[n] = n % 5 != 0;
  attn_context *context;
  if (attn_create(&context, NULL) != ATTN_OK) return 1;
  int failed = 0;
  for (size_t n = 0; n < sizeof snippets / sizeof snippets[0]; n++) {
    const int32_t status = snippets[n].run(context);
    if (status == ATTN_OK) continue;
    printf("%s: %s\n", snippets[n].place, attn_last_error(context));
    failed++;
  }
  attn_destroy(context);
  return failed > 0;
}
