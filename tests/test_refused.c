/* test_refused.c - every argument that is refused: the code, the sentence that names it, and nothing written.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "case.h"

static const int64_t huge = (int64_t)1 << 40;

/* A value that a field of a struct must not have, and the word that the sentence begins with. */
typedef struct spoiled_field {
  const char *word;
  size_t offset, size;
  int64_t value; /* its low bytes are those of the field */
} spoiled_field;

#define SPOILED(type, field, word, value)                                                                  \
  { word, offsetof(type, field), sizeof(((type *)0)->field), value }
#define ARGS(field, value)    SPOILED(attn_args, field, #field, value)
#define OPTIONS(field, value) SPOILED(attn_options, field, #field, value)
#define SOFTMAX(field, value) SPOILED(attn_softmax_args, field, #field, value)
#define ADDRESS(array)        ((int64_t)(intptr_t)(array))
#define BITS(x)               ((int64_t)bits_of(x))

static void spoil(void *structure, const spoiled_field *field) {
  memcpy((char *)structure + field->offset, &field->value, field->size);
}

static void assert_sentence_names(const char *sentence, const char *word) {
  const size_t length = strlen(word);
  if (strncmp(sentence, word, length) != 0 || strncmp(sentence + length, ": ", 2) != 0)
    fail_msg("expected a sentence about %s, got \"%s\"", word, sentence);
}

static const case_spec plain = {.batch = 2,
                                .heads_q = 4,
                                .heads_kv = 2,
                                .len_q = 5,
                                .len_k = 6,
                                .dim = 8,
                                .dim_v = 7,
                                .has_scale = 1,
                                .scale = 0.5f,
                                .causal = 1,
                                .causal_offset = 1,
                                .weights = 1,
                                .lse = 1};

/* attn_explain refuses it too, and leaves the plan alone. */
static void check_explain_refuses(attn_context *context, const attn_args *args, const char *word) {
  attn_plan plan, before;
  memset(&plan, 0x5a, sizeof plan);
  plan.size = sizeof plan;
  before = plan;
  assert_int_equal(attn_explain(context, args, &plan), ATTN_ERROR_ARGUMENT);
  assert_sentence_names(attn_last_error(context), word);
  assert_memory_equal(&plan, &before, sizeof plan);
}

/* The call is refused with a sentence about word, writes nothing, and the next one works. */
static void check_refused(attn_context *context, attention_case *c, const attn_args *args,
                          const char *word) {
  tensor_fill_canary(&c->output);
  tensor_fill_canary(&c->weights);
  tensor_fill_canary(&c->lse);
  assert_int_equal(attn_global(context, args), ATTN_ERROR_ARGUMENT);
  assert_sentence_names(attn_last_error(context), word);
  case_assert_untouched(c);
  check_explain_refuses(context, args, word);
  case_run(c, context);
  assert_string_equal(attn_last_error(context), "");
}

/* Each of these spoils the plain arguments. */
static void check_all_refused(const spoiled_field *fields, size_t count) {
  attn_context *context = context_with_threads(2);
  random_source source = random_seeded(support_seed());
  attention_case c;
  case_open(&c, &plain, &source);
  for (size_t n = 0; n < count; n++) {
    attn_args args = c.args;
    spoil(&args, &fields[n]);
    check_refused(context, &c, &args, fields[n].word);
  }
  case_check(&c, 4e-6);
  case_close(&c);
  attn_destroy(context);
}

