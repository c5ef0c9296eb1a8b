/* first.c - a program of the first version: compiled against that version's header, run with today's library.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "attn/attn.h"

_Static_assert(sizeof(attn_options) == 56 && sizeof(attn_args) == 184 && sizeof(attn_plan) == 64 &&
                   sizeof(attn_softmax_args) == 72 && sizeof(attn_info) == 80,
               "not the first header");

enum { HEADS = 2, LEN_Q = 3, LEN_K = 5, DIM = 4 };

static int failures;

static void check(int holds, const char *what) {
  if (holds) return;
  printf("failed: %s\n", what);
  failures++;
}

/* What stands behind a struct of the first version is the program's own. */
static struct {
  attn_plan plan;
  unsigned char behind[64];
} plan_and_more;
static struct {
  attn_info info;
  unsigned char behind[64];
} info_and_more;

static int untouched(const unsigned char *behind) {
  for (int n = 0; n < 64; n++)
    if (behind[n] != 0xa5) return 0;
  return 1;
}

static float query[HEADS * LEN_Q * DIM], key[HEADS * LEN_K * DIM], value[HEADS * LEN_K * DIM];
static float output[HEADS * LEN_Q * DIM], weights[HEADS * LEN_Q * LEN_K], lse[HEADS * LEN_Q];

static void fill(float *x, int count, int seed) {
  for (int n = 0; n < count; n++) x[n] = (float)((n * 37 + seed * 11) % 23 - 11) / 8;
}

static double score(int h, int i, int j) {
  double sum = 0;
  for (int d = 0; d < DIM; d++)
    sum += (double)query[(h * LEN_Q + i) * DIM + d] * (double)key[(h * LEN_K + j) * DIM + d];
  return sum / 2;
}

/* The largest difference of a row from the formula, where query i sees keys up to i + offset. */
static double error_of_row(int h, int i, int64_t offset) {
  double total = 0, worst = 0;
  for (int j = 0; j <= i + offset && j < LEN_K; j++) total += exp(score(h, i, j));
  for (int d = 0; d < DIM; d++) {
    double sum = 0;
    for (int j = 0; j <= i + offset && j < LEN_K; j++)
      sum += exp(score(h, i, j)) / total * (double)value[(h * LEN_K + j) * DIM + d];
    worst = fmax(worst, fabs(sum - (double)output[(h * LEN_Q + i) * DIM + d]));
  }
  return fmax(worst, fabs(log(total) - (double)lse[h * LEN_Q + i]));
}

static attn_args args_of_first(void) {
  fill(query, HEADS * LEN_Q * DIM, 1);
  fill(key, HEADS * LEN_K * DIM, 2);
  fill(value, HEADS * LEN_K * DIM, 3);
  return (attn_args){.size = sizeof(attn_args),
                     .batch = 1,
                     .heads_q = HEADS,
                     .len_q = LEN_Q,
                     .len_k = LEN_K,
                     .dim = DIM,
                     .query = query,
                     .key = key,
                     .value = value,
                     .output = output,
                     .weights = weights,
                     .lse = lse,
                     .causal = 1,
                     .causal_offset = 1};
}

static void check_attention(attn_context *context) {
  attn_args args = args_of_first();
  check(attn_global(context, &args) == ATTN_OK, "attn_global");
  for (int h = 0; h < HEADS; h++)
    for (int i = 0; i < LEN_Q; i++) check(error_of_row(h, i, args.causal_offset) < 1e-5, "the numbers");
  memset(&plan_and_more, 0xa5, sizeof plan_and_more);
  plan_and_more.plan.size = sizeof(attn_plan);
  check(attn_explain(context, &args, &plan_and_more.plan) == ATTN_OK, "attn_explain");
  check(strcmp(plan_and_more.plan.path, "tiled") == 0 && untouched(plan_and_more.behind), "the plan");
  args.dim = 0;
  check(attn_global(context, &args) == ATTN_ERROR_ARGUMENT, "a refusal");
  check(strstr(attn_last_error(context), "dim") != NULL, "the sentence of a refusal");
}

static void check_softmax(attn_context *context) {
  float x[4] = {1, 2, 3, 4}, sum = 0;
  const attn_softmax_args args = {
      .size = sizeof args, .rows = 1, .cols = 4, .input = x, .output = x, .has_scale = 1, .scale = 2};
  check(attn_softmax(context, &args) == ATTN_OK, "attn_softmax");
  for (int n = 0; n < 4; n++) sum += x[n];
  check(fabsf(sum - 1) < 1e-6f && fabs((double)x[3] / (double)x[2] - exp(2)) < 1e-4, "the softmax");
}

static void check_texts(attn_context *context) {
  memset(&info_and_more, 0xa5, sizeof info_and_more);
  info_and_more.info.size = sizeof(attn_info);
  check(attn_describe(context, &info_and_more.info) == ATTN_OK, "attn_describe");
  check(info_and_more.info.threads == 2 && untouched(info_and_more.behind), "the description");
  check(attn_description(context)[0] != 0, "attn_description");
  check(strcmp(attn_status_text(ATTN_ERROR_ARGUMENT), "invalid argument") == 0, "attn_status_text");
  check(attn_version() >= 100 && attn_version_text()[0] != 0, "attn_version");
}

int main(void) {
  attn_context *context;
  const attn_options options = {.size = sizeof options, .threads = 2, .isa = ATTN_ISA_AVX512};
  check(attn_create(&context, &options) == ATTN_OK, "attn_create");
  if (failures) return 1;
  check_attention(context);
  check_softmax(context);
  check_texts(context);
  attn_destroy(context);
  printf("a program of the first version: %d failures\n", failures);
  return failures ? 1 : 0;
}
