/* test_crowd.c - many host threads, each with a context of its own and random calls: every bit as from one thread.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feature.h"
#include "layer.h"
#include "random_case.h"

enum { CASES = 160, LAYERS = 20, CROWD = 64, CALLERS = 700, OUTPUTS = 4, SMALL_STACK = 256 << 10 };

/* What all threads read: calls, and the results that one thread got. Their arrays are not written again. */
static attention_case cases[CASES];
static layer_case layers[LAYERS];

/* A few options that go together, now and then none. */
static void apply_features(attention_case *c, int packed_too, random_source *source) {
  const feature *on[3];
  int64_t count = 0;
  for (int64_t tries = random_between(source, 0, 3); tries > 0; tries--) {
    const feature *f = &features[random_between(source, 0, feature_count - 1)];
    int agrees = packed_too || strncmp(f->name, "packed", 6) != 0;
    for (int64_t n = 0; n < count; n++) agrees = agrees && feature_agrees(f, on[n]);
    if (agrees) on[count++] = f;
  }
  for (int64_t n = 0; n < feature_count; n++) /* in their order */
    for (int64_t k = 0; k < count; k++)
      if (on[k] == &features[n]) feature_apply(on[k], c, source);
}

static void open_case(attention_case *c, random_source *source) {
  const case_spec spec = random_case_spec(source, 300000);
  case_open(c, &spec, source);
  apply_features(c, 1, source);
}

static void open_layer(layer_case *c, random_source *source) {
  const layer_spec spec = {.batch = random_between(source, 1, 2),
                           .heads_q = 4,
                           .heads_kv = random_once_in(source, 2) ? 2 : 4,
                           .len = random_between(source, 1, 40),
                           .dim = 2 * random_between(source, 1, 12),
                           .dim_model = random_between(source, 1, 40),
                           .biases = 15,
                           .project = 1,
                           .rope = (int32_t)random_between(source, 0, 2)};
  layer_open(c, &spec, source);
  apply_features(&c->options, 0, source);
}

static int compute_expected(void **state) {
  (void)state;
  random_source source = random_seeded(support_seed());
  attn_context *context = context_with_threads(1);
  for (int n = 0; n < CASES; n++) {
    open_case(&cases[n], &source);
    case_run(&cases[n], context);
  }
  for (int n = 0; n < LAYERS; n++) {
    open_layer(&layers[n], &source);
    layer_run(&layers[n], context);
  }
  attn_destroy(context);
  return 0;
}

static int forget_expected(void **state) {
  (void)state;
  for (int n = 0; n < CASES; n++) case_close(&cases[n]);
  for (int n = 0; n < LAYERS; n++) layer_close(&layers[n]);
  return 0;
}

static void test_expected_results(void **state) {
  (void)state;
  for (int n = 0; n < CASES; n++) case_check_promise(&cases[n]);
  for (int n = 0; n < LAYERS; n++) layer_check(&layers[n]);
}

/* A thread's own outputs, laid out as those of a case, gaps included. */
typedef struct own_outputs {
  float *memory[OUTPUTS]; /* NULL: not wanted */
  const tensor *like[OUTPUTS];
} own_outputs;

static float *own_output(own_outputs *own, int which, const tensor *like) {
  own->like[which] = like;
  own->memory[which] = NULL;
  if (!like->first) return NULL;
  float *memory = own->memory[which] = malloc((size_t)like->count * sizeof *memory);
  if (!memory) abort();
  for (int64_t n = 0; n < like->count; n++) memory[n] = canary();
  return memory + (like->first - like->memory.data);
}

static int64_t count_wrong(own_outputs *own) {
  int64_t wrong = 0;
  for (int n = 0; n < OUTPUTS; n++) {
    if (own->memory[n])
      wrong += count_different(own->like[n]->count, own->memory[n], own->like[n]->memory.data);
    free(own->memory[n]);
  }
  return wrong;
}

static void take_outputs(own_outputs *own, const attention_case *c, attn_args *args) {
  args->weights = own_output(own, 1, &c->weights);
  args->lse = own_output(own, 2, &c->lse);
  args->scores = own_output(own, 3, &c->scores);
}

/* What came of a thread's calls. cmocka's assertions are for the main thread only. */
typedef struct member {
  pthread_t thread;
  uint64_t seed;
  int64_t calls, failed, wrong;
} member;

static void call_attention(member *self, attn_context *context, const attention_case *c) {
  own_outputs own;
  attn_args args = c->args;
  args.output = own_output(&own, 0, &c->output);
  take_outputs(&own, c, &args);
  self->failed += (c->local ? attn_local(context, &args) : attn_global(context, &args)) != ATTN_OK;
  self->wrong += count_wrong(&own);
}

