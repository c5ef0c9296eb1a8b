/* test_blas.c - products of every size against double, under and above the size that BLAS gives to its own
 * threads, and from several threads at once.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "product.h"
#include "support.h"

enum { CALLERS = 4, CALLS = 200 };

static const attn__engine *engine_here(void) {
  const attn__engine *engine = attn__blas_start(CALLERS);
  assert_non_null(engine);
  return engine;
}

/* A product and its matrices, whose rows have gaps. */
typedef struct product_case {
  attn__product product;
  guarded a, b, c;
  float *before; /* c before the product */
} product_case;

static guarded random_matrix(int64_t rows, int64_t stride, int64_t width, random_source *source) {
  const int64_t count = (rows - 1) * stride + width;
  guarded memory = guarded_make(count, GUARD_AFTER);
  for (int64_t n = 0; n < count; n++) memory.data[n] = random_normal(source);
  return memory;
}

static void open_product(product_case *p, const int64_t size[3], int32_t accumulate,
                         random_source *source) {
  const int64_t rows = size[0], cols = size[1], inner = size[2];
  p->product = (attn__product){.rows = rows,
                               .cols = cols,
                               .inner = inner,
                               .stride_a = inner + random_between(source, 0, 3),
                               .stride_b = cols + random_between(source, 0, 3),
                               .stride_c = cols + random_between(source, 0, 3),
                               .accumulate = accumulate};
  p->a = random_matrix(rows, p->product.stride_a, inner, source);
  p->b = random_matrix(inner, p->product.stride_b, cols, source);
  p->c = random_matrix(rows, p->product.stride_c, cols, source);
  p->product.a = p->a.data;
  p->product.b = p->b.data;
  p->product.c = p->c.data;
  const size_t bytes = (size_t)((rows - 1) * p->product.stride_c + cols) * sizeof(float);
  p->before = malloc(bytes);
  memcpy(p->before, p->c.data, bytes);
}

static void close_product(product_case *p) {
  guarded_free(&p->a);
  guarded_free(&p->b);
  guarded_free(&p->c);
  free(p->before);
}

/* How many numbers of c are not what they should be, gaps included. */
static int64_t count_wrong(const product_case *c) {
  const attn__product *p = &c->product;
  int64_t wrong = 0;
  for (int64_t n = 0; n < (p->rows - 1) * p->stride_c + p->cols; n++) {
    const int64_t row = n / p->stride_c, col = n % p->stride_c;
    double sum = p->accumulate ? (double)c->before[n] : 0, size = fabs(sum);
    for (int64_t k = 0; k < p->inner && col < p->cols; k++) {
      const double term = (double)p->a[row * p->stride_a + k] * (double)p->b[k * p->stride_b + col];
      sum += term;
      size += fabs(term);
    }
    if (col < p->cols)
      wrong += !(fabs((double)p->c[n] - sum) <= 1e-6 * size);
    else
      wrong += bits_of(p->c[n]) != bits_of(c->before[n]);
  }
  return wrong;
}

static void multiply(const attn__product *product) {
  const attn__engine *engine = engine_here();
  engine->enter();
  engine->multiply(product);
  engine->leave();
}

static void check_product(const int64_t size[3], int32_t accumulate, random_source *source) {
  product_case p;
  open_product(&p, size, accumulate, source);
  multiply(&p.product);
  const int64_t wrong = count_wrong(&p);
  close_product(&p);
  if (wrong > 0)
    fail_msg("%ld x %ld x %ld%s: %ld wrong numbers", (long)size[0], (long)size[1], (long)size[2],
             accumulate ? " accumulated" : "", (long)wrong);
}

static void test_chosen_sizes(void **state) {
  (void)state;
  const int64_t sizes[][3] = {{1, 1, 1},     {1, 7, 3},     {64, 64, 64},  {64, 64, 65},   {64, 65, 64},
                              {65, 64, 64},  {64, 128, 64}, {63, 127, 31}, {64, 128, 256}, {64, 128, 257},
                              {8, 16, 2048}, {1, 1, 4099},  {1, 4099, 1},  {4099, 1, 1},   {1, 600, 500},
                              {600, 1, 500}, {64, 512, 16}, {64, 16, 512}, {200, 200, 200}};
  random_source source = random_seeded(support_seed());
  for (size_t n = 0; n < COUNT_OF(sizes); n++)
    for (int32_t accumulate = 0; accumulate < 2; accumulate++) check_product(sizes[n], accumulate, &source);
}

