/* error.c - how far attention in float32 is from its formula in float64.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "error.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "naive.h"
#include "onnx.h"
#include "unfused.h"

static float *normal_floats(int64_t count, double size, random_source *source) {
  float *x = malloc((size_t)count * sizeof *x);
  assert_non_null(x);
  for (int64_t i = 0; i < count; i++) x[i] = (float)(size * (double)random_normal(source));
  return x;
}

static double *doubles(int64_t count) {
  double *x = malloc((size_t)count * sizeof *x);
  assert_non_null(x);
  return x;
}

static void compute_formula(error_case *c) {
  naive_row row = naive_row_make(&c->args);
  for (int64_t i = 0; i < c->rows; i++) {
    naive_attention(&c->args, 0, 0, i, &row);
    memcpy(c->formula + i * ERROR_DIM, row.output, ERROR_DIM * sizeof *row.output);
    memcpy(c->bound + i * ERROR_DIM, row.bound, ERROR_DIM * sizeof *row.bound);
  }
  naive_row_free(&row);
}

void error_open(error_case *c, int64_t rows, int64_t len, double sigma) {
  random_source source = random_seeded(support_seed() + (uint64_t)len);
  *c = (error_case){.rows = rows, .len = len};
  c->shape = (bench_shape){.name = "error",
                           .batch = 1,
                           .heads_q = 1,
                           .heads_kv = 1,
                           .len_q = rows,
                           .len_k = len,
                           .dim = ERROR_DIM};
  c->inputs.query = normal_floats(rows * ERROR_DIM, sigma, &source);
  c->inputs.key = normal_floats(len * ERROR_DIM, 1, &source);
  c->inputs.value = normal_floats(len * ERROR_DIM, 1, &source);
  c->inputs.output = normal_floats(rows * ERROR_DIM, 1, &source);
  c->formula = doubles(rows * ERROR_DIM);
  c->bound = doubles(rows * ERROR_DIM);
  c->args = (attn_args){.size = sizeof c->args,
                        .batch = 1,
                        .heads_q = 1,
                        .len_q = rows,
                        .len_k = len,
                        .dim = ERROR_DIM,
                        .query = c->inputs.query,
                        .key = c->inputs.key,
                        .value = c->inputs.value,
                        .output = c->inputs.output};
  compute_formula(c);
}

void error_close(error_case *c) {
  free(c->inputs.query);
  free(c->inputs.key);
  free(c->inputs.value);
  free(c->inputs.output);
  free(c->formula);
  free(c->bound);
}

/* Of what stands in the output. */
static error_found error_here(const error_case *c) {
  const int64_t count = c->rows * ERROR_DIM;
  error_found found = {0};
  for (int64_t n = 0; n < count; n++) {
    const double error = fabs((double)c->inputs.output[n] - c->formula[n]) / c->bound[n];
    assert_true(isfinite(error));
    found.largest = fmax(found.largest, error);
    found.mean += error / (double)count;
  }
  return found;
}

int error_of_attn(const error_case *c, int32_t engine, int32_t isa, error_found *found) {
  static const char *const names[] = {[ATTN_ISA_REFERENCE] = "reference",
                                      [ATTN_ISA_AVX2] = "avx2",
                                      [ATTN_ISA_AVX512] = "avx512",
                                      [ATTN_ISA_AMX] = "amx"};
  attn_context *context;
  attn_info info = {.size = sizeof info};
  const attn_options options = {.size = sizeof options, .engine = engine, .isa = isa};
  if (attn_create(&context, &options) != ATTN_OK) fail_msg("%s", attn_last_error(NULL));
  assert_int_equal(attn_describe(context, &info), ATTN_OK);
  const int here = strcmp(info.isa, names[isa]) == 0;
  if (here) {
    if (attn_global(context, &c->args) != ATTN_OK) fail_msg("%s", attn_last_error(context));
    *found = error_here(c);
  }
  attn_destroy(context);
  return here;
}

error_found error_of_unfused(const error_case *c) {
  bench_unfused unfused;
  bench_crew *crew = crew_open(1);
  assert_non_null(crew);
  assert_int_equal(unfused_open(&unfused, &c->shape, &c->inputs, crew), 0);
  unfused_call(&unfused);
  unfused_close(&unfused);
  crew_close(crew);
  return error_here(c);
}

int error_of_onnx(const error_case *c, error_found *found) {
  char text[ONNX_TEXT_SIZE] = "";
  const onnx_setup setup = {.shape = &c->shape,
                            .inputs = &c->inputs,
                            .threads = 1,
                            .graph = GRAPH_ATTENTION,
                            .library = getenv("ATTN_TEST_ONNXRUNTIME")};
  if (!setup.library || !*setup.library) return 0;
  bench_onnx *onnx = onnx_open(&setup, text);
  if (!onnx || !onnx_call(onnx, text)) fail_msg("ONNX Runtime: %s", text);
  onnx_fetch(onnx, c->inputs.output);
  *found = error_here(c);
  return 1;
}
