/* test_local.c - windows: their edges, around positions and around middles that are given or predicted.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>

#include "feature.h"

static attn_context *context;

static int open_context(void **state) {
  (void)state;
  context = context_with_threads(2);
  return 0;
}

static int close_context(void **state) {
  (void)state;
  attn_destroy(context);
  return 0;
}

static void open_local(attention_case *c, const case_spec *spec, random_source *source) {
  case_open(c, spec, source);
  c->local = 1;
  c->args.has_window = 1;
}

static void check(attention_case *c) {
  case_run(c, context);
  case_check_promise(c);
}

/* With and without the causal rule, a prefix and dilation. */
static void check_rules(attention_case *c) {
  for (int32_t causal = 0; causal < 2; causal++)
    for (int64_t prefix = 0; prefix < 3; prefix++)
      for (int64_t dilation = 0; dilation < 4; dilation++) {
        c->args.causal = causal;
        c->args.window_prefix = prefix;
        c->args.window_dilation = dilation;
        check(c);
      }
}

static void test_every_window(void **state) {
  (void)state;
  const case_spec spec = {
      .batch = 1, .heads_q = 1, .len_q = 3, .len_k = 5, .dim = 2, .weights = 1, .lse = 1};
  random_source source = random_seeded(support_seed());
  attention_case c;
  open_local(&c, &spec, &source);
  for (c.args.window_left = -1; c.args.window_left <= 3; c.args.window_left++)
    for (c.args.window_right = -1; c.args.window_right <= 3; c.args.window_right++)
      for (c.args.offset = -5; c.args.offset <= 7; c.args.offset++) check_rules(&c);
  case_close(&c);
}

/* The first and the last keys of windows at the edges of tiles; holes between a prefix and a window. */
static void check_windows_over_tiles(int64_t len_q, int64_t len_k) {
  const int64_t sides[] = {-1, 0, 1, 63, 64, 127, 128, 129};
  const case_spec spec = {.batch = 1,
                          .heads_q = 1,
                          .len_q = len_q,
                          .len_k = len_k,
                          .dim = 2,
                          .dim_v = 3,
                          .weights = 1,
                          .lse = 1};
  random_source source = random_seeded(support_seed());
  attention_case c;
  open_local(&c, &spec, &source);
  feature_apply(feature_named("masked scores"), &c, &source);
  for (size_t left = 0; left < COUNT_OF(sides); left++)
    for (size_t right = 0; right < COUNT_OF(sides); right++) {
      c.args.window_left = sides[left];
      c.args.window_right = sides[right];
      c.args.offset = random_between(&source, -5, len_k);
      c.args.window_prefix = random_once_in(&source, 2) ? random_between(&source, 0, 140) : 0;
      c.args.window_dilation = random_once_in(&source, 2) ? random_between(&source, 1, 3) : 0;
      c.args.causal = random_once_in(&source, 3);
      check(&c);
      case_check_alone(&c, context);
    }
  case_close(&c);
}

static void test_windows_over_tiles(void **state) {
  (void)state;
  check_windows_over_tiles(1, 500);
  check_windows_over_tiles(5, 400);
  check_windows_over_tiles(66, 390);
  check_windows_over_tiles(150, 600);
}

/* Tasks are runs of blocks (test_plan.c), and a block begins with keys that the one before it has met last and that are cut
 * already: just those that it sees, or more; some of their numbers are not finite. For many threads blocks are others. */
static void test_windows_over_blocks(void **state) {
  (void)state;
  const int64_t lefts[] = {100, 255, 256};
  const int32_t threads[] = {1, 16};
  const case_spec spec = {
      .batch = 1, .heads_q = 6, .len_q = 3072, .len_k = 3072, .dim = 32, .causal = 1, .lse = 1};
  random_source source = random_seeded(support_seed());
  attention_case c, again;
  open_local(&c, &spec, &source);
  source = random_seeded(support_seed());
  open_local(&again, &spec, &source);
  for (int64_t key = 500; key < 3072; key += 500)
    *tensor_row(&c.value, 0, 1, key) = *tensor_row(&again.value, 0, 1, key) = INFINITY;
  for (size_t left = 0; left < COUNT_OF(lefts); left++) {
    c.args.window_left = again.args.window_left = lefts[left];
    case_run(&c, context);
    if (lefts[left] == 255) case_check_promise(&c); /* which takes long */
    for (size_t n = 0; n < COUNT_OF(threads); n++) {
      attn_context *other = context_with_threads(threads[n]);
      case_run(&again, other);
      case_assert_same_bits(&again, &c);
      attn_destroy(other);
    }
  }
  case_close(&c);
  case_close(&again);
}

