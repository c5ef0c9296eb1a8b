/* test_extremes.c - numbers at the ends of float: scores up to 3e38, denormals, infinities and NaN in what is seen,
 * and outputs that stay between the smallest and the largest value.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>

#include "case.h"

enum { ROUNDS = 60 };

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

/* Several tiles; few queries, whose products are made in place; head sizes of 1, where a score is one product. */
static const case_spec shapes[] = {
    {.batch = 1, .heads_q = 2, .len_q = 70, .len_k = 150, .dim = 1, .dim_v = 9, .lse = 1, .weights = 1},
    {.batch = 1, .heads_q = 2, .len_q = 2, .len_k = 150, .dim = 1, .dim_v = 9, .lse = 1, .weights = 1},
};

/* Each number of a tensor becomes one of some. */
static void fill_from(tensor *t, const float *numbers, size_t count, random_source *source) {
  for (int64_t h = 0; h < t->heads; h++)
    for (int64_t row = 0; row < t->rows; row++)
      for (int64_t d = 0; d < t->width; d++)
        tensor_row(t, 0, h, row)[d] = numbers[random_between(source, 0, (int64_t)count - 1)];
}

static void open_round(attention_case *c, int64_t round, random_source *source) {
  *source = random_seeded(support_seed() + (uint64_t)round);
  support_round_begins(round);
  case_open(c, &shapes[round % 2], source);
  c->args.has_scale = 1;
  c->args.scale = 1;
}

static void close_round(attention_case *c) {
  support_round_ends();
  case_close(c);
}

/* Scores from -3.24e38 to 3.24e38, some the same and some denormal. */
static void test_large_scores(void **state) {
  (void)state;
  const float numbers[] = {0, -0.0f, 1, -1, 1e-45f, 1e-25f, 3e9f, -3e9f, 1e19f, -1e19f, 1.8e19f, -1.8e19f};
  for (int64_t round = 0; round < support_rounds(ROUNDS); round++) {
    random_source source;
    attention_case c;
    open_round(&c, round, &source);
    fill_from(&c.query, numbers, COUNT_OF(numbers), &source);
    fill_from(&c.key, numbers, COUNT_OF(numbers), &source);
    case_run(&c, context);
    case_check_promise(&c);
    close_round(&c);
  }
}

/* Values that are denormal, and some so large that no more keys of them could be added. */
static void test_values(void **state) {
  (void)state;
  const float small[] = {1e-45f, -1e-45f, 3e-42f, -1e-40f, 1e-38f, 0}, large[] = {1e36f, -1e36f, 1, 0};
  for (int64_t round = 0; round < support_rounds(ROUNDS); round++) {
    random_source source;
    attention_case c;
    open_round(&c, round, &source);
    if (random_once_in(&source, 2))
      fill_from(&c.value, small, COUNT_OF(small), &source);
    else
      fill_from(&c.value, large, COUNT_OF(large), &source);
    case_run(&c, context);
    case_check_promise(&c);
    close_round(&c);
  }
}

/* The first key has a score of 0 and a value of 0, the others this score and a value of 1e30. */
static void fill_faint(attention_case *c, float score) {
  for (int64_t h = 0; h < c->spec.heads_q; h++) {
    for (int64_t i = 0; i < c->spec.len_q; i++) tensor_row(&c->query, 0, h, i)[0] = score;
    for (int64_t j = 0; j < c->spec.len_k; j++) {
      tensor_row(&c->key, 0, h, j)[0] = j > 0;
      for (int64_t d = 0; d < c->spec.dim_v; d++) tensor_row(&c->value, 0, h, j)[d] = j > 0 ? 1e30f : 0;
    }
  }
}

/* 1 if each output is so large, but for roundings; 0 is 0. */
static int outputs_are(const attention_case *c, double expected) {
  for (int64_t h = 0; h < c->spec.heads_q; h++)
    for (int64_t i = 0; i < c->spec.len_q; i++)
      for (int64_t d = 0; d < c->spec.dim_v; d++)
        if (fabs((double)tensor_row(&c->output, 0, h, i)[d] - expected) > 4e-5 * expected) return 0;
  return 1;
}

