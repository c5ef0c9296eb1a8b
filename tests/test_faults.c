/* test_faults.c - each request for memory, a mapping or a thread made to fail in turn, once and from then on:
 * an error or a right answer, nothing written, nothing lost, and the same context then computes.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Each run is a process of its own, in which BLAS has not been started; one that hangs is ended.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "feature.h"
#include "layer.h"
#include "wrapped.h"

enum { MERGED = 3 * 8, SOFTENED = 700 * 300 };

/* The calls of a run, in this order. The first two and the last two of those that compute may say that there
 * is no memory; the others need none. */
enum { PLAIN, SPLITS, LOCAL, SELF, MERGE, SOFTMAX, EXPLAIN, EXPLAIN_SELF, CALLS };

/* All arrays of a run. */
typedef struct arrays {
  attention_case cases[3];
  layer_case layer;
  float merged[MERGED], softened[SOFTENED];
  attn_plan plans[2];
  int32_t status[CALLS];
} arrays;

/* In every run the first has faults, the second is by the same context without, the third by a fresh one. */
static arrays runs[3];
static float numbers[SOFTENED];

static const case_spec shapes[3] = {
    {.batch = 2, .heads_q = 3, .len_q = 130, .len_k = 140, .dim = 24, .weights = 1, .lse = 1},
    {.batch = 1, .heads_q = 2, .len_q = 1, .len_k = 9000, .dim = 16, .lse = 1},
    {.batch = 2, .heads_q = 2, .len_q = 100, .len_k = 300, .dim = 20, .lse = 1},
};
static const layer_spec layer_shape = {
    .batch = 2, .heads_q = 4, .len = 150, .dim = 12, .dim_model = 48, .biases = 15, .project = 1};

static int open_arrays(void **state) {
  (void)state;
  for (size_t r = 0; r < COUNT_OF(runs); r++) {
    random_source source = random_seeded(support_seed());
    for (int n = 0; n < 3; n++) case_open(&runs[r].cases[n], &shapes[n], &source);
    feature_apply(feature_named("predicted centers"), &runs[r].cases[LOCAL], &source);
    layer_open(&runs[r].layer, &layer_shape, &source);
    for (int n = 0; n < 2; n++) runs[r].plans[n].size = sizeof(attn_plan);
    for (int n = 0; n < SOFTENED; n++) numbers[n] = random_normal(&source);
  }
  return 0;
}

static int close_arrays(void **state) {
  (void)state;
  for (size_t r = 0; r < COUNT_OF(runs); r++) {
    for (int n = 0; n < 3; n++) case_close(&runs[r].cases[n]);
    layer_close(&runs[r].layer);
  }
  return 0;
}

static int32_t merge(attn_context *context, arrays *a) {
  static const float *const parts[2] = {numbers, numbers + MERGED}, *const lses[2] = {numbers + 100,
                                                                                      numbers + 110};
  const attn_merge_args args = {.size = sizeof args,
                                .parts = 2,
                                .batch = 1,
                                .heads = 1,
                                .len_q = 3,
                                .dim_v = 8,
                                .outputs = parts,
                                .lses = lses,
                                .output = a->merged};
  return attn_merge(context, &args);
}

static int32_t soften(attn_context *context, arrays *a) {
  const attn_softmax_args args = {
      .size = sizeof args, .rows = 700, .cols = 300, .input = numbers, .output = a->softened};
  return attn_softmax(context, &args);
}

static int32_t call(attn_context *context, arrays *a, int n) {
  switch (n) {
  case PLAIN:
  case SPLITS:
    return attn_global(context, &a->cases[n].args);
  case LOCAL:
    return attn_local(context, &a->cases[n].args);
  case SELF:
    return layer_call(&a->layer, context);
  case MERGE:
    return merge(context, a);
  case SOFTMAX:
    return soften(context, a);
  case EXPLAIN:
    return attn_explain(context, &a->cases[PLAIN].args, &a->plans[0]);
  default:
    return attn_explain_self(context, &a->layer.args, &a->plans[1]);
  }
}

