/* test_fork.c - contexts used before and after a fork, in the parent and in the child.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "case.h"

static const case_spec spec = {.batch = 2,
                               .heads_q = 4,
                               .len_q = 150,
                               .len_k = 200,
                               .dim = 64,
                               .causal = 1,
                               .causal_offset = 50,
                               .weights = 1,
                               .lse = 1};

static attention_case expected, tried;

static int compute_expected(void **state) {
  (void)state;
  random_source source = random_seeded(support_seed()), again = source;
  case_open(&expected, &spec, &source);
  case_open(&tried, &spec, &again);
  return 0;
}

static int forget_expected(void **state) {
  (void)state;
  case_close(&expected);
  case_close(&tried);
  return 0;
}

/* 1 if the context gives the expected bits; no assertions, for these are not for a child. */
static int works(attn_context *context) {
  tensor_fill_canary(&tried.output);
  tensor_fill_canary(&tried.weights);
  tensor_fill_canary(&tried.lse);
  return attn_global(context, &tried.args) == ATTN_OK &&
         tensor_count_different(&tried.output, &expected.output) == 0 &&
         tensor_count_different(&tried.weights, &expected.weights) == 0 &&
         tensor_count_different(&tried.lse, &expected.lse) == 0;
}

static int use(void *context) {
  return works(context) && works(context);
}

static int use_and_destroy(void *context) {
  const int worked = use(context);
  attn_destroy(context);
  return worked;
}

static int only_destroy(void *context) {
  attn_destroy(context);
  return 1;
}

static int use_in_grandchild(void *context) {
  return works(context) && succeeds_in_child(use_and_destroy, context) && works(context);
}

static int make_another(void *context) {
  attn_context *other;
  if (attn_create(&other, &(attn_options){.size = sizeof(attn_options), .threads = 3}) != ATTN_OK) return 0;
  const int worked = works(other) && works(context) && works(other);
  attn_destroy(other);
  return worked;
}

static void check_forks(int32_t threads, int used_before) {
  int (*const children[])(void *) = {use, use_and_destroy, only_destroy, use_in_grandchild, make_another};
  attn_context *context = context_with_threads(threads);
  if (used_before) assert_true(works(context));
  for (size_t n = 0; n < COUNT_OF(children); n++) assert_true(succeeds_in_child(children[n], context));
  assert_true(works(context));
  for (size_t n = 0; n < COUNT_OF(children); n++) assert_true(succeeds_in_child(children[n], context));
  assert_true(works(context));
  attn_destroy(context);
}

static void test_forks(void **state) {
  (void)state;
  attn_context *context = context_with_threads(1);
  case_run(&expected, context);
  case_check(&expected, 4e-6);
  attn_destroy(context);
  for (int32_t threads = 1; threads <= 4; threads++)
    for (int used_before = 0; used_before < 2; used_before++) check_forks(threads, used_before);
}

static atomic_int stop;

/* Another thread of the parent, which is inside a call of its own most of the time. */
static void *call_on(void *argument) {
  attention_case c;
  random_source source = random_seeded(support_seed());
  case_open(&c, &spec, &source);
  while (!atomic_load(&stop)) attn_global(argument, &c.args);
  case_close(&c);
  return NULL;
}

static void test_forks_while_another_thread_calls(void **state) {
  (void)state;
  pthread_t thread;
  const int64_t forks = support_count(50, 1000);
  attn_context *context = context_with_threads(2), *other = context_with_threads(2);
  assert_int_equal(pthread_create(&thread, NULL, call_on, other), 0);
  for (int64_t n = 0; n < forks; n++) assert_true(succeeds_in_child(use_and_destroy, context));
  atomic_store(&stop, 1);
  pthread_join(thread, NULL);
  assert_true(works(context));
  attn_destroy(other);
  attn_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_forks),
      cmocka_unit_test(test_forks_while_another_thread_calls),
  };
  if (!children_may_start_threads()) {
    puts("SKIPPED: the thread sanitizer does not follow threads into a child");
    return SUPPORT_SKIPPED;
  }
  return cmocka_run_group_tests(tests, compute_expected, forget_expected);
}
