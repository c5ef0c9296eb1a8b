/* test_context.c - the memory of a context: through the host's allocator, counted, guarded, and failing.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "allocator.h"
#include "case.h"

static const case_spec specs[] = {
    {.batch = 1, .heads_q = 1, .len_q = 3, .len_k = 5, .dim = 2, .weights = 1, .lse = 1},
    {.batch = 2,
     .heads_q = 8,
     .heads_kv = 2,
     .len_q = 130,
     .len_k = 140,
     .dim = 40,
     .dim_v = 24,
     .causal = 1,
     .causal_offset = 10,
     .weights = 1,
     .lse = 1,
     .value_layout = LAYOUT_BACKWARDS},
    {.batch = 1,
     .heads_q = 12,
     .heads_kv = 1,
     .len_q = 5,
     .len_k = 300,
     .dim = 128,
     .weights = 1,
     .lse = 1},
    {.batch = 1, .heads_q = 2, .len_q = 100, .len_k = 200, .dim = 600, .dim_v = 3, .causal = 1},
    {.batch = 1, .heads_q = 2, .len_q = 100, .len_k = 200, .dim = 3, .dim_v = 1000},
    {.batch = 1, .heads_q = 1, .len_q = 1, .len_k = 1, .dim = 1},
};

static void open_spec(attention_case *c, size_t n) {
  random_source source = random_seeded(support_seed());
  case_open(c, &specs[n], &source);
}

static void test_counts_are_balanced(void **state) {
  (void)state;
  allocator self;
  for (int32_t threads = 1; threads <= 4; threads++) {
    const attn_options options = allocator_options(&self, threads);
    attn_context *context = allocator_context(&options);
    assert_true(self.live_bytes > 0);
    attn_destroy(context);
    allocator_assert_balanced(&self);
  }
}

/* Scratch starts as NaN and ends at an unreadable page, and results are right. */
static void test_scratch_is_filled_before_it_is_read(void **state) {
  (void)state;
  allocator self;
  for (size_t n = 0; n < COUNT_OF(specs); n++)
    for (int32_t threads = 1; threads <= 3; threads += 2) {
      const attn_options options = allocator_options(&self, threads);
      attn_context *context = allocator_context(&options);
      attention_case c;
      open_spec(&c, n);
      case_run(&c, context);
      case_check(&c, 4e-6);
      case_close(&c);
      attn_destroy(context);
      allocator_assert_balanced(&self);
    }
}

static void test_explained_scratch_is_what_is_allocated(void **state) {
  (void)state;
  allocator self;
  for (size_t n = 0; n < COUNT_OF(specs); n++)
    for (int32_t threads = 1; threads <= 4; threads++) {
      const attn_options options = allocator_options(&self, threads);
      attn_context *context = allocator_context(&options);
      attn_plan plan = {.size = sizeof plan};
      attention_case c;
      open_spec(&c, n);
      const uint64_t before = self.live_bytes;
      assert_int_equal(attn_explain(context, &c.args, &plan), ATTN_OK);
      assert_int_equal(self.live_bytes, before);
      case_run(&c, context);
      assert_int_equal(self.live_bytes - before, plan.scratch_bytes);
      case_close(&c);
      attn_destroy(context);
    }
}

static void test_a_second_call_allocates_nothing(void **state) {
  (void)state;
  allocator self;
  const attn_options options = allocator_options(&self, 3);
  attn_context *context = allocator_context(&options);
  for (size_t n = 0; n < COUNT_OF(specs); n++) {
    attention_case c;
    open_spec(&c, n);
    case_run(&c, context);
    const int64_t before = self.allocations;
    case_run(&c, context);
    case_run(&c, context);
    assert_int_equal(self.allocations, before);
    case_close(&c);
  }
  const int64_t before = self.allocations; /* by now there is enough for each shape */
  for (size_t n = 0; n < COUNT_OF(specs); n++) {
    attention_case c;
    open_spec(&c, n);
    case_run(&c, context);
    case_check(&c, 4e-6);
    case_close(&c);
  }
  assert_int_equal(self.allocations, before);
  attn_destroy(context);
  allocator_assert_balanced(&self);
}

static void test_creation_without_memory(void **state) {
  (void)state;
  allocator self;
  attn_options options = allocator_options(&self, 4);
  attn_destroy(allocator_context(&options));
  const int64_t needed = self.allocations;
  for (int64_t n = 0; n < needed; n++) {
    attn_context *context = (attn_context *)(void *)&self;
    options = allocator_options(&self, 4);
    self.fail_at = n;
    assert_int_equal(attn_create(&context, &options), ATTN_ERROR_MEMORY);
    assert_null(context);
    assert_int_equal(strncmp(attn_last_error(NULL), "memory: ", 8), 0);
    allocator_assert_balanced(&self);
  }
}

/* Each allocation that a series of calls makes fails once: that call writes nothing, and works when it is
 * repeated. */
static void test_calls_without_memory(void **state) {
  (void)state;
  allocator self;
  const attn_options options = allocator_options(&self, 3);
  attn_context *context = allocator_context(&options);
  int64_t failures = 0;
  for (size_t n = 0; n < COUNT_OF(specs); n++) {
    attention_case c;
    open_spec(&c, n);
    self.fail_at = self.allocations;
    const int32_t status = attn_global(context, &c.args);
    if (status != ATTN_OK) {
      failures++;
      assert_int_equal(status, ATTN_ERROR_MEMORY);
      assert_int_equal(strncmp(attn_last_error(context), "memory: ", 8), 0);
      case_assert_untouched(&c);
    }
    case_run(&c, context);
    assert_string_equal(attn_last_error(context), "");
    case_check(&c, 4e-6);
    case_close(&c);
  }
  assert_true(failures > 0);
  attn_destroy(context);
  allocator_assert_balanced(&self);
}