static void test_refused_arguments(void **state) {
  (void)state;
  const int64_t rows_overlap[3] = {1000, 100, 6}, heads_overlap[3] = {1000, 20, 8};
  const int64_t batches_overlap[3] = {60, 40, 8}, repeated[3] = {0, 0, 0}, least[3] = {INT64_MIN, 100, 10};
  const int64_t most[3] = {8, 100, INT64_MAX};
  const spoiled_field fields[] = {
      ARGS(batch, -1),
      ARGS(batch, INT64_MIN),
      ARGS(heads_q, -1),
      ARGS(heads_q, 5),
      ARGS(heads_kv, -1),
      SPOILED(attn_args, heads_kv, "heads_q", 3),
      ARGS(len_q, -1),
      ARGS(len_k, -1),
      ARGS(dim, 0),
      ARGS(dim, -1),
      ARGS(dim, 65537),
      ARGS(dim, INT64_MAX),
      ARGS(dim_v, -1),
      ARGS(dim_v, 65537),
      ARGS(query, 0),
      ARGS(key, 0),
      ARGS(value, 0),
      ARGS(output, 0),
      ARGS(has_scale, 2),
      ARGS(has_scale, -1),
      SPOILED(attn_args, has_scale, "scale", 0),
      ARGS(scale, BITS(NAN)),
      ARGS(scale, BITS(INFINITY)),
      ARGS(scale, BITS(-INFINITY)),
      ARGS(causal, 2),
      ARGS(causal, -1),
      SPOILED(attn_args, output_strides, "output", ADDRESS(rows_overlap)),
      SPOILED(attn_args, output_strides, "output", ADDRESS(heads_overlap)),
      SPOILED(attn_args, output_strides, "output", ADDRESS(batches_overlap)),
      SPOILED(attn_args, output_strides, "output", ADDRESS(repeated)),
      SPOILED(attn_args, weights_strides, "weights", ADDRESS(repeated)),
      SPOILED(attn_args, weights_strides, "weights", ADDRESS(heads_overlap)),
      SPOILED(attn_args, lse_strides, "lse", ADDRESS(repeated)),
      SPOILED(attn_args, query_strides, "query", ADDRESS(least)),
      SPOILED(attn_args, key_strides, "key", ADDRESS(most)),
      SPOILED(attn_args, value_strides, "value", ADDRESS(least)),
      SPOILED(attn_args, output_strides, "output", ADDRESS(most)),
      SPOILED(attn_args, size, "args", 0),
      SPOILED(attn_args, size, "args", 7),
      SPOILED(attn_args, size, "args", 5000),
      SPOILED(attn_args, size, "args", -1),
  };
  check_all_refused(fields, COUNT_OF(fields));
}

static void test_refused_rules(void **state) {
  (void)state;
  const int64_t fitting[3] = {0, 1, 2}, too_long[3] = {0, 7, 14}, falling[3] = {3, 1, 2};
  const int64_t least[2] = {INT64_MIN, 1};
  const spoiled_field fields[] = {
      ARGS(has_window, 2),
      ARGS(has_window, -1),
      SPOILED(attn_args, window_left, "has_window", 1),
      SPOILED(attn_args, window_right, "has_window", -1),
      SPOILED(attn_args, window_prefix, "has_window", 1),
      SPOILED(attn_args, window_dilation, "has_window", 2),
      ARGS(softcap, BITS(-1.0f)),
      ARGS(softcap, BITS(NAN)),
      ARGS(softcap, BITS(INFINITY)),
      ARGS(scores_stage, -1),
      ARGS(scores_stage, 3),
      SPOILED(attn_args, offsets, "offset", ADDRESS(fitting)),
      ARGS(lengths_q, ADDRESS(too_long)),
      ARGS(lengths_k, ADDRESS(too_long)),
      ARGS(lengths_k, ADDRESS(least)),
      ARGS(starts_q, ADDRESS(too_long)),
      ARGS(starts_k, ADDRESS(least)),
      ARGS(starts_k, ADDRESS(falling)),
      SPOILED(attn_args, centers, "has_window", ADDRESS(fitting)),
      SPOILED(attn_args, predict_matrix, "predict_dim", ADDRESS(fitting)),
      ARGS(predict_dim, 1),
      ARGS(sigma, BITS(1.0f)),
      ARGS(sigma, BITS(-1.0f)),
      ARGS(score_function, -1),
      ARGS(score_function, 3),
      SPOILED(attn_args, score_function, "score_weight", 1),
      ARGS(score_weight, ADDRESS(fitting)),
      ARGS(norm, -1),
      ARGS(norm, 4),
      ARGS(norm_epsilon, BITS(-1.0f)),
      ARGS(norm_epsilon, BITS(NAN)),
      ARGS(norm_epsilon, BITS(INFINITY)),
  };
  check_all_refused(fields, COUNT_OF(fields));
}

