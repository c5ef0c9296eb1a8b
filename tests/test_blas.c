/* test_blas.c - BLAS from several threads at once, across fork, and described.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "product_case.h"

enum { CALLERS = 4, CALLS = 200 };

static const attn__engine *engine_here(void) {
  const attn__engine *engine = attn__blas_start(CALLERS);
  assert_non_null(engine);
  return engine;
}

typedef struct caller {
  uint64_t seed;
  int64_t wrong;
  pthread_t thread;
} caller;

static atomic_int inside, most_inside;

static const attn__engine *counted; /* starting it anew would take another seat */

static void enter_and_count(void) {
  counted->enter();
  const int now = atomic_fetch_add(&inside, 1) + 1;
  int most = atomic_load(&most_inside);
  while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now)) continue;
}

static void leave_and_count(void) {
  atomic_fetch_sub(&inside, 1);
  counted->leave();
}

static void *call_repeatedly(void *argument) {
  caller *self = argument;
  attn__engine engine = *counted;
  engine.enter = enter_and_count;
  engine.leave = leave_and_count;
  random_source source = random_seeded(self->seed);
  for (int n = 0; n < CALLS; n++) {
    const int64_t size[3] = {random_between(&source, 1, 64), random_between(&source, 1, 128),
                             random_between(&source, 1, 90)};
    product_case p = product_case_make(&engine, size, 0, &source);
    self->wrong += product_case_count_wrong(&p, &engine);
    product_case_free(&p);
  }
  return NULL;
}

static void test_concurrent_callers(void **state) {
  (void)state;
  caller callers[CALLERS];
  counted = engine_here();
  for (int n = 0; n < CALLERS; n++) {
    callers[n] = (caller){.seed = support_seed() + (uint64_t)n};
    assert_int_equal(pthread_create(&callers[n].thread, NULL, call_repeatedly, &callers[n]), 0);
  }
  for (int n = 0; n < CALLERS; n++) pthread_join(callers[n].thread, NULL);
  for (int n = 0; n < CALLERS; n++) assert_int_equal(callers[n].wrong, 0);
  assert_true(atomic_load(&most_inside) <= counted->seats);
}

static atomic_int may_leave;

static void *sit(void *argument) {
  (void)argument;
  enter_and_count();
  while (!atomic_load(&may_leave)) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  leave_and_count();
  return NULL;
}

/* More callers than seats: some wait until others leave. */
static void test_all_seats_taken(void **state) {
  (void)state;
  enum { MORE = 8 };
  pthread_t threads[200];
  counted = engine_here();
  const int64_t callers = counted->seats + MORE;
  assert_true(callers <= (int64_t)COUNT_OF(threads));
  atomic_store(&most_inside, 0);
  for (int64_t n = 0; n < callers; n++) assert_int_equal(pthread_create(&threads[n], NULL, sit, NULL), 0);
  nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL); /* all who can are in by then */
  atomic_store(&may_leave, 1);
  for (int64_t n = 0; n < callers; n++) pthread_join(threads[n], NULL);
  assert_true(atomic_load(&most_inside) <= counted->seats);
}

/* In a child that was forked while a seat was taken, every seat is free. */
static int take_every_seat(void *argument) {
  const attn__engine *engine = argument;
  for (int64_t n = 0; n < engine->seats; n++) engine->enter();
  for (int64_t n = 0; n < engine->seats; n++) engine->leave();
  return 1;
}

static atomic_int seated, about_to_leave;

static void *sit_for_a_moment(void *argument) {
  const attn__engine *engine = argument;
  engine->enter();
  atomic_store(&seated, 1);
  nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
  atomic_store(&about_to_leave, 1);
  engine->leave();
  return NULL;
}

static int nobody_was_inside(void *argument) {
  return atomic_load(&about_to_leave) && take_every_seat(argument);
}

/* A fork waits until nobody is inside BLAS, whose locks would stay locked in the child. */
static void test_a_fork_waits_for_those_inside(void **state) {
  (void)state;
  if (!children_may_start_threads()) skip(); /* the parent's would be leaks */
  attn__engine engine = *engine_here();
  pthread_t thread;
  assert_true(succeeds_in_child(take_every_seat, &engine));
  assert_int_equal(pthread_create(&thread, NULL, sit_for_a_moment, &engine), 0);
  while (!atomic_load(&seated)) nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
  const int waited = succeeds_in_child(nobody_was_inside, &engine);
  pthread_join(thread, NULL);
  assert_true(waited);
  assert_true(take_every_seat(&engine)); /* and the parent goes on */
}

static void test_description(void **state) {
  (void)state;
  attn__blas_info info = {.isa = -1};
  attn__blas_describe(&info);
  int major, minor, end = 0;
  assert_int_equal(sscanf(info.name, "OpenBLAS %d.%d%n", &major, &minor, &end), 2);
  assert_null(strchr(info.name + end, ' '));
  assert_true(strlen(info.core) > 0);
  assert_true(info.isa >= 0 && info.isa <= ATTN_ISA_AVX512);
  const char *const flavors[] = {"serial", "pthread", "openmp"};
  int known = 0;
  for (size_t n = 0; n < COUNT_OF(flavors); n++) known += strcmp(info.flavor, flavors[n]) == 0;
  assert_int_equal(known, 1);
  if (strcmp(info.flavor, "serial") == 0)
    assert_int_equal(engine_here()->seats, 1);
  else
    assert_true(engine_here()->seats > 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_concurrent_callers),
      cmocka_unit_test(test_all_seats_taken),
      cmocka_unit_test(test_a_fork_waits_for_those_inside),
      cmocka_unit_test(test_description),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