static void call_layer(member *self, attn_context *context, const layer_case *c) {
  own_outputs own;
  attn_args attention = c->attention;
  attn_self_args args = c->args;
  args.attention = &attention;
  args.output = own_output(&own, 0, &c->options.output);
  take_outputs(&own, &c->options, &attention);
  self->failed += attn_self(context, &args) != ATTN_OK;
  self->wrong += count_wrong(&own);
}

static void call_any(member *self, attn_context *context, random_source *source) {
  const int64_t n = random_between(source, 0, CASES + LAYERS - 1);
  if (n < CASES)
    call_attention(self, context, &cases[n]);
  else
    call_layer(self, context, &layers[n - CASES]);
}

/* Calls in contexts of one to three threads, each of which lives for a while. */
static void *make_calls(void *argument) {
  member *self = argument;
  random_source source = random_seeded(self->seed);
  for (int64_t left = self->calls; left > 0;) {
    attn_context *context;
    const attn_options options = {.size = sizeof options,
                                  .threads = (int32_t)random_between(&source, 1, 3),
                                  .wipe = random_once_in(&source, 2)};
    const int created = attn_create(&context, &options) == ATTN_OK;
    self->failed += !created;
    for (int64_t n = random_between(&source, 1, 100); n > 0 && left > 0; n--, left--)
      if (created) call_any(self, context, &source);
    attn_destroy(context);
  }
  return NULL;
}

/* Runs main in so many threads with stacks of that size (0: the usual), and checks what came of it. */
static void gather(int count, size_t stack, int64_t calls, void *(*main)(void *)) {
  static member members[CALLERS];
  pthread_attr_t attributes;
  assert_int_equal(pthread_attr_init(&attributes), 0);
  if (stack > 0) assert_int_equal(pthread_attr_setstacksize(&attributes, stack), 0);
  for (int n = 0; n < count; n++) {
    members[n] = (member){.seed = support_seed() + (uint64_t)n, .calls = calls};
    assert_int_equal(pthread_create(&members[n].thread, &attributes, main, &members[n]), 0);
  }
  for (int n = 0; n < count; n++) pthread_join(members[n].thread, NULL);
  for (int n = 0; n < count; n++) {
    assert_int_equal(members[n].failed, 0);
    assert_int_equal(members[n].wrong, 0);
  }
  pthread_attr_destroy(&attributes);
  print_message("%d threads, %ld calls each, no wrong bit\n", count, (long)calls);
}

static void test_crowd(void **state) {
  (void)state;
  const int before = count_threads();
  gather(CROWD, 0, support_count(60, 1600), make_calls);
  assert_int_equal(count_threads_at_rest(before), before);
}

static pthread_barrier_t barrier;

/* All make their contexts, and only then all call at once. */
static void *call_at_once(void *argument) {
  member *self = argument;
  random_source source = random_seeded(self->seed);
  attn_context *context;
  self->failed +=
      attn_create(&context, &(attn_options){.size = sizeof(attn_options), .threads = 1}) != ATTN_OK;
  for (int64_t n = 0; n < self->calls; n++) {
    pthread_barrier_wait(&barrier);
    if (context) call_any(self, context, &source);
  }
  attn_destroy(context);
  return NULL;
}

static void test_callers_at_once(void **state) {
  (void)state;
  assert_int_equal(pthread_barrier_init(&barrier, NULL, CALLERS), 0);
  gather(CALLERS, SMALL_STACK, support_count(3, 30), call_at_once);
  pthread_barrier_destroy(&barrier);
}

/* The kernels of BLAS that the environment asks for. */
static int skip_missing_core(void) {
  const char *wanted = getenv("OPENBLAS_CORETYPE");
  attn_info info = {.size = sizeof info};
  attn_context *context = context_with_threads(1);
  const int missing =
      wanted && attn_describe(context, &info) == ATTN_OK && strcmp(info.blas_core, wanted) != 0;
  if (missing) printf("SKIPPED: BLAS takes its %s kernels, not those of %s\n", info.blas_core, wanted);
  attn_destroy(context);
  return missing ? SUPPORT_SKIPPED : 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_expected_results),
      cmocka_unit_test(test_crowd),
      cmocka_unit_test(test_callers_at_once),
  };
  const int skipped = support_skip_missing_isa() + skip_missing_core();
  return skipped ? skipped : cmocka_run_group_tests(tests, compute_expected, forget_expected);
}