/* No sum of an offset and a side may overflow. */
static void test_ends_of_the_integers(void **state) {
  (void)state;
  const int64_t offsets[] = {INT64_MIN, INT64_MIN + 5, INT64_MAX - 5, INT64_MAX};
  const int64_t sides[] = {-1, 0, 3};
  const case_spec spec = {
      .batch = 1, .heads_q = 1, .len_q = 9, .len_k = 9, .dim = 2, .weights = 1, .lse = 1};
  random_source source = random_seeded(support_seed());
  attention_case c;
  open_local(&c, &spec, &source);
  for (size_t n = 0; n < COUNT_OF(offsets); n++)
    for (size_t left = 0; left < COUNT_OF(sides); left++)
      for (size_t right = 0; right < COUNT_OF(sides); right++)
        for (c.args.causal = 0; c.args.causal < 2; c.args.causal++) {
          c.args.offset = offsets[n];
          c.args.window_left = sides[left];
          c.args.window_right = sides[right];
          check(&c);
        }
  case_close(&c);
}

/* Sides and steps as long as can be; positions as far away as they can be. */
static void test_nothing_overflows(void **state) {
  (void)state;
  const int64_t most[] = {3, INT64_MAX - 1, INT64_MAX}, offsets[] = {INT64_MIN, -4, INT64_MAX};
  const case_spec spec = {.batch = 1, .heads_q = 1, .len_q = 9, .len_k = 9, .dim = 2, .lse = 1};
  const float slope = 0;
  random_source source = random_seeded(support_seed());
  attention_case c;
  open_local(&c, &spec, &source);
  c.args.alibi_slopes = &slope;
  for (size_t n = 0; n < COUNT_OF(offsets); n++)
    for (size_t side = 0; side < COUNT_OF(most); side++)
      for (size_t step = 0; step < COUNT_OF(most); step++) {
        c.args.offset = offsets[n];
        c.args.window_left = c.args.window_prefix = most[side];
        c.args.window_right = -1;
        c.args.window_dilation = most[step];
        case_run(&c, context);
        assert_int_equal(tensor_count_untouched(&c.output), 0);
        c.args.window_right = most[side];
        case_run(&c, context);
        assert_int_equal(tensor_count_untouched(&c.output), 0);
      }
  case_close(&c);
}

/* Positions that are far from all keys, and which keys are whole steps away from them all the same. */
static void test_long_steps(void **state) {
  (void)state;
  const float zeros[8] = {0}, value[8] = {1, 2, 4, 8, 16, 32, 64, 128};
  const struct {
    int64_t offset, step;
    float expected; /* all scores are the same */
  } tries[] = {
      {INT64_MIN, INT64_MAX, 0}, /* one before a whole number of steps: no key */
      {INT64_MAX, INT64_MAX, 1}, /* key 0 */
      {INT64_MIN, INT64_MAX / 2 + 1, 1}, {INT64_MIN, 4, (1 + 16) / 2.0f},
      {INT64_MAX, 4, (8 + 128) / 2.0f}, /* keys 3 and 7 */
  };
  for (size_t n = 0; n < COUNT_OF(tries); n++) {
    float output = canary();
    const attn_args args = {.size = sizeof args,
                            .batch = 1,
                            .heads_q = 1,
                            .len_q = 1,
                            .len_k = 8,
                            .dim = 1,
                            .query = zeros,
                            .key = zeros,
                            .value = value,
                            .output = &output,
                            .has_window = 1,
                            .window_left = -1,
                            .window_right = -1,
                            .window_dilation = tries[n].step,
                            .offset = tries[n].offset};
    assert_int_equal(attn_local(context, &args), ATTN_OK);
    assert_true(output == tries[n].expected);
  }
}

/* A query for each middle; windows that end at keys and between them. */
static void test_every_center(void **state) {
  (void)state;
  const case_spec spec = {
      .batch = 1, .heads_q = 1, .len_q = 53, .len_k = 7, .dim = 2, .weights = 1, .lse = 1};
  random_source source = random_seeded(support_seed());
  attention_case c;
  open_local(&c, &spec, &source);
  feature_apply(feature_named("centers"), &c, &source);
  for (int64_t i = 0; i < spec.len_q; i++) *tensor_row(&c.centers, 0, 0, i) = (float)i / 4 - 3;
  c.args.sigma = 1.5f;
  for (c.args.window_left = -1; c.args.window_left <= 8; c.args.window_left++)
    for (c.args.window_right = -1; c.args.window_right <= 8; c.args.window_right++)
      for (c.args.causal = 0; c.args.causal < 2; c.args.causal++)
        for (c.args.window_prefix = 0; c.args.window_prefix < 3; c.args.window_prefix++) check(&c);
  case_close(&c);
}