static void test_random_sizes(void **state) {
  (void)state;
  const int64_t rounds = support_rounds(300);
  for (int64_t round = 0; round < rounds; round++) {
    random_source source = random_seeded(support_seed() + (uint64_t)round);
    support_round_begins(round);
    const int64_t size[3] = {random_between(&source, 1, 130), random_between(&source, 1, 130),
                             random_between(&source, 1, 300)};
    check_product(size, random_once_in(&source, 2), &source);
    support_round_ends();
  }
}

/* Without accumulate, what c holds is not read: not even NaN. */
static void test_overwriting_nan(void **state) {
  (void)state;
  const int64_t sizes[][3] = {{5, 7, 3}, {64, 128, 64}, {64, 128, 300}};
  random_source source = random_seeded(support_seed());
  for (size_t n = 0; n < COUNT_OF(sizes); n++) {
    product_case p;
    open_product(&p, sizes[n], 0, &source);
    for (int64_t row = 0; row < p.product.rows; row++)
      for (int64_t col = 0; col < p.product.cols; col++) p.product.c[row * p.product.stride_c + col] = NAN;
    multiply(&p.product);
    assert_int_equal(count_wrong(&p), 0);
    close_product(&p);
  }
}

/* A NaN in one column of b, or one row of a, stays in that column or row of c. */
static void test_nan_stays_in_its_row_and_column(void **state) {
  (void)state;
  random_source source = random_seeded(support_seed());
  product_case p;
  open_product(&p, (int64_t[3]){64, 128, 64}, 0, &source);
  p.b.data[5 * p.product.stride_b + 17] = NAN;
  p.a.data[33 * p.product.stride_a + 9] = INFINITY;
  multiply(&p.product);
  for (int64_t row = 0; row < 64; row++)
    for (int64_t col = 0; col < 128; col++)
      assert_int_equal(!isfinite(p.product.c[row * p.product.stride_c + col]), col == 17 || row == 33);
  close_product(&p);
}

typedef struct caller {
  uint64_t seed;
  int64_t wrong;
  pthread_t thread;
} caller;

static atomic_int inside, most_inside;

static void note_entry(void) {
  const int now = atomic_fetch_add(&inside, 1) + 1;
  int most = atomic_load(&most_inside);
  while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now)) continue;
}

static void *call_repeatedly(void *argument) {
  caller *self = argument;
  const attn__engine *engine = attn__blas_start(CALLERS);
  random_source source = random_seeded(self->seed);
  for (int n = 0; n < CALLS; n++) {
    product_case p;
    const int64_t size[3] = {random_between(&source, 1, 64), random_between(&source, 1, 128),
                             random_between(&source, 1, 90)};
    open_product(&p, size, 0, &source);
    engine->enter();
    note_entry();
    engine->multiply(&p.product);
    atomic_fetch_sub(&inside, 1);
    engine->leave();
    self->wrong += count_wrong(&p);
    close_product(&p);
  }
  return NULL;
}

static void test_concurrent_callers(void **state) {
  (void)state;
  caller callers[CALLERS];
  const attn__engine *engine = engine_here();
  for (int n = 0; n < CALLERS; n++) {
    callers[n] = (caller){.seed = support_seed() + (uint64_t)n};
    assert_int_equal(pthread_create(&callers[n].thread, NULL, call_repeatedly, &callers[n]), 0);
  }
  for (int n = 0; n < CALLERS; n++) pthread_join(callers[n].thread, NULL);
  for (int n = 0; n < CALLERS; n++) assert_int_equal(callers[n].wrong, 0);
  assert_true(atomic_load(&most_inside) <= engine->seats);
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
  assert_int_equal(strncmp(info.name, "OpenBLAS", 8), 0);
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
      cmocka_unit_test(test_chosen_sizes),
      cmocka_unit_test_teardown(test_random_sizes, support_print_seed),
      cmocka_unit_test(test_overwriting_nan),
      cmocka_unit_test(test_nan_stays_in_its_row_and_column),
      cmocka_unit_test(test_concurrent_callers),
      cmocka_unit_test(test_a_fork_waits_for_those_inside),
      cmocka_unit_test(test_description),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