/* Weights below exp(-80) of the largest are in no output, those above are. */
static void test_faint_weights(void **state) {
  (void)state;
  for (int64_t round = 0; round < 4; round++) {
    const float score = round < 2 ? -80.1f : -79.9f;
    random_source source;
    attention_case c;
    open_round(&c, round, &source);
    fill_faint(&c, score);
    case_run(&c, context);
    const double others = (double)(c.spec.len_k - 1) * 1e30 * exp((double)score);
    assert_true(outputs_are(&c, round < 2 ? 0 : others));
    close_round(&c);
  }
}

/* Sinks beside which all weights are denormal or 0, and values that are large enough to be there all the same. */
static void test_large_sinks(void **state) {
  (void)state;
  const float numbers[] = {0, 1, -1, 2}, large[] = {1e36f, -1e36f, 1, 0};
  const float sizes[] = {-INFINITY, -200, 80, 88, 89, 95, 103, 120, 150, 165, 200, 3e38f};
  for (int64_t round = 0; round < support_rounds(ROUNDS); round++) {
    random_source source;
    attention_case c;
    open_round(&c, round, &source);
    float sinks[2];
    for (int h = 0; h < 2; h++) sinks[h] = sizes[random_between(&source, 0, COUNT_OF(sizes) - 1)];
    c.args.sinks = sinks;
    fill_from(&c.query, numbers, COUNT_OF(numbers), &source);
    fill_from(&c.key, numbers, COUNT_OF(numbers), &source);
    fill_from(&c.value, large, COUNT_OF(large), &source);
    case_run(&c, context);
    case_check_promise(&c);
    close_round(&c);
  }
}

/* A few of the numbers of a tensor become such as are not finite. */
static void spoil(tensor *t, random_source *source) {
  const float specials[] = {NAN, INFINITY, -INFINITY};
  for (int64_t n = random_between(source, 0, 3); n > 0; n--)
    tensor_row(t, 0, random_between(source, 0, t->heads - 1),
               random_between(source, 0, t->rows - 1))[random_between(source, 0, t->width - 1)] =
        specials[random_between(source, 0, 2)];
}

/* In queries, keys and values, all of which are seen: NaN and infinity are where the formula has them. */
static void test_what_is_not_finite(void **state) {
  (void)state;
  for (int64_t round = 0; round < support_rounds(ROUNDS); round++) {
    random_source source;
    attention_case c;
    open_round(&c, round, &source);
    spoil(&c.query, &source);
    spoil(&c.key, &source);
    spoil(&c.value, &source);
    case_run(&c, context);
    case_check_promise(&c);
    close_round(&c);
  }
}

/* 1 if element d of a row's output is between the smallest and the largest value of a head, but for roundings. */
static int is_between(const attention_case *c, int64_t h, int64_t i, int64_t d) {
  double smallest = INFINITY, largest = -INFINITY;
  for (int64_t j = 0; j < c->args.len_k; j++) {
    const double value = (double)tensor_row(&c->value, 0, h, j)[d];
    smallest = fmin(smallest, value);
    largest = fmax(largest, value);
  }
  const double slack = 2e-6 * fmax(fabs(smallest), fabs(largest));
  const double output = (double)tensor_row(&c->output, 0, h, i)[d];
  return output >= smallest - slack && output <= largest + slack;
}

/* Whatever the scores, an output is an average. */
static void test_averages(void **state) {
  (void)state;
  const float sizes[] = {0, 1, 30, 1e3f, 1e18f, 3e37f};
  for (int64_t round = 0; round < support_rounds(ROUNDS); round++) {
    random_source source;
    attention_case c;
    open_round(&c, round, &source);
    c.args.scale = sizes[round / 2 % (int64_t)COUNT_OF(sizes)];
    case_run(&c, context);
    for (int64_t h = 0; h < c.spec.heads_q; h++)
      for (int64_t i = 0; i < c.spec.len_q; i++)
        for (int64_t d = 0; d < c.spec.dim_v; d++) assert_true(is_between(&c, h, i, d));
    close_round(&c);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(test_large_scores, support_print_seed),
      cmocka_unit_test_teardown(test_values, support_print_seed),
      cmocka_unit_test_teardown(test_faint_weights, support_print_seed),
      cmocka_unit_test_teardown(test_large_sinks, support_print_seed),
      cmocka_unit_test_teardown(test_what_is_not_finite, support_print_seed),
      cmocka_unit_test_teardown(test_averages, support_print_seed),
  };
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, open_context, close_context);
}