/* Middles that are no numbers, or too large for an integer. */
static void test_extreme_centers(void **state) {
  (void)state;
  const float centers[] = {INFINITY, -INFINITY, 3e38f, -3e38f, 1e19f, -1e19f, 20, NAN, -0.0f};
  case_spec spec = {.batch = 1, .heads_q = 2, .len_q = COUNT_OF(centers), .dim = 3, .weights = 1, .lse = 1};
  const char *const with[] = {"causal", "mask", "masking bias", "prefix", "sinks", "key lengths"};
  for (size_t n = 0; n < 2 * COUNT_OF(with); n++) {
    spec.len_k = n % 2 ? 48 : 41; /* a whole tile: what is written behind a row is in the next one */
    random_source source = random_seeded(support_seed());
    attention_case c;
    open_local(&c, &spec, &source);
    feature_apply(feature_named(with[n / 2]), &c, &source);
    feature_apply(feature_named("centers"), &c, &source);
    c.args.window_left = c.args.window_right = 4;
    for (int64_t h = 0; h < spec.heads_q; h++)
      for (int64_t i = 0; i < spec.len_q; i++) *tensor_row(&c.centers, 0, h, i) = centers[i];
    check(&c);
    case_close(&c);
  }
}

/* Luong's paper in one row: three equal scores, the Gaussian after the softmax, not renormalised. */
static void test_local_p_by_hand(void **state) {
  (void)state;
  const float zeros[5] = {0}, center = 2.25f;
  float weights[5], output, lse;
  const attn_args args = {.size = sizeof args,
                          .batch = 1,
                          .heads_q = 1,
                          .len_q = 1,
                          .len_k = 5,
                          .dim = 1,
                          .query = zeros,
                          .key = zeros,
                          .value = zeros,
                          .output = &output,
                          .weights = weights,
                          .lse = &lse,
                          .has_window = 1,
                          .window_left = 1,
                          .window_right = 1,
                          .centers = &center};
  assert_int_equal(attn_local(context, &args), ATTN_OK);
  for (int j = 0; j < 5; j++) {
    const double distance = j - 2.25, sigma = 0.5;
    const double expected = j == 2 || j == 3 ? exp(-distance * distance / (2 * sigma * sigma)) / 2 : 0;
    assert_true(fabs((double)weights[j] - expected) <= 1e-6);
  }
  assert_true(fabs((double)lse - log(2)) <= 1e-6);
}

/* Energies so large that the middle is the first key or the end of the sequence; each has its own length. */
static void test_predicted_ends(void **state) {
  (void)state;
  const case_spec spec = {
      .batch = 3, .heads_q = 2, .len_q = 70, .len_k = 90, .dim = 4, .weights = 1, .lse = 1};
  const float strengths[] = {0, 1, 60, -60, 2000, -2000};
  for (size_t n = 0; n < COUNT_OF(strengths); n++) {
    random_source source = random_seeded(support_seed());
    attention_case c;
    open_local(&c, &spec, &source);
    feature_apply(feature_named("key lengths"), &c, &source);
    c.args.window_left = c.args.window_right = 5;
    const float matrix[4] = {0, 0, 0, 0.5f};
    for (int64_t h = 0; h < 2; h++)
      for (int64_t b = 0; b < 3; b++)
        for (int64_t i = 0; i < spec.len_q; i++) tensor_row(&c.query, b, h, i)[3] = 30;
    c.args.predict_matrix = matrix;
    c.args.predict_vector = &strengths[n];
    c.args.predict_dim = 1;
    check(&c);
    case_close(&c);
  }
}

/* Predictions leave BLAS when they are done with it: more calls than may be in it at once come through. */
static void test_predictions_leave_blas(void **state) {
  (void)state;
  const attn_options options = {.size = sizeof options, .engine = ATTN_ENGINE_BLAS};
  attn_context *by_blas;
  if (attn_create(&by_blas, &options) != ATTN_OK) skip(); /* built without one */
  for (int call = 0; call < 100; call++) {
    const case_spec spec = {.batch = 1, .heads_q = 1, .len_q = 9, .len_k = 9, .dim = 4};
    random_source source = random_seeded(support_seed());
    attention_case c;
    case_open(&c, &spec, &source);
    feature_apply(feature_named("predicted centers"), &c, &source);
    case_run(&c, by_blas);
    case_close(&c);
  }
  attn_destroy(by_blas);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_window),           cmocka_unit_test(test_windows_over_tiles),
      cmocka_unit_test(test_windows_over_blocks),    cmocka_unit_test(test_ends_of_the_integers),
      cmocka_unit_test(test_nothing_overflows),      cmocka_unit_test(test_long_steps),
      cmocka_unit_test(test_every_center),           cmocka_unit_test(test_extreme_centers),
      cmocka_unit_test(test_local_p_by_hand),        cmocka_unit_test(test_predicted_ends),
      cmocka_unit_test(test_predictions_leave_blas),
  };
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, open_context, close_context);
}
