/* case.h - one attention call as a test sees it: shape, options, arrays, and the comparison of its results.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_CASE_H
#define ATTN_CASE_H

#include "naive.h"
#include "tensor.h"

/* What a case is made from; zero in a field means what it means in attn_args. */
typedef struct case_spec {
  int64_t batch, heads_q, heads_kv, len_q, len_k, dim, dim_v;
  int32_t has_scale;
  float scale;
  int32_t causal;
  int64_t causal_offset;
  int32_t weights, lse; /* 1: wanted */
  tensor_layout query_layout, key_layout, value_layout, output_layout;
  guard_side side;
} case_spec;

enum { CASE_ARRAYS = 24 };

/* The call. It points into itself, so it must not be copied. More options may be set in args, and arrays
 * replaced, between opening and running it. */
typedef struct attention_case {
  attn_args args;
  case_spec spec;
  int local;      /* 1: attn_local is called, else attn_global */
  char name[160]; /* for the messages of what fails */
  tensor query, key, value, output, weights, lse, scores;
  tensor centers, residual;
  guarded arrays[CASE_ARRAYS]; /* of options */
  int array_count;
} attention_case;

/* Sets up arrays and arguments: inputs from source, outputs full of canaries. */
void case_open(attention_case *c, const case_spec *spec, random_source *source);
void case_close(attention_case *c);

/* Memory for an array of an option, with a page behind it that cannot be read. Lives as long as the case. */
void *case_array(attention_case *c, int64_t bytes);

/* Fills the outputs with canaries, calls attn_global or attn_local and asserts that it succeeds. */
void case_run(attention_case *c, attn_context *context);

/* Asserts that every result is within tolerance of the formulas in double, relative to the sum of
 * |weight * value| for an output and to itself for a weight, that NaN and infinities are where the formulas
 * have them, that rows that see no key are exact, and that nothing else was written. */
void case_check(const attention_case *c, double tolerance);

/* The same with the tolerance that docs/numerics.md promises, which grows with the scores of a row. Returns
 * how many rows saw no key. */
int64_t case_check_promise(const attention_case *c);

/* The same for one row, whose expected results are known, with so many times the tolerance. */
void case_check_row(const attention_case *c, const int64_t at[3], const naive_row *expected, double times);

/* The largest error of a row's output, as case_check measures it. */
double case_output_error(const attention_case *c, int64_t b, int64_t h, int64_t i);

/* Asserts that after case_run the output alone has the same bits: what else is wanted does not matter, although
 * tiles meet other keys for it. */
void case_check_alone(const attention_case *c, attn_context *context);

/* Asserts that two cases have the same results, bit for bit. */
void case_assert_same_bits(const attention_case *a, const attention_case *b);

/* Asserts that no output of a case was written. */
void case_assert_untouched(const attention_case *c);

#endif
