/* test_threads.c - the same bits from any number of threads, from any pool, and for any batch; several
 * contexts at once; a context that is busy.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The linker leads the library's pthread_create here, so that it can fail.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "case.h"

enum { MOST_HOST_THREADS = 16, UNLIMITED = 1 << 20 };

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                          void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                          void *argument);

static atomic_int threads_left = UNLIMITED; /* to be had */

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                          void *argument) {
  if (atomic_fetch_sub(&threads_left, 1) <= 0) return EAGAIN;
  return __real_pthread_create(thread, attributes, start, argument);
}

/* Shapes with much and little work, many and few tasks, tiles of several heads. */
static const case_spec specs[] = {
    {.batch = 3, .heads_q = 4, .len_q = 150, .len_k = 300, .dim = 32, .weights = 1, .lse = 1},
    {.batch = 1, .heads_q = 1, .len_q = 700, .len_k = 700, .dim = 64, .causal = 1, .weights = 1, .lse = 1},
    {.batch = 1,
     .heads_q = 16,
     .heads_kv = 2,
     .len_q = 9,
     .len_k = 900,
     .dim = 40,
     .causal = 1,
     .causal_offset = 891,
     .weights = 1,
     .lse = 1},
    {.batch = 2,
     .heads_q = 6,
     .heads_kv = 3,
     .len_q = 65,
     .len_k = 129,
     .dim = 15,
     .dim_v = 70,
     .causal = 1,
     .causal_offset = -20,
     .weights = 1,
     .lse = 1},
    {.batch = 7, .heads_q = 3, .len_q = 40, .len_k = 40, .dim = 15, .weights = 1, .lse = 1},
    {.batch = 1, .heads_q = 2, .len_q = 1, .len_k = 5000, .dim = 128, .lse = 1},
};

/* The case of number n; always with the same inputs. */
static void open_spec(attention_case *c, size_t n) {
  random_source source = random_seeded(support_seed() + n);
  case_open(c, &specs[n], &source);
}

/* The results of every shape with one thread, and cases with the same inputs to try others with. */
static attention_case expected[COUNT_OF(specs)], tried[COUNT_OF(specs)];

static int compute_expected(void **state) {
  (void)state;
  attn_context *context = context_with_threads(1);
  for (size_t n = 0; n < COUNT_OF(specs); n++) {
    open_spec(&expected[n], n);
    open_spec(&tried[n], n);
    case_run(&expected[n], context);
  }
  attn_destroy(context);
  return 0;
}

static int forget_expected(void **state) {
  (void)state;
  for (size_t n = 0; n < COUNT_OF(specs); n++) {
    case_close(&expected[n]);
    case_close(&tried[n]);
  }
  return 0;
}

/* Every shape gives the expected bits in this context, twice. */
static void check_context(attn_context *context) {
  for (int repeat = 0; repeat < 2; repeat++)
    for (size_t n = 0; n < COUNT_OF(specs); n++) {
      case_run(&tried[n], context);
      case_assert_same_bits(&tried[n], &expected[n]);
    }
}

static void test_expected_results(void **state) {
  (void)state;
  for (size_t n = 0; n < COUNT_OF(specs); n++) case_check(&expected[n], 4e-6);
}

static void test_numbers_of_threads(void **state) {
  (void)state;
  const int32_t threads[] = {1, 2, 3, 8, 64};
  for (size_t n = 0; n < COUNT_OF(threads); n++) {
    attn_context *context = context_with_threads(threads[n]);
    check_context(context);
    attn_destroy(context);
  }
}

static void test_more_threads_than_can_be_had(void **state) {
  (void)state;
  for (int available = 0; available < 3; available++) {
    attn_context *context = context_with_threads(1024);
    atomic_store(&threads_left, available);
    check_context(context);
    atomic_store(&threads_left, UNLIMITED);
    attn_destroy(context);
  }
}

/* A host's parallel_for. */
typedef struct host {
  int calls;
  int64_t largest_count;
  attn_context *context;
  int32_t status_inside[3];
} host;

