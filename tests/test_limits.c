/* test_limits.c - address space from none to ample: an answer or out of memory, at once, and then it works.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Each step is a process of its own, in which BLAS has not been started; one that hangs is ended.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "feature.h"
#include "layer.h"

static const int64_t mebibyte = 1 << 20;
static const double most_seconds = 1;

static const case_spec shape = {
    .batch = 1, .heads_q = 4, .len_q = 64, .len_k = 128, .dim = 256, .weights = 1, .lse = 1};
static const layer_spec layer_shape = {
    .batch = 8, .heads_q = 8, .len = 100, .dim = 32, .dim_model = 16, .project = 1};

/* The arrays of a step: those under the limit, and those without. */
static attention_case cases[2];
static layer_case layers[2];

static int open_arrays(void **state) {
  (void)state;
  for (size_t n = 0; n < COUNT_OF(cases); n++) {
    random_source source = random_seeded(support_seed());
    case_open(&cases[n], &shape, &source);
    layer_open(&layers[n], &layer_shape, &source);
  }
  return 0;
}

static int close_arrays(void **state) {
  (void)state;
  for (size_t n = 0; n < COUNT_OF(cases); n++) {
    case_close(&cases[n]);
    layer_close(&layers[n]);
  }
  return 0;
}

/* One step, and what came of it. */
typedef struct step {
  attn_options options;
  int64_t room; /* bytes beyond what the process has mapped */
  int warm;     /* 1: the context is made, and has computed, before the limit */
  int32_t created, attention, layer;
} step;

static int64_t mapped_bytes(void) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (!file) return 0;
  const int read = fscanf(file, "%ld", &pages);
  fclose(file);
  return read == 1 ? (int64_t)pages * sysconf(_SC_PAGESIZE) : 0;
}

static void limit_address_space(rlim_t bytes) {
  struct rlimit limit;
  getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
  setrlimit(RLIMIT_AS, &limit);
}

static double cpu_seconds(void) {
  struct timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return (double)used.tv_sec + 1e-9 * (double)used.tv_nsec;
}

static int is_answer(int32_t status, const char *sentence) {
  return status == ATTN_OK || (status == ATTN_ERROR_MEMORY && strncmp(sentence, "memory: ", 8) == 0);
}

static int compute(attn_context *context, step *self, int which) {
  self->attention = attn_global(context, &cases[which].args);
  const int answered = is_answer(self->attention, attn_last_error(context));
  self->layer = layer_call(&layers[which], context);
  return answered && is_answer(self->layer, attn_last_error(context));
}

/* The calls under the limit; 1 if each answers. */
static int try_under_limit(attn_context **context, step *self) {
  if (!*context) self->created = attn_create(context, &self->options);
  if (!*context) return is_answer(self->created, attn_last_error(NULL));
  return compute(*context, self, 0);
}

static int same(const attention_case *a, const attention_case *b) {
  return tensor_count_different(&a->output, &b->output) == 0 &&
         tensor_count_different(&a->lse, &b->lse) == 0;
}

/* The same context, or one made now, without the limit; 1 if results are right, also those before. */
static int works_without_limit(attn_context *context, step *self) {
  step after = *self;
  if (!context && attn_create(&context, &self->options) != ATTN_OK) return 0;
  const int right = compute(context, &after, 1) && after.attention == ATTN_OK && after.layer == ATTN_OK;
  attn_destroy(context);
  return right && (self->attention != ATTN_OK || same(&cases[0], &cases[1])) &&
         (self->layer != ATTN_OK || same(&layers[0].options, &layers[1].options));
}

static int run_step(void *argument) {
  step *self = argument;
  attn_context *context = NULL;
  self->created = self->attention = self->layer = ATTN_ERROR_MEMORY;
  if (self->warm) {
    self->created = attn_create(&context, &self->options);
    if (self->created != ATTN_OK || attn_global(context, &(attn_args){.size = 8}) == ATTN_OK) return 0;
  }
  const double start = cpu_seconds();
  limit_address_space((rlim_t)(mapped_bytes() + self->room));
  const int answered = try_under_limit(&context, self);
  limit_address_space(RLIM_INFINITY);
  return answered && cpu_seconds() - start < most_seconds && works_without_limit(context, self);
}

/* How many steps ended in which way. */
static int64_t refused_contexts, refused_calls, successes;

static void check_step(step *shared, const step *wanted) {
  *shared = *wanted;
  if (!succeeds_in_child(run_step, shared))
    fail_msg("engine %d, %d threads, %ld bytes of room: create %d, attention %d, layer %d",
             wanted->options.engine, wanted->options.threads, (long)wanted->room, shared->created,
             shared->attention, shared->layer);
  const int refused = shared->attention != ATTN_OK || shared->layer != ATTN_OK;
  refused_contexts += shared->created != ATTN_OK;
  refused_calls += shared->created == ATTN_OK && refused;
  successes += shared->created == ATTN_OK && !refused;
}

/* From no room to enough, by so much at a time. */
static void check_range(step wanted, int64_t end, int64_t by) {
  step *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(shared != MAP_FAILED);
  wanted.options.size = sizeof wanted.options;
  for (wanted.room = 0; wanted.room <= end; wanted.room += by) check_step(shared, &wanted);
  assert_int_equal(shared->attention, ATTN_OK); /* there was enough */
  assert_int_equal(shared->layer, ATTN_OK);
  munmap(shared, sizeof *shared);
}

static void test_builtin(void **state) {
  (void)state;
  const int64_t by = support_count(mebibyte, mebibyte / 16);
  for (int32_t threads = 1; threads <= 3; threads += 2)
    check_range((step){.options = {.threads = threads, .engine = ATTN_ENGINE_BUILTIN}}, 32 * mebibyte, by);
}

/* BLAS maps 128 MiB for each thread that multiplies. */
static void test_blas(void **state) {
  (void)state;
  const int64_t by = support_count(6 * mebibyte, mebibyte / 2);
  for (int32_t threads = 1; threads <= 3; threads += 2) {
    const attn_options options = {.threads = threads, .engine = ATTN_ENGINE_BLAS};
    check_range((step){.options = options}, (64 + 128 * threads) * mebibyte, by);
    check_range((step){.options = options, .warm = 1}, 64 * mebibyte, by);
  }
}

/* Both ends were met. */
static void test_steps_were_of_every_kind(void **state) {
  (void)state;
  print_message("%ld contexts refused, %ld calls refused, %ld successes\n", (long)refused_contexts,
                (long)refused_calls, (long)successes);
  assert_true(refused_contexts > 0);
  assert_true(refused_calls > 0);
  assert_true(successes > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_builtin),
      cmocka_unit_test(test_blas),
      cmocka_unit_test(test_steps_were_of_every_kind),
  };
  return cmocka_run_group_tests(tests, open_arrays, close_arrays);
}
