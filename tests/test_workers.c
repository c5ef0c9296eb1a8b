/* test_workers.c - the thread pool: each index once, whatever threads there are, also after a fork.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The linker leads the library's pthread_create here, so that it can fail.
 */
#define _GNU_SOURCE
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "support.h"

enum { MOST_INDICES = 100, UNLIMITED = 1 << 20 };

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                          void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                          void *argument);

static int threads_left = UNLIMITED; /* to be had */

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                          void *argument) {
  if (threads_left == 0) return EAGAIN;
  threads_left--;
  return __real_pthread_create(thread, attributes, start, argument);
}

/* Counts the visits of each index, and the most that were under way at once. */
typedef struct visits {
  atomic_int of[MOST_INDICES];
  atomic_int now, most;
  int wait_for; /* each task waits until so many are under way */
  atomic_int signals_open;
} visits;

static pthread_t caller;

static void note_signals(visits *v) {
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, NULL, &blocked);
  if (!pthread_equal(pthread_self(), caller) && !sigismember(&blocked, SIGTERM))
    atomic_fetch_add(&v->signals_open, 1);
}

static void visit(void *job, int64_t index) {
  visits *v = job;
  const int now = atomic_fetch_add(&v->now, 1) + 1;
  int most = atomic_load(&v->most);
  while (now > most && !atomic_compare_exchange_weak(&v->most, &most, now)) continue;
  while (atomic_load(&v->most) < v->wait_for) nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
  atomic_fetch_add(&v->of[index], 1);
  note_signals(v);
  atomic_fetch_sub(&v->now, 1);
}

/* 1 if each index below count was visited once and no other one at all. */
static int visited_once(const visits *v, int64_t count) {
  for (int64_t n = 0; n < MOST_INDICES; n++)
    if (atomic_load(&v->of[n]) != (n < count)) return 0;
  return 1;
}

static int run_and_check(attn__workers *workers, int64_t count) {
  visits v = {.wait_for = 0};
  attn__workers_run(workers, count, visit, &v);
  return visited_once(&v, count) && atomic_load(&v.signals_open) == 0;
}

static attn__workers *make_pool(int64_t count) {
  caller = pthread_self();
  return attn__workers_create(malloc(attn__workers_bytes(count)), count);
}

static void end_pool(attn__workers *workers) {
  attn__workers_stop(workers);
  free(workers);
}

static void test_each_index_once(void **state) {
  (void)state;
  const int64_t sizes[] = {1, 2, 3, 8, 64};
  for (size_t n = 0; n < COUNT_OF(sizes); n++) {
    attn__workers *workers = make_pool(sizes[n]);
    for (int repeat = 0; repeat < 200; repeat++)
      assert_true(run_and_check(workers, repeat % (MOST_INDICES + 1)));
    end_pool(workers);
  }
}

static void test_indices_run_at_the_same_time(void **state) {
  (void)state;
  attn__workers *workers = make_pool(4);
  visits v = {.wait_for = 4}; /* would never end in fewer threads */
  attn__workers_run(workers, 4, visit, &v);
  assert_true(visited_once(&v, 4));
  end_pool(workers);
}

static void test_threads_come_late_and_leave(void **state) {
  (void)state;
  const int before = count_threads();
  attn__workers *workers = make_pool(5);
  assert_int_equal(count_threads(), before);
  assert_true(run_and_check(workers, 5));
  assert_int_equal(count_threads(), before + 4);
  assert_true(run_and_check(workers, 5));
  assert_int_equal(count_threads(), before + 4);
  attn__workers_stop(workers);
  assert_int_equal(count_threads_at_rest(before), before);
  free(workers);
}

static void test_a_pool_without_a_job(void **state) {
  (void)state;
  end_pool(make_pool(3));
}

static void test_threads_that_cannot_start(void **state) {
  (void)state;
  for (threads_left = 0; threads_left < 4;) {
    const int available = threads_left;
    attn__workers *workers = make_pool(8);
    visits v = {.wait_for = available + 1};
    attn__workers_run(workers, 8, visit, &v);
    assert_true(visited_once(&v, 8));
    assert_int_equal(atomic_load(&v.most), available + 1);
    end_pool(workers);
    threads_left = available + 1;
  }
  threads_left = UNLIMITED;
}

static void test_signal_mask_of_the_caller_stays(void **state) {
  (void)state;
  sigset_t before, after;
  pthread_sigmask(SIG_SETMASK, NULL, &before);
  attn__workers *workers = make_pool(3);
  assert_true(run_and_check(workers, 3));
  pthread_sigmask(SIG_SETMASK, NULL, &after);
  for (int signal = 1; signal < SIGRTMAX; signal++)
    assert_int_equal(sigismember(&before, signal), sigismember(&after, signal));
  end_pool(workers);
}

/* In the child: the pool works with threads of its own, also in a grandchild, and ends. */
static int use_and_end(void *argument) {
  attn__workers *workers = argument;
  visits v = {.wait_for = 3};
  caller = pthread_self();
  attn__workers_run(workers, 3, visit, &v);
  const int works = visited_once(&v, 3) && run_and_check(workers, 50);
  end_pool(workers);
  return works;
}

static int use_in_grandchild(void *argument) {
  return run_and_check(argument, 3) && succeeds_in_child(use_and_end, argument) &&
         run_and_check(argument, 3);
}

static int only_end(void *argument) {
  end_pool(argument);
  return 1;
}

static void test_fork(void **state) {
  (void)state;
  if (!children_may_start_threads()) skip();
  attn__workers *workers = make_pool(3);
  assert_true(succeeds_in_child(use_and_end, workers)); /* before it is started */
  assert_true(run_and_check(workers, 3));
  assert_true(succeeds_in_child(use_and_end, workers));
  assert_true(succeeds_in_child(use_in_grandchild, workers));
  assert_true(succeeds_in_child(only_end, workers));
  assert_true(run_and_check(workers, 50)); /* the parent's threads are still there */
  end_pool(workers);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_each_index_once),
      cmocka_unit_test(test_indices_run_at_the_same_time),
      cmocka_unit_test(test_threads_come_late_and_leave),
      cmocka_unit_test(test_a_pool_without_a_job),
      cmocka_unit_test(test_threads_that_cannot_start),
      cmocka_unit_test(test_signal_mask_of_the_caller_stays),
      cmocka_unit_test(test_fork),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
