/* test_leaks.c - nothing of one call reaches the next: whatever scratch held before, results are those of a
 * fresh context; and a context that is to wipe its memory gives none back unwiped.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <string.h>

#include "allocator.h"
#include "feature.h"
#include "layer.h"

/* Many queries, and few: they go different ways. The last takes more scratch than any of them. */
static const case_spec shapes[] = {
    {.batch = 2, .heads_q = 4, .heads_kv = 2, .len_q = 70, .len_k = 140, .dim = 9, .dim_v = 12, .lse = 1},
    {.batch = 2, .heads_q = 6, .heads_kv = 2, .len_q = 1, .len_k = 150, .dim = 8, .lse = 1},
    {.batch = 1, .heads_q = 4, .len_q = 150, .len_k = 150, .dim = 200, .weights = 1, .lse = 1},
};
enum { SHAPES = 2, LARGE = 2 };

static const layer_spec layer_shape = {.batch = 2,
                                       .heads_q = 4,
                                       .heads_kv = 2,
                                       .len = 40,
                                       .dim = 6,
                                       .dim_model = 20,
                                       .biases = 15,
                                       .project = 1,
                                       .rope = ATTN_ROPE_HALF};

/* What nobody may ever see. */
static const float marks[] = {NAN, INFINITY, 1e30f, 12345.678f};

static void fill(tensor *t, float mark) {
  for (int64_t n = 0; n < t->count; n++) t->memory.data[n] = mark;
}

/* Of each shape one case, for calls of which every number is a mark. */
static attention_case marked[COUNT_OF(shapes)];

static int open_marked(void **state) {
  (void)state;
  for (size_t n = 0; n < COUNT_OF(shapes); n++) {
    random_source source = random_seeded(support_seed());
    case_open(&marked[n], &shapes[n], &source);
  }
  return 0;
}

static int close_marked(void **state) {
  (void)state;
  for (size_t n = 0; n < COUNT_OF(shapes); n++) case_close(&marked[n]);
  return 0;
}

static void call_marked(attn_context *context, int64_t shape, float mark) {
  attention_case *c = &marked[shape];
  fill(&c->query, mark);
  fill(&c->key, mark);
  fill(&c->value, mark);
  case_run(c, context);
}

static void open_features(attention_case *c, const case_spec *shape, const feature *f, const feature *g) {
  random_source source = random_seeded(support_seed());
  case_open(c, shape, &source);
  feature_apply(f, c, &source);
  if (g) feature_apply(g, c, &source);
}

/* A call with one or two features, in a fresh context whose memory was 0 and in a used one. */
static void check_features(attn_context *used, const case_spec *shape, const feature *f, const feature *g) {
  allocator self;
  attention_case expected, got;
  const attn_options options = allocator_options(&self, 2);
  self.fill = 0;
  attn_context *fresh = allocator_context(&options);
  open_features(&expected, shape, f, g);
  open_features(&got, shape, f, g);
  case_run(&expected, fresh);
  case_run(&got, used);
  case_assert_same_bits(&got, &expected);
  case_close(&got);
  case_close(&expected);
  attn_destroy(fresh);
  allocator_assert_balanced(&self);
}

static void test_marked_memory(void **state) {
  (void)state;
  for (size_t m = 0; m < COUNT_OF(marks); m++)
    for (int64_t s = 0; s < SHAPES; s++)
      for (int64_t n = 0; n < feature_count; n++) {
        allocator self;
        const attn_options options = allocator_options(&self, 3);
        self.fill = marks[m];
        attn_context *context = allocator_context(&options);
        check_features(context, &shapes[s], &features[n], NULL);
        attn_destroy(context);
      }
}

static void test_marked_calls(void **state) {
  (void)state;
  attn_context *context = context_with_threads(3);
  for (size_t m = 0; m < COUNT_OF(marks); m++)
    for (int64_t s = 0; s < SHAPES; s++)
      for (int64_t n = 0; n < feature_count; n++) {
        call_marked(context, n % 2 ? LARGE : s, marks[m]);
        check_features(context, &shapes[s], &features[n], NULL);
      }
  attn_destroy(context);
}

