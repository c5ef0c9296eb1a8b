/* test_scratch.c - with every option on in turn: scratch is filled before it is read, is as large as explained,
 * is kept for the next call, and does not grow with the square of the length.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "allocator.h"
#include "feature.h"
#include "layer.h"

static const case_spec shapes[] = {
    {.batch = 2, .heads_q = 4, .heads_kv = 2, .len_q = 70, .len_k = 140, .dim = 9, .dim_v = 12, .lse = 1},
    {.batch = 2, .heads_q = 6, .heads_kv = 2, .len_q = 1, .len_k = 150, .dim = 8, .lse = 1},
    {.batch = 2, .heads_q = 4, .heads_kv = 2, .len_q = 70, .len_k = 140, .dim = 33, .dim_v = 40, .lse = 1},
};

static const layer_spec layer_shape = {.batch = 2,
                                       .heads_q = 4,
                                       .heads_kv = 2,
                                       .len = 40,
                                       .dim = 6,
                                       .dim_model = 20,
                                       .biases = 15,
                                       .project = 1,
                                       .rope = ATTN_ROPE_HALF};

static void open_feature(attention_case *c, const case_spec *shape, const feature *f) {
  random_source source = random_seeded(support_seed());
  case_open(c, shape, &source);
  feature_apply(f, c, &source);
}

/* The first call allocates what is explained, where that can be asked, and the second nothing. */
static void check_feature(const case_spec *shape, const feature *f, int32_t threads) {
  allocator self;
  const attn_options options = allocator_options(&self, threads);
  attn_context *context = allocator_context(&options);
  attn_plan plan = {.size = sizeof plan};
  attention_case c;
  open_feature(&c, shape, f);
  const uint64_t before = self.live_bytes;
  assert_int_equal(attn_explain(context, &c.args, &plan), ATTN_OK);
  case_run(&c, context);
  if (self.live_bytes - before != plan.scratch_bytes)
    fail_msg("%s: %lu bytes of scratch, explained were %lu", c.name,
             (unsigned long)(self.live_bytes - before), (unsigned long)plan.scratch_bytes);
  case_check_promise(&c); /* scratch starts as NaN */
  const int64_t allocations = self.allocations;
  case_run(&c, context);
  assert_int_equal(self.allocations, allocations);
  case_close(&c);
  attn_destroy(context);
  allocator_assert_balanced(&self);
}

static void test_attention(void **state) {
  (void)state;
  for (size_t shape = 0; shape < COUNT_OF(shapes); shape++)
    for (int64_t n = 0; n < feature_count; n++)
      for (int32_t threads = 1; threads <= 3; threads += 2)
        check_feature(&shapes[shape], &features[n], threads);
}

static int is_packed(const feature *f) {
  return strncmp(f->name, "packed", 6) == 0;
}

static void check_layer(const feature *f, int32_t threads) {
  allocator self;
  const attn_options options = allocator_options(&self, threads);
  attn_context *context = allocator_context(&options);
  random_source source = random_seeded(support_seed());
  layer_case c;
  layer_open(&c, &layer_shape, &source);
  feature_apply(f, &c.options, &source);
  layer_run(&c, context);
  layer_check(&c);
  const int64_t allocations = self.allocations;
  layer_run(&c, context);
  assert_int_equal(self.allocations, allocations);
  layer_close(&c);
  attn_destroy(context);
  allocator_assert_balanced(&self);
}

static void test_layers(void **state) {
  (void)state;
  for (int64_t n = 0; n < feature_count; n++)
    for (int32_t threads = 1; threads <= 3; threads += 2)
      if (!is_packed(&features[n])) check_layer(&features[n], threads);
}

/* The scratch that is explained for a length, with a feature on. */
static uint64_t explained(attn_context *context, int64_t len, const feature *f) {
  const case_spec shape = {.batch = 1, .heads_q = 2, .heads_kv = 1, .len_q = len, .len_k = len, .dim = 8};
  attn_plan plan = {.size = sizeof plan};
  attention_case c;
  open_feature(&c, &shape, f);
  assert_int_equal(attn_explain(context, &c.args, &plan), ATTN_OK);
  case_close(&c);
  return plan.scratch_bytes;
}