/* The results of the calls that need memory. */
static attention_case *case_of(arrays *a, int n) {
  return n == SELF ? &a->layer.options : &a->cases[n];
}

static int is_untouched(const attention_case *c) {
  const tensor *outputs[] = {&c->output, &c->weights, &c->lse};
  for (size_t n = 0; n < COUNT_OF(outputs); n++)
    if (tensor_count_untouched(outputs[n]) !=
        outputs[n]->batch * outputs[n]->heads * outputs[n]->rows * outputs[n]->width)
      return 0;
  return 1;
}

static int same_results(const attention_case *a, const attention_case *b) {
  return tensor_count_different(&a->output, &b->output) == 0 &&
         tensor_count_different(&a->weights, &b->weights) == 0 &&
         tensor_count_different(&a->lse, &b->lse) == 0;
}

/* 1, or 0 after saying so; for a child, where cmocka's assertions are not. */
static int holds(int condition, const char *what) {
  if (!condition) fprintf(stderr, "not so: %s\n", what);
  return condition;
}

static int is_memory_sentence(const char *sentence) {
  return strncmp(sentence, "memory: ", 8) == 0;
}

/* One call: right, or out of memory with nothing written. */
static int check_call(attn_context *context, arrays *a, int n) {
  const int32_t status = a->status[n] = call(context, a, n);
  const char *sentence = attn_last_error(context);
  if (status == ATTN_OK) return holds(!*sentence, "no sentence after success");
  return holds(n <= SELF, "only what needs memory fails") &&
         holds(status == ATTN_ERROR_MEMORY && is_memory_sentence(sentence), "the error is of memory") &&
         holds(is_untouched(case_of(a, n)), "a call that fails writes nothing");
}

static int check_calls(attn_context *context, arrays *a) {
  int right = 1;
  for (int n = 0; n < CALLS; n++) right &= check_call(context, a, n);
  return right;
}

/* What succeeded gave the results of the fresh context. */
static int check_results(arrays *a, arrays *fresh) {
  int right = 1;
  for (int n = 0; n <= SELF; n++)
    right &= a->status[n] != ATTN_OK || same_results(case_of(a, n), case_of(fresh, n));
  return holds(right, "results are those of a fresh context") &&
         holds(memcmp(a->merged, fresh->merged, sizeof a->merged) == 0, "merged") &&
         holds(memcmp(a->softened, fresh->softened, sizeof a->softened) == 0, "softened");
}

static int all_succeeded(const arrays *a) {
  for (int n = 0; n < CALLS; n++)
    if (a->status[n] != ATTN_OK) return 0;
  return 1;
}

/* One run, and what it tells the parent. */
typedef struct run {
  int32_t threads, engine;
  int hooks; /* 1: memory comes from the host's allocator */
  int64_t fail_at;
  int from_then_on;
  int64_t requests, failed; /* of the library */
} run;

static void *hook_allocate(void *user, uint64_t bytes, uint64_t alignment) {
  int64_t *live = user;
  void *memory = aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  *live += memory != NULL;
  return memory;
}

static void hook_deallocate(void *user, void *memory, uint64_t bytes) {
  int64_t *live = user;
  (void)bytes;
  --*live;
  free(memory);
}

static attn_context *create(const run *self, int64_t *live) {
  attn_context *context;
  attn_options options = {.size = sizeof options, .threads = self->threads, .engine = self->engine};
  if (self->hooks) {
    options.user = live;
    options.allocate = hook_allocate;
    options.deallocate = hook_deallocate;
  }
  if (attn_create(&context, &options) == ATTN_OK) return context;
  holds(!context && is_memory_sentence(attn_last_error(NULL)), "creation fails for memory");
  return NULL;
}