/* Sizes whose product is above what memory, or int64_t, can hold. */
static void test_refused_sizes(void **state) {
  (void)state;
  attn_context *context = context_with_threads(1);
  random_source source = random_seeded(support_seed());
  attention_case c;
  case_open(&c, &plain, &source);
  const int64_t sizes[][4] = {{huge, 2, huge, 6},        {INT64_MAX, 4, 5, 6},    {2, INT64_MAX - 1, 5, 6},
                              {2, 4, INT64_MAX, 6},      {huge, huge * 2, 1, 1},  {huge, huge * 2, huge, 1},
                              {1 << 30, 1 << 30, 16, 1}, {2, 2, 1, INT64_MAX / 4}};
  for (size_t n = 0; n < COUNT_OF(sizes); n++) {
    attn_args args = c.args;
    args.batch = sizes[n][0];
    args.heads_q = sizes[n][1];
    args.len_q = sizes[n][2];
    args.len_k = sizes[n][3];
    args.query_strides = args.key_strides = args.value_strides = args.output_strides = NULL;
    args.weights_strides = args.lse_strides = NULL;
    check_refused(context, &c, &args, n < COUNT_OF(sizes) - 1 ? "query" : "key");
  }
  case_close(&c);
  attn_destroy(context);
}

/* Packed sequences are short, but their rows are counted as if each had the greatest length. */
static void test_refused_packed_length(void **state) {
  (void)state;
  const int64_t starts[] = {0, 1, 2}; /* of the two sequences of the plain call */
  attn_context *context = context_with_threads(1);
  random_source source = random_seeded(support_seed());
  attention_case c;
  case_open(&c, &plain, &source);
  attn_args args = c.args;
  args.starts_q = args.starts_k = starts;
  args.query_strides = args.key_strides = args.value_strides = args.output_strides = NULL;
  args.weights = args.lse = NULL;
  args.len_q = INT64_MAX / 8 / args.batch / args.heads_q + 1;
  check_refused(context, &c, &args, "len_q");
  case_close(&c);
  attn_destroy(context);
}

/* Where there is nothing to compute, missing arrays are no error and huge sizes take no time. */
static void test_empty_calls(void **state) {
  (void)state;
  attn_context *context = context_with_threads(2);
  const int64_t sizes[][5] = {{0, 4, 2, 5, 6},          {2, 0, 0, 5, 6},          {2, 0, 2, 5, 6},
                              {2, 4, 2, 0, 6},          {2, 4, 2, 0, 0},          {0, 0, 0, 0, 0},
                              {0, huge, 0, huge, huge}, {huge, 0, 0, huge, huge}, {huge, huge, 0, 0, huge}};
  alarm(20); /* a hang ends as a failure */
  for (size_t n = 0; n < COUNT_OF(sizes); n++) {
    const attn_args args = {.size = sizeof args,
                            .batch = sizes[n][0],
                            .heads_q = sizes[n][1],
                            .heads_kv = sizes[n][2],
                            .len_q = sizes[n][3],
                            .len_k = sizes[n][4],
                            .dim = 8};
    attn_plan plan = {.size = sizeof plan};
    assert_int_equal(attn_explain(context, &args, &plan), ATTN_OK);
    assert_string_equal(plan.path, "empty");
    assert_int_equal(plan.scratch_bytes, 0);
    assert_int_equal(attn_global(context, &args), ATTN_OK);
  }
  alarm(0);
  attn_destroy(context);
}

