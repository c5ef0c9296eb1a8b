/* test_queue.c - every task is taken once, by whom it belongs to if nobody is sooner.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "queue.h"

#include <pthread.h>
#include <string.h>

#include "support.h"

/* A strand's own tasks come first, in their order; then those of the strands after it. */
static void test_order(void **state) {
  (void)state;
  const int64_t expected[] = {1, 4, 7, 2, 3, 0, 5, 6};
  attn__queue queue;
  attn__queue_fill(&queue, 8, 3);
  int64_t lane = attn__queue_lane(&queue, 1);
  for (size_t n = 0; n < COUNT_OF(expected); n++) {
    if (n < 3) assert_int_equal(attn__queue_next(&queue, lane), expected[n]);
    assert_int_equal(attn__queue_take(&queue, &lane), expected[n]);
  }
  for (int n = 0; n < 3; n++) assert_int_equal(attn__queue_take(&queue, &lane), -1);
  assert_true(attn__queue_next(&queue, lane) >= queue.tasks);
}

/* More strands than lanes share these. Nothing past them is written. */
static void test_many_strands(void **state) {
  (void)state;
  enum { STRANDS = 3 * ATTN__QUEUE_LANES };
  int32_t taken[STRANDS] = {0};
  struct {
    attn__queue queue;
    int64_t after;
  } fenced = {.after = 7};
  attn__queue_fill(&fenced.queue, 1000, STRANDS);
  for (int64_t strand = 0; strand < STRANDS; strand++) {
    int64_t lane = attn__queue_lane(&fenced.queue, strand);
    const int64_t task = attn__queue_take(&fenced.queue, &lane);
    assert_in_range(task, 0, STRANDS - 1);
    assert_int_equal(taken[task]++, 0);
  }
  assert_int_equal(fenced.after, 7);
}

enum { THREADS = 5, TASKS = 20000 };

typedef struct worker {
  attn__queue *queue;
  int64_t strand;
  unsigned char *taken;
} worker;

static void *take_all(void *argument) {
  const worker *self = argument;
  int64_t lane = attn__queue_lane(self->queue, self->strand), task;
  while ((task = attn__queue_take(self->queue, &lane)) >= 0) self->taken[task]++;
  return NULL;
}

/* Threads count what they take in places that nobody else counts in, unless a task is taken twice. */
static void test_threads(void **state) {
  (void)state;
  static unsigned char taken[TASKS];
  attn__queue queue;
  attn__queue_fill(&queue, TASKS, THREADS);
  memset(taken, 0, sizeof taken);
  worker workers[THREADS];
  pthread_t threads[THREADS];
  for (int64_t n = 0; n < THREADS; n++) {
    workers[n] = (worker){&queue, n, taken};
    assert_int_equal(pthread_create(&threads[n], NULL, take_all, &workers[n]), 0);
  }
  for (int64_t n = 0; n < THREADS; n++) pthread_join(threads[n], NULL);
  for (int64_t n = 0; n < TASKS; n++) assert_int_equal(taken[n], 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_order),
      cmocka_unit_test(test_many_strands),
      cmocka_unit_test(test_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