/* The softmax needs no scratch at all. */
static void test_softmax_allocates_nothing(void **state) {
  (void)state;
  static float numbers[600 * 600];
  allocator self;
  const attn_options options = allocator_options(&self, 3);
  attn_context *context = allocator_context(&options);
  const attn_softmax_args args = {
      .size = sizeof args, .rows = 600, .cols = 600, .input = numbers, .output = numbers};
  assert_int_equal(attn_softmax(context, &args), ATTN_OK);
  const int64_t before = self.allocations;
  assert_int_equal(attn_softmax(context, &args), ATTN_OK);
  assert_int_equal(self.allocations, before);
  attn_destroy(context);
  allocator_assert_balanced(&self);
}

/* The attention of layers whose arrays are all in the same memory: sizes, and what else needs scratch. */
static const float zeros[1 << 16];
static const attn_args layers[] = {
    {.batch = 1, .heads_q = 1, .len_q = 1, .dim = 2},
    {.batch = 3, .heads_q = 4, .heads_kv = 2, .len_q = 70, .dim = 8, .dim_v = 6, .causal = 1},
    {.batch = 1, .heads_q = 8, .len_q = 300, .dim = 32, .score_function = 1, .score_weight = zeros},
    {.batch = 2,
     .heads_q = 2,
     .len_q = 100,
     .dim = 4,
     .has_window = 1,
     .window_left = 3,
     .predict_matrix = zeros,
     .predict_vector = zeros,
     .predict_dim = 9},
    {.batch = 2, .heads_q = 2, .len_q = 10, .dim = 4, .causal = 1, .offset = -10}, /* sees nothing */
    {.batch = 2, .heads_q = 2, .len_q = 0, .dim = 4},
    {.batch = 0, .heads_q = 2, .len_q = 10, .dim = 4},
};

static attn_self_args layer_of(size_t n, attn_args *attention) {
  static float output[1 << 16];
  *attention = layers[n];
  attention->size = sizeof *attention;
  attention->len_k = attention->len_q;
  return (attn_self_args){.size = sizeof(attn_self_args),
                          .attention = attention,
                          .dim_model = 16,
                          .x = zeros,
                          .output = output,
                          .weight_qkv = zeros,
                          .weight_o = zeros,
                          .rope = ATTN_ROPE_HALF};
}

static void test_explained_scratch_of_a_layer_is_what_is_allocated(void **state) {
  (void)state;
  allocator self;
  for (size_t n = 0; n < COUNT_OF(layers); n++)
    for (int32_t threads = 1; threads <= 4; threads++) {
      const attn_options options = allocator_options(&self, threads);
      attn_context *context = allocator_context(&options);
      attn_args attention;
      const attn_self_args args = layer_of(n, &attention);
      attn_plan plan = {.size = sizeof plan};
      const uint64_t before = self.live_bytes;
      assert_int_equal(attn_explain_self(context, &args, &plan), ATTN_OK);
      assert_int_equal(self.live_bytes, before);
      assert_string_equal(plan.path, n < 4 ? "tiled" : "empty");
      assert_true((plan.scratch_bytes == 0) == (n >= 5));
      assert_int_equal(attn_self(context, &args), ATTN_OK);
      assert_int_equal(self.live_bytes - before, plan.scratch_bytes);
      const int64_t allocations = self.allocations;
      assert_int_equal(attn_self(context, &args), ATTN_OK);
      assert_int_equal(self.allocations, allocations);
      attn_destroy(context);
    }
}

static void test_layers_without_memory(void **state) {
  (void)state;
  allocator self;
  const attn_options options = allocator_options(&self, 2);
  attn_context *context = allocator_context(&options);
  attn_args attention;
  const attn_self_args args = layer_of(1, &attention);
  args.output[0] = 7;
  self.fail_at = self.allocations;
  assert_int_equal(attn_self(context, &args), ATTN_ERROR_MEMORY);
  assert_int_equal(strncmp(attn_last_error(context), "memory: ", 8), 0);
  assert_true(args.output[0] == 7);
  assert_int_equal(attn_self(context, &args), ATTN_OK);
  assert_true(args.output[0] == 0);
  attn_destroy(context);
  allocator_assert_balanced(&self);
}

static void test_threads_leave_no_trace(void **state) {
  (void)state;
  const int before = count_threads();
  attn_context *context = context_with_threads(4);
  assert_int_equal(count_threads(), before); /* they start with the first call that needs them */
  attention_case c;
  open_spec(&c, 1);
  case_run(&c, context);
  assert_true((count_threads() > before) == context_multiplies_in_parallel());
  case_close(&c);
  attn_destroy(context);
  assert_int_equal(count_threads_at_rest(before), before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_counts_are_balanced),
      cmocka_unit_test(test_scratch_is_filled_before_it_is_read),
      cmocka_unit_test(test_explained_scratch_is_what_is_allocated),
      cmocka_unit_test(test_a_second_call_allocates_nothing),
      cmocka_unit_test(test_creation_without_memory),
      cmocka_unit_test(test_calls_without_memory),
      cmocka_unit_test(test_softmax_allocates_nothing),
      cmocka_unit_test(test_explained_scratch_of_a_layer_is_what_is_allocated),
      cmocka_unit_test(test_layers_without_memory),
      cmocka_unit_test(test_threads_leave_no_trace),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