static void test_refused_softmax_arguments(void **state) {
  (void)state;
  float input[12], output[12], lse[3];
  const spoiled_field fields[] = {SOFTMAX(rows, -1),
                                  SOFTMAX(cols, -1),
                                  SOFTMAX(input, 0),
                                  SOFTMAX(output, 0),
                                  SOFTMAX(has_scale, 2),
                                  SOFTMAX(has_scale, -1),
                                  SOFTMAX(scale, BITS(NAN)),
                                  SOFTMAX(scale, BITS(INFINITY)),
                                  SPOILED(attn_softmax_args, has_scale, "scale", 0),
                                  SOFTMAX(input_stride, 3),
                                  SOFTMAX(input_stride, -4),
                                  SOFTMAX(output_stride, 3),
                                  SOFTMAX(output_stride, INT64_MAX),
                                  SOFTMAX(input_stride, INT64_MAX / 2),
                                  SOFTMAX(input_stride, INT64_MAX / 4),
                                  SPOILED(attn_softmax_args, size, "args", 0),
                                  SPOILED(attn_softmax_args, size, "args", 7),
                                  SPOILED(attn_softmax_args, size, "args", 5000)};
  attn_context *context = context_with_threads(1);
  const attn_softmax_args good = {.size = sizeof good,
                                  .rows = 3,
                                  .cols = 4,
                                  .input = input,
                                  .output = output,
                                  .has_scale = 1,
                                  .scale = 2,
                                  .lse = lse};
  for (int n = 0; n < 12; n++) input[n] = output[n] = canary();
  for (int n = 0; n < 3; n++) lse[n] = canary();
  for (size_t n = 0; n < COUNT_OF(fields); n++) {
    attn_softmax_args args = good;
    spoil(&args, &fields[n]);
    assert_int_equal(attn_softmax(context, &args), ATTN_ERROR_ARGUMENT);
    assert_sentence_names(attn_last_error(context), fields[n].word);
    assert_int_equal(count_different(12, output, input) + count_different(3, lse, input), 0);
  }
  attn_softmax_args in_place = good;
  in_place.output = input;
  in_place.output_stride = 5;
  assert_int_equal(attn_softmax(context, &in_place), ATTN_ERROR_ARGUMENT);
  assert_sentence_names(attn_last_error(context), "output_stride");
  assert_int_equal(attn_softmax(context, NULL), ATTN_ERROR_ARGUMENT);
  assert_sentence_names(attn_last_error(context), "args");
  assert_int_equal(attn_softmax(context, &good), ATTN_OK);
  assert_string_equal(attn_last_error(context), "");
  attn_destroy(context);
}

static void *no_memory(void *user, uint64_t bytes, uint64_t alignment) {
  (void)user;
  (void)bytes;
  (void)alignment;
  return NULL;
}

static void test_refused_options(void **state) {
  (void)state;
  const spoiled_field fields[] = {OPTIONS(threads, -1),
                                  OPTIONS(threads, 1025),
                                  OPTIONS(engine, -1),
                                  OPTIONS(engine, 3),
                                  OPTIONS(isa, -1),
                                  OPTIONS(isa, 6),
                                  OPTIONS(reserved, 1),
                                  OPTIONS(wipe, 2),
                                  OPTIONS(wipe, -1),
                                  OPTIONS(reserved_2, 1),
                                  SPOILED(attn_options, allocate, "deallocate", ADDRESS(no_memory)),
                                  SPOILED(attn_options, deallocate, "allocate", ADDRESS(no_memory)),
                                  SPOILED(attn_options, size, "options", 0),
                                  SPOILED(attn_options, size, "options", 7),
                                  SPOILED(attn_options, size, "options", 5000)};
  for (size_t n = 0; n < COUNT_OF(fields); n++) {
    attn_context *context = (attn_context *)(void *)&state;
    attn_options options = {.size = sizeof options, .threads = 1};
    spoil(&options, &fields[n]);
    assert_int_equal(attn_create(&context, &options), ATTN_ERROR_ARGUMENT);
    assert_null(context);
    assert_sentence_names(attn_last_error(NULL), fields[n].word);
  }
  assert_int_equal(attn_create(NULL, NULL), ATTN_ERROR_ARGUMENT);
  assert_sentence_names(attn_last_error(NULL), "context");
  attn_destroy(context_with_threads(1));
  assert_string_equal(attn_last_error(NULL), "");
}