/* With the faults; a context that could not be made is made without them. */
static attn_context *run_with_faults(run *self, int64_t *live, int *right) {
  wrapped_arm(self->fail_at, self->from_then_on);
  attn_context *context = create(self, live);
  if (context)
    *right &= check_calls(context, &runs[0]) & holds(!wrapped.unguarded, "BLAS has its fork handlers");
  wrapped_disarm();
  self->requests = wrapped.requests;
  self->failed = wrapped.failed;
  if (context) return context;
  for (int n = 0; n < CALLS; n++) runs[0].status[n] = ATTN_ERROR_MEMORY;
  *right &= holds(wrapped.live_blocks == 0 && *live == 0, "nothing is left of what failed");
  context = create(self, live);
  if (context) return context;
  self->engine = ATTN_ENGINE_BUILTIN; /* without its fork handler BLAS stays out of use */
  return create(self, live);
}

static int run_in_child(void *argument) {
  run *self = argument;
  int64_t live = 0;
  int right = 1;
  wrapped = (wrapped_state){0}; /* the arrays are the parent's */
  attn_context *context = run_with_faults(self, &live, &right);
  if (!holds(context != NULL, "a context without faults")) return 0;
  right &= check_calls(context, &runs[1]) && holds(all_succeeded(&runs[1]), "no error without faults");
  attn_context *fresh = create(self, &live);
  if (!holds(fresh != NULL, "a fresh context")) return 0;
  right &= check_calls(fresh, &runs[2]) && holds(all_succeeded(&runs[2]), "no error in a fresh context");
  if (runs[0].status[MERGE] == ATTN_OK) right &= check_results(&runs[0], &runs[2]);
  right &= check_results(&runs[1], &runs[2]);
  attn_destroy(fresh);
  attn_destroy(context);
  return right & holds(live == 0 && wrapped.live_blocks == 0, "all memory is given back") &
         holds(wrapped.live_threads == 0, "all threads have ended");
}

static int64_t run_count, failure_count;

static void check_run(run *shared, const run *wanted) {
  *shared = *wanted;
  if (!succeeds_in_child(run_in_child, shared))
    fail_msg("threads %d engine %d hooks %d: request %ld%s", wanted->threads, wanted->engine, wanted->hooks,
             (long)wanted->fail_at, wanted->from_then_on ? " and those after it" : "");
  run_count++;
  failure_count += shared->failed;
}

/* Every request of these options. How many there are may vary a little, as BLAS needs a buffer more where threads
 * meet in it. */
static void check_options(run wanted) {
  run *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(shared != MAP_FAILED);
  wanted.fail_at = -1;
  check_run(shared, &wanted);
  const int64_t requests = shared->requests;
  assert_true(requests >= 3);
  for (wanted.fail_at = 0; wanted.fail_at < requests; wanted.fail_at++)
    for (wanted.from_then_on = 0; wanted.from_then_on < 2; wanted.from_then_on++) {
      check_run(shared, &wanted);
      assert_true(shared->failed > 0 || shared->requests <= wanted.fail_at);
    }
  munmap(shared, sizeof *shared);
}

static void check_engine(int32_t engine) {
  const int32_t threads[] = {0, 1, 3};
  for (size_t n = 0; n < COUNT_OF(threads); n++)
    for (int hooks = 0; hooks < 2; hooks++)
      check_options((run){.threads = threads[n], .engine = engine, .hooks = hooks});
}

static void test_builtin(void **state) {
  (void)state;
  check_engine(ATTN_ENGINE_BUILTIN);
}

static void test_blas(void **state) {
  (void)state;
  check_engine(ATTN_ENGINE_BLAS);
}

/* The calls themselves, against the formulas. */
static void test_results(void **state) {
  (void)state;
  attn_context *context = context_with_threads(2);
  for (int n = 0; n < 3; n++) {
    case_run(&runs[0].cases[n], context);
    case_check_promise(&runs[0].cases[n]);
  }
  layer_run(&runs[0].layer, context);
  layer_check(&runs[0].layer);
  attn_destroy(context);
  print_message("%ld runs, %ld failures injected\n", (long)run_count, (long)failure_count);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_builtin), cmocka_unit_test(test_blas),
      cmocka_unit_test(test_results), /* last, as it starts BLAS in this process */
  };
  if (!children_may_start_threads()) {
    puts("SKIPPED: the thread sanitizer does not follow threads into a child");
    return SUPPORT_SKIPPED;
  }
  return cmocka_run_group_tests(tests, open_arrays, close_arrays);
}
