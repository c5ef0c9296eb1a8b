/* test_sizes.c - sizes that no machine has memory for: refused with a sentence, or counted right.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>
#include <unistd.h>

#include "support.h"

enum { ROUNDS = 30000, SECONDS = 60 };

static const int64_t broadcast[4];
static float nothing[64];

/* Small, around the limits of integers and of the library, or anything. */
static int64_t hostile_size(random_source *source) {
  const int64_t sizes[] = {
      1, 2, 3, 64, 32767, 65536, INT32_MAX / 8, INT32_MAX, (int64_t)INT32_MAX + 1, (int64_t)1 << 47};
  const int64_t huge[] = {INT64_MAX / 8, INT64_MAX / 4, INT64_MAX / 2, INT64_MAX - 1, INT64_MAX};
  if (random_once_in(source, 3)) return huge[random_between(source, 0, COUNT_OF(huge) - 1)];
  if (random_once_in(source, 4)) return random_between(source, 1, INT64_MAX);
  return sizes[random_between(source, 0, COUNT_OF(sizes) - 1)];
}

/* One that is small more often than not, so that not every call is refused for the same reason. */
static int64_t size_or(random_source *source, int64_t small) {
  return random_once_in(source, 3) ? hostile_size(source) : small;
}

static void choose_sizes(attn_args *args, random_source *source) {
  args->size = sizeof *args;
  args->batch = size_or(source, 1);
  args->heads_q = size_or(source, 2);
  args->heads_kv = random_once_in(source, 2) ? 0 : args->heads_q;
  args->len_q = size_or(source, 5);
  args->len_k = size_or(source, 6);
  args->dim = random_once_in(source, 5) ? 65536 : 8;
  args->dim_v = random_once_in(source, 5) ? 65536 : 0;
  if (random_once_in(source, 5)) args->heads_q = 0;
  if (random_once_in(source, 8)) args->len_q = 0;
  if (random_once_in(source, 8)) args->batch = 0;
  if (random_once_in(source, 4)) {
    args->has_window = 1;
    args->window_left = args->window_right = size_or(source, 2);
    args->predict_matrix = args->predict_vector = nothing;
    args->predict_dim = 65536;
  }
}

/* It is done, or refused with a sentence. */
static void check(attn_context *context, int32_t status) {
  assert_true(status == ATTN_OK || status == ATTN_ERROR_ARGUMENT);
  assert_true((strchr(attn_last_error(context), ':') != NULL) == (status == ATTN_ERROR_ARGUMENT));
}

/* What is planned can be counted. */
static void check_plan(const attn_plan *plan) {
  assert_true(plan->scratch_bytes <= INT64_MAX);
  assert_true(plan->threads >= 1 && plan->tasks >= 0);
  assert_true((plan->tasks > 0) == (strcmp(plan->path, "tiled") == 0));
}

/* Arrays of one row for all, or packed: neither says how large the whole is. */
static void explain_attention(attn_context *context, random_source *source) {
  static const int64_t starts[2] = {0, 1};
  attn_plan plan = {.size = sizeof plan};
  attn_args args = {.query = nothing, .key = nothing, .value = nothing, .output = nothing};
  choose_sizes(&args, source);
  if (random_once_in(source, 2)) args.query_strides = args.key_strides = args.value_strides = broadcast;
  if (args.batch == 1 && random_once_in(source, 2)) {
    args.starts_q = args.starts_k = starts;
    args.len_q = args.len_q ? args.len_q : 1;
  }
  const int32_t status = attn_explain(context, &args, &plan);
  check(context, status);
  if (status == ATTN_OK) check_plan(&plan);
}

static void explain_layer(attn_context *context, random_source *source) {
  attn_plan plan = {.size = sizeof plan};
  attn_args attention = {0};
  choose_sizes(&attention, source);
  attention.len_k = attention.len_q;
  attn_self_args args = {.size = sizeof args,
                         .attention = &attention,
                         .dim_model = random_once_in(source, 4) ? INT32_MAX : 4,
                         .x = nothing,
                         .x_strides = random_once_in(source, 2) ? broadcast : NULL,
                         .output = nothing,
                         .weight_o = nothing};
  if (random_once_in(source, 2))
    args.weight_qkv = nothing;
  else
    args.weight_q = args.weight_k = args.weight_v = nothing;
  const int32_t status = attn_explain_self(context, &args, &plan);
  check(context, status);
  if (status == ATTN_OK) check_plan(&plan);
  if (status == ATTN_OK && plan.scratch_bytes == 0) check(context, attn_self(context, &args));
}

