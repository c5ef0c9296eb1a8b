/* error.h - how far attention in float32 is from its formula in float64, by whom it is computed.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The error of a number of the output is |output - formula| / sum over keys of weight * |value|.
 */
#ifndef ATTN_ERROR_H
#define ATTN_ERROR_H

#include "inputs.h"
#include "support.h"

enum { ERROR_DIM = 64 };

/* One head of attention of rows queries to len keys, unit-normal but for the queries, which are sigma times as
 * large: then so are the scores. */
typedef struct error_case {
  int64_t rows, len;
  attn_args args;
  bench_shape shape; /* the same, as the bench has it */
  bench_inputs inputs;
  double *formula, *bound; /* rows x ERROR_DIM: the output, and what its errors are measured by */
} error_case;

/* Of all numbers of an output. */
typedef struct error_found {
  double largest, mean;
} error_found;

void error_open(error_case *c, int64_t rows, int64_t len, double sigma);
void error_close(error_case *c);

/* Of libattn with an engine and at most an instruction set; 0 if there is no such set here. */
int error_of_attn(const error_case *c, int32_t engine, int32_t isa, error_found *found);

/* Of two calls of cblas_sgemm with a softmax of whole rows between. */
error_found error_of_unfused(const error_case *c);

/* Of ONNX Runtime's Attention; 0 if the environment variable ATTN_TEST_ONNXRUNTIME does not name its
 * library. */
int error_of_onnx(const error_case *c, error_found *found);

#endif