/* A variable of the environment with each of some words that it must not have. */
static void check_environment(const char *name, const char *const *words, size_t count) {
  const char *set = getenv(name);
  char *before = set ? strdup(set) : NULL;
  for (size_t n = 0; n < count; n++) {
    attn_context *context;
    assert_int_equal(setenv(name, words[n], 1), 0);
    assert_int_equal(attn_create(&context, NULL), ATTN_ERROR_ARGUMENT);
    assert_null(context);
    assert_sentence_names(attn_last_error(NULL), name);
    assert_non_null(strstr(attn_last_error(NULL), words[n]));
  }
  assert_int_equal(before ? setenv(name, before, 1) : unsetenv(name), 0);
  free(before);
}

static void test_refused_environment(void **state) {
  (void)state;
  const char *const isas[] = {"avx", "AVX2", "auto", "avx512 ", "AMX", "3"};
  const char *const engines[] = {"BLAS", "blas ", "built", "builtins", "2"};
  check_environment("ATTN_ISA", isas, COUNT_OF(isas));
  check_environment("ATTN_ENGINE", engines, COUNT_OF(engines));
}

static void test_no_context(void **state) {
  (void)state;
  const attn_args args = {.size = sizeof args};
  const attn_softmax_args softmax_args = {.size = sizeof softmax_args};
  attn_plan plan = {.size = sizeof plan};
  attn_info info = {.size = sizeof info};
  assert_int_equal(attn_global(NULL, &args), ATTN_ERROR_ARGUMENT);
  assert_sentence_names(attn_last_error(NULL), "context");
  assert_int_equal(attn_softmax(NULL, &softmax_args), ATTN_ERROR_ARGUMENT);
  assert_int_equal(attn_explain(NULL, &args, &plan), ATTN_ERROR_ARGUMENT);
  assert_int_equal(attn_describe(NULL, &info), ATTN_ERROR_ARGUMENT);
  assert_sentence_names(attn_last_error(NULL), "context");
  assert_string_equal(attn_description(NULL), "");
  attn_destroy(NULL);
}

static void test_refused_results(void **state) {
  (void)state;
  attn_context *context = context_with_threads(1);
  const attn_args args = {.size = sizeof args, .dim = 1};
  const uint64_t sizes[] = {0, 7, 5000};
  for (size_t n = 0; n < COUNT_OF(sizes); n++) {
    attn_plan plan = {.size = sizes[n], .tasks = 77};
    attn_info info = {.size = sizes[n], .threads = 77};
    assert_int_equal(attn_explain(context, &args, &plan), ATTN_ERROR_ARGUMENT);
    assert_sentence_names(attn_last_error(context), "plan");
    assert_int_equal(plan.tasks, 77);
    assert_int_equal(attn_describe(context, &info), ATTN_ERROR_ARGUMENT);
    assert_sentence_names(attn_last_error(NULL), "info");
    assert_int_equal(info.threads, 77);
  }
  const attn_self_args layer = {.size = sizeof layer};
  assert_int_equal(attn_explain_self(context, &layer, NULL), ATTN_ERROR_ARGUMENT);
  assert_sentence_names(attn_last_error(context), "plan");
  assert_int_equal(attn_explain(context, &args, NULL), ATTN_ERROR_ARGUMENT);
  assert_sentence_names(attn_last_error(context), "plan");
  assert_int_equal(attn_describe(context, NULL), ATTN_ERROR_ARGUMENT);
  assert_sentence_names(attn_last_error(NULL), "info");
  attn_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_refused_arguments), cmocka_unit_test(test_refused_rules),
      cmocka_unit_test(test_refused_sizes),     cmocka_unit_test(test_refused_packed_length),
      cmocka_unit_test(test_empty_calls),       cmocka_unit_test(test_refused_softmax_arguments),
      cmocka_unit_test(test_refused_options),   cmocka_unit_test(test_refused_environment),
      cmocka_unit_test(test_no_context),        cmocka_unit_test(test_refused_results),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