/* Of what is empty, whose other sizes may be anything. */
static void run_empty(attn_context *context, random_source *source) {
  const float *parts[] = {nothing, nothing};
  attn_merge_args merge = {.size = sizeof merge,
                           .parts = 2,
                           .batch = hostile_size(source),
                           .heads = hostile_size(source),
                           .len_q = hostile_size(source),
                           .dim_v = INT32_MAX,
                           .outputs = parts,
                           .lses = parts};
  int64_t *const sizes[] = {&merge.batch, &merge.heads, &merge.len_q};
  *sizes[random_between(source, 0, 2)] = 0;
  assert_int_equal(attn_merge(context, &merge), ATTN_OK);
  attn_softmax_args softmax = {.size = sizeof softmax, .rows = hostile_size(source)};
  if (random_once_in(source, 2)) {
    softmax.cols = softmax.rows;
    softmax.rows = 0;
  }
  assert_int_equal(attn_softmax(context, &softmax), ATTN_OK);
}

static void test_hostile_sizes(void **state) {
  (void)state;
  attn_context *context = context_with_threads(3);
  const int64_t rounds = support_rounds(ROUNDS);
  alarm(SECONDS); /* a hang ends as a failure */
  for (int64_t round = 0; round < rounds; round++) {
    random_source source = random_seeded(support_seed() + (uint64_t)round);
    support_round_begins(round);
    explain_attention(context, &source);
    explain_layer(context, &source);
    run_empty(context, &source);
    support_round_ends();
  }
  alarm(0);
  attn_destroy(context);
}

/* Rows of weights that can be counted, and numbers in them that cannot. */
static void test_huge_weights(void **state) {
  (void)state;
  attn_context *context = context_with_threads(1);
  const attn_args attention = {
      .size = sizeof attention, .batch = 1, .heads_q = (1 << 28) - 1, .len_q = 1, .len_k = 1, .dim = 8};
  const attn_self_args args = {.size = sizeof args,
                               .attention = &attention,
                               .dim_model = INT32_MAX,
                               .x = nothing,
                               .output = nothing,
                               .weight_qkv = nothing,
                               .weight_o = nothing};
  assert_int_equal(attn_self(context, &args), ATTN_ERROR_ARGUMENT);
  assert_int_equal(strncmp(attn_last_error(context), "weight_qkv: ", 12), 0);
  attn_destroy(context);
}

/* Refused by what is too large. */
static void test_sentences(void **state) {
  (void)state;
  attn_context *context = context_with_threads(1);
  const int64_t batch = (int64_t)1 << 20, len = (int64_t)1 << 32;
  const int64_t last = ((int64_t)1 << 58) - 1; /* whose keys just fit in 63 bits */
  const attn_args given[] = {
      {.batch = 1, .heads_q = (1 << 28) + 1, .heads_kv = 1, .len_q = 1, .len_k = 1, .dim = 8},
      {.batch = 0, .heads_q = 0, .heads_kv = INT64_MAX, .len_q = 1, .len_k = 1, .dim = 1},
      {.batch = 1, .heads_q = 0, .heads_kv = 1, .len_q = last, .len_k = last, .dim = 8},
      {.batch = batch, .heads_q = 200, .len_q = len, .len_k = len, .dim = 1},
  };
  const char *const words[] = {"heads_q: ", "heads_kv: ", "attention: ", "attention: "};
  for (size_t n = 0; n < COUNT_OF(given); n++) {
    attn_args attention = given[n];
    attention.size = sizeof attention;
    const attn_self_args args = {.size = sizeof args,
                                 .attention = &attention,
                                 .dim_model = 1,
                                 .x = nothing,
                                 .output = nothing,
                                 .weight_qkv = nothing,
                                 .weight_o = nothing};
    attn_plan plan = {.size = sizeof plan, .tasks = 77};
    assert_int_equal(attn_self(context, &args), ATTN_ERROR_ARGUMENT);
    assert_int_equal(strncmp(attn_last_error(context), words[n], strlen(words[n])), 0);
    assert_int_equal(attn_explain_self(context, &args, &plan), ATTN_ERROR_ARGUMENT);
    assert_int_equal(strncmp(attn_last_error(context), words[n], strlen(words[n])), 0);
    assert_int_equal(plan.tasks, 77);
  }
  attn_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(test_hostile_sizes, support_print_seed),
      cmocka_unit_test(test_huge_weights),
      cmocka_unit_test(test_sentences),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