/* From 512 rows to 1024 one matrix of scores grows by three times so much. */
static const int64_t most_growth = 1 << 20;

/* Nobody holds all scores. */
static void test_growth(void **state) {
  (void)state;
  attn_context *context = context_with_threads(2);
  for (int64_t n = 0; n < feature_count; n++) {
    const uint64_t less = explained(context, 512, &features[n]),
                   more = explained(context, 1024, &features[n]);
    if ((int64_t)(more - less) > most_growth)
      fail_msg("%s: scratch grows from %lu bytes to %lu", features[n].name, (unsigned long)less,
               (unsigned long)more);
  }
  attn_destroy(context);
}

/* Beside windows this wide, tiles have parts, some of which see nothing of the first keys that a tile meets. */
static void test_parts_of_tiles(void **state) {
  (void)state;
  allocator self;
  const attn_options options = allocator_options(&self, 1);
  attn_context *context = allocator_context(&options);
  for (int64_t left = 1000; left < 1064; left += 9) {
    const case_spec shape = {
        .batch = 1, .heads_q = 1, .len_q = 1344, .len_k = 1344, .dim = left % 2 ? 4 : 24};
    random_source source = random_seeded(support_seed());
    attention_case c;
    case_open(&c, &shape, &source);
    c.local = c.args.has_window = 1;
    c.args.window_left = left;
    case_run(&c, context);
    case_check_promise(&c); /* scratch starts as NaN */
    case_close(&c);
  }
  attn_destroy(context);
}

/* What a context allocates for a layer of a length. */
static uint64_t used_by_layer(int64_t len) {
  allocator self;
  const attn_options options = allocator_options(&self, 2);
  attn_context *context = allocator_context(&options);
  const uint64_t before = self.live_bytes;
  random_source source = random_seeded(support_seed());
  layer_spec spec = layer_shape;
  layer_case c;
  spec.len = len;
  layer_open(&c, &spec, &source);
  layer_run(&c, context);
  const uint64_t used = self.live_bytes - before;
  layer_close(&c);
  attn_destroy(context);
  return used;
}

static void test_growth_of_layers(void **state) {
  (void)state;
  assert_true((int64_t)(used_by_layer(1024) - used_by_layer(512)) <= most_growth);
}

/* A call whose memory cannot be had says so and writes nothing, and works when it is repeated. */
static void test_local_without_memory(void **state) {
  (void)state;
  allocator self;
  const attn_options options = allocator_options(&self, 3);
  attn_context *context = allocator_context(&options);
  attention_case c;
  open_feature(&c, &shapes[0], feature_named("predicted centers"));
  self.fail_at = self.allocations;
  assert_int_equal(attn_local(context, &c.args), ATTN_ERROR_MEMORY);
  assert_int_equal(strncmp(attn_last_error(context), "memory: ", 8), 0);
  case_assert_untouched(&c);
  case_run(&c, context);
  case_check_promise(&c);
  case_close(&c);
  attn_destroy(context);
  allocator_assert_balanced(&self);
}

static void test_layer_without_memory(void **state) {
  (void)state;
  allocator self;
  const attn_options options = allocator_options(&self, 3);
  attn_context *context = allocator_context(&options);
  random_source source = random_seeded(support_seed());
  layer_case c;
  layer_open(&c, &layer_shape, &source);
  self.fail_at = self.allocations;
  assert_int_equal(layer_call(&c, context), ATTN_ERROR_MEMORY);
  assert_int_equal(strncmp(attn_last_error(context), "memory: ", 8), 0);
  case_assert_untouched(&c.options);
  layer_run(&c, context);
  layer_check(&c);
  layer_close(&c);
  attn_destroy(context);
  allocator_assert_balanced(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_attention),
      cmocka_unit_test(test_layers),
      cmocka_unit_test(test_parts_of_tiles),
      cmocka_unit_test(test_growth),
      cmocka_unit_test(test_growth_of_layers),
      cmocka_unit_test(test_local_without_memory),
      cmocka_unit_test(test_layer_without_memory),
  };
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, NULL, NULL);
}