static void note_call(host *self, int64_t count) {
  self->calls++;
  if (count > self->largest_count) self->largest_count = count;
}

static void run_in_order(void *user, int64_t count, attn_task task, void *job) {
  note_call(user, count);
  for (int64_t n = 0; n < count; n++) task(job, n);
}

static void run_in_reverse(void *user, int64_t count, attn_task task, void *job) {
  note_call(user, count);
  for (int64_t n = count - 1; n >= 0; n--) task(job, n);
}

typedef struct host_thread {
  attn_task task;
  void *job;
  int64_t index;
  pthread_t thread;
} host_thread;

static void *run_one(void *argument) {
  host_thread *self = argument;
  self->task(self->job, self->index);
  return NULL;
}

static void run_in_threads(void *user, int64_t count, attn_task task, void *job) {
  host_thread threads[MOST_HOST_THREADS];
  note_call(user, count);
  for (int64_t n = 0; n < count; n++) {
    threads[n] = (host_thread){.task = task, .job = job, .index = n};
    if (pthread_create(&threads[n].thread, NULL, run_one, &threads[n]) != 0) fail();
  }
  for (int64_t n = 0; n < count; n++) pthread_join(threads[n].thread, NULL);
}

typedef void (*parallel_for)(void *user, int64_t count, attn_task task, void *job);

static attn_context *hosted_context(host *self, parallel_for run, int32_t threads) {
  const attn_options options = {
      .size = sizeof options, .threads = threads, .user = self, .parallel_for = run};
  if (attn_create(&self->context, &options) != ATTN_OK) fail_msg("%s", attn_last_error(NULL));
  return self->context;
}

static void test_pools_of_the_host(void **state) {
  (void)state;
  const parallel_for pools[] = {run_in_order, run_in_reverse, run_in_threads};
  const int32_t threads[] = {1, 2, 5, MOST_HOST_THREADS};
  for (size_t p = 0; p < COUNT_OF(pools); p++)
    for (size_t n = 0; n < COUNT_OF(threads); n++) {
      host self = {0};
      attn_context *context = hosted_context(&self, pools[p], threads[n]);
      const int before = count_threads();
      check_context(context);
      assert_int_equal(count_threads(), before); /* none of the context's own */
      assert_true(self.largest_count <= threads[n]);
      assert_true((self.calls > 0) == (threads[n] > 1 && context_multiplies_in_parallel()));
      attn_destroy(context);
    }
}

/* The first call's results for one entry of the batch are those of a call with that entry alone. */
static void check_batch_entry_alone(size_t n, int64_t b, attn_context *context) {
  const attention_case *whole = &expected[n];
  attention_case alone;
  case_spec spec = specs[n];
  random_source source = random_seeded(0);
  spec.batch = 1;
  case_open(&alone, &spec, &source);
  alone.args.query = tensor_row(&whole->query, b, 0, 0);
  alone.args.key = tensor_row(&whole->key, b, 0, 0);
  alone.args.value = tensor_row(&whole->value, b, 0, 0);
  case_run(&alone, context);
  int64_t different = 0;
  for (int64_t h = 0; h < spec.heads_q; h++)
    for (int64_t i = 0; i < spec.len_q; i++) {
      different += count_different(alone.output.width, tensor_row(&alone.output, 0, h, i),
                                   tensor_row(&expected[n].output, b, h, i));
      different += count_different(alone.weights.width, tensor_row(&alone.weights, 0, h, i),
                                   tensor_row(&expected[n].weights, b, h, i));
      different +=
          count_different(1, tensor_row(&alone.lse, 0, h, i), tensor_row(&expected[n].lse, b, h, i));
    }
  assert_int_equal(different, 0);
  case_close(&alone);
}

static void test_batch_entries_alone(void **state) {
  (void)state;
  attn_context *context = context_with_threads(3);
  for (size_t n = 0; n < COUNT_OF(specs); n++)
    for (int64_t b = 0; b < specs[n].batch; b++) check_batch_entry_alone(n, b, context);
  attn_destroy(context);
}