/* Every two features, each time after a call of the shape before with the mark in it. */
static void test_marked_calls_before_pairs(void **state) {
  (void)state;
  attn_context *context = context_with_threads(3);
  for (int64_t n = 0; n < feature_count; n++)
    for (int64_t other = n + 1; other < feature_count; other++) {
      if (!feature_agrees(&features[n], &features[other])) continue;
      call_marked(context, other % SHAPES, marks[other % (int64_t)COUNT_OF(marks)]);
      check_features(context, &shapes[(n + other) % SHAPES], &features[n], &features[other]);
    }
  attn_destroy(context);
}

static void open_layer(layer_case *c, const feature *f) {
  random_source source = random_seeded(support_seed());
  layer_open(c, &layer_shape, &source);
  feature_apply(f, &c->options, &source);
}

static void check_layer(attn_context *used, const feature *f) {
  layer_case expected, got;
  attn_context *fresh = context_with_threads(1);
  open_layer(&expected, f);
  open_layer(&got, f);
  layer_run(&expected, fresh);
  layer_run(&got, used);
  case_assert_same_bits(&got.options, &expected.options);
  layer_close(&got);
  layer_close(&expected);
  attn_destroy(fresh);
}

static void test_marked_calls_before_layers(void **state) {
  (void)state;
  attn_context *context = context_with_threads(3);
  for (size_t m = 0; m < COUNT_OF(marks); m++)
    for (int64_t n = 0; n < feature_count; n++) {
      if (strncmp(features[n].name, "packed", 6) == 0) continue; /* not for a layer */
      call_marked(context, LARGE, marks[m]);
      check_layer(context, &features[n]);
    }
  attn_destroy(context);
}

/* The memory that a context gives back after calls that make its scratch grow, with a mark in them. */
static allocator returned_by(int32_t wipe, int32_t threads) {
  allocator self;
  attn_options options = allocator_options(&self, threads);
  options.wipe = wipe;
  self.fill = 1;
  attn_context *context = allocator_context(&options);
  call_marked(context, 0, marks[2]);
  call_marked(context, LARGE, marks[2]);
  assert_int_equal(self.returned, 1); /* the smaller scratch */
  assert_int_equal(self.wiped, wipe);
  attn_destroy(context);
  allocator_assert_balanced(&self);
  return self;
}

static void test_wiped_memory(void **state) {
  (void)state;
  for (int32_t threads = 1; threads <= 3; threads++) {
    const allocator wiped = returned_by(1, threads), left = returned_by(0, threads);
    assert_int_equal(wiped.returned, wiped.allocations);
    assert_int_equal(wiped.wiped, wiped.returned);
    assert_int_equal(left.wiped, 0);
  }
}

/* Also where there is no memory for what would take its place. */
static void test_wiped_memory_without_memory(void **state) {
  (void)state;
  allocator self;
  attn_options options = allocator_options(&self, 1);
  options.wipe = 1;
  attn_context *context = allocator_context(&options);
  call_marked(context, 0, marks[2]);
  self.fail_at = self.allocations;
  assert_int_equal(attn_global(context, &marked[LARGE].args), ATTN_ERROR_MEMORY);
  assert_int_equal(self.returned, 1);
  attn_destroy(context);
  assert_int_equal(self.wiped, self.returned);
  allocator_assert_balanced(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_marked_memory),
      cmocka_unit_test(test_marked_calls),
      cmocka_unit_test(test_marked_calls_before_pairs),
      cmocka_unit_test(test_marked_calls_before_layers),
      cmocka_unit_test(test_wiped_memory),
      cmocka_unit_test(test_wiped_memory_without_memory),
  };
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, open_marked, close_marked);
}