/* A thread with a context of its own. cmocka's assertions are for the main thread only. */
typedef struct user_thread {
  pthread_t thread;
  attn_context *context;
  int64_t different, failed;
} user_thread;

static void *use_own_context(void *argument) {
  user_thread *self = argument;
  for (size_t n = 0; n < COUNT_OF(specs); n++) {
    attention_case c;
    open_spec(&c, n);
    for (int repeat = 0; repeat < 5; repeat++) {
      tensor_fill_canary(&c.output);
      tensor_fill_canary(&c.weights);
      self->failed += attn_global(self->context, &c.args) != ATTN_OK;
      self->different += tensor_count_different(&c.output, &expected[n].output);
      self->different += tensor_count_different(&c.weights, &expected[n].weights);
    }
    case_close(&c);
  }
  return NULL;
}

static void test_contexts_at_once(void **state) {
  (void)state;
  user_thread users[3];
  for (int n = 0; n < 3; n++) {
    users[n] = (user_thread){.context = context_with_threads(n + 1)};
    assert_int_equal(pthread_create(&users[n].thread, NULL, use_own_context, &users[n]), 0);
  }
  for (int n = 0; n < 3; n++) pthread_join(users[n].thread, NULL);
  for (int n = 0; n < 3; n++) {
    assert_int_equal(users[n].failed, 0);
    assert_int_equal(users[n].different, 0);
    attn_destroy(users[n].context);
  }
}

/* One context, handed from thread to thread. */
static void test_a_context_from_several_threads(void **state) {
  (void)state;
  user_thread users[3];
  attn_context *context = context_with_threads(2);
  for (int n = 0; n < 3; n++) {
    users[n] = (user_thread){.context = context};
    assert_int_equal(pthread_create(&users[n].thread, NULL, use_own_context, &users[n]), 0);
    pthread_join(users[n].thread, NULL);
    assert_int_equal(users[n].failed + users[n].different, 0);
  }
  attn_destroy(context);
}

/* While a call is under way: every other one on the context is refused. */
static void call_while_busy(void *user, int64_t count, attn_task task, void *job) {
  host *self = user;
  float number = 0;
  attn_plan plan = {.size = sizeof plan};
  const attn_softmax_args softmax = {
      .size = sizeof softmax, .rows = 1, .cols = 1, .input = &number, .output = &number};
  self->status_inside[0] = attn_global(self->context, &(attn_args){.size = 0});
  self->status_inside[1] = attn_softmax(self->context, &softmax);
  self->status_inside[2] = attn_explain(self->context, NULL, &plan);
  run_in_order(user, count, task, job);
}

static void check_busy(const host *self) {
  assert_true(self->calls > 0);
  for (int n = 0; n < 3; n++) assert_int_equal(self->status_inside[n], ATTN_ERROR_BUSY);
  assert_string_equal(attn_last_error(self->context), "");
}

static void test_busy(void **state) {
  (void)state;
  static float numbers[1 << 18];
  host self = {0};
  attn_context *context = hosted_context(&self, call_while_busy, 2);
  const attn_softmax_args softmax = {
      .size = sizeof softmax, .rows = 512, .cols = 512, .input = numbers, .output = numbers};
  assert_int_equal(attn_softmax(context, &softmax), ATTN_OK);
  check_busy(&self);
  if (context_multiplies_in_parallel()) {
    self = (host){.context = context};
    check_context(context);
    check_busy(&self);
  }
  assert_int_equal(attn_softmax(context, &softmax), ATTN_OK); /* and not busy any more */
  attn_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_expected_results),
      cmocka_unit_test(test_numbers_of_threads),
      cmocka_unit_test(test_more_threads_than_can_be_had),
      cmocka_unit_test(test_pools_of_the_host),
      cmocka_unit_test(test_batch_entries_alone),
      cmocka_unit_test(test_contexts_at_once),
      cmocka_unit_test(test_a_context_from_several_threads),
      cmocka_unit_test(test_busy),
  };
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, compute_expected, forget_expected);
}
