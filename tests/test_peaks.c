/* test_peaks.c - large scores: outputs are as exact as with small ones, where few scores are near the largest.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>

#include "feature.h"

static attn_context *one, *three;

static int open_contexts(void **state) {
  (void)state;
  one = context_with_threads(1);
  three = context_with_threads(3);
  return 0;
}

static int close_contexts(void **state) {
  (void)state;
  attn_destroy(one);
  attn_destroy(three);
  return 0;
}

/* Several tiles of one head and of several; few queries, multiplied in place; wide and narrow heads. */
static const case_spec shapes[] = {
    {.batch = 2, .heads_q = 2, .len_q = 130, .len_k = 600, .dim = 64, .key_layout = LAYOUT_ROW_MAJOR},
    {.batch = 1,
     .heads_q = 6,
     .heads_kv = 2,
     .len_q = 40,
     .len_k = 300,
     .dim = 33,
     .dim_v = 20,
     .query_layout = LAYOUT_PADDED,
     .key_layout = LAYOUT_MIXED},
    {.batch = 2, .heads_q = 4, .heads_kv = 2, .len_q = 2, .len_k = 700, .dim = 80, .lse = 1},
    {.batch = 1, .heads_q = 1, .len_q = 200, .len_k = 350, .dim = 20, .dim_v = 130},
};

/* What scores go through before the softmax sees them, what hides some, and what says where rows are. */
static const struct {
  const char *names[2];
} options[] = {
    {{NULL}},     {{"softcap"}},        {{"bias"}},        {{"alibi"}},      {{"offsets", "alibi"}},
    {{"window"}}, {{"causal"}},         {{"prefix"}},      {{"mask"}},       {{"query lengths"}},
    {{"sinks"}},  {{"packed queries"}}, {{"packed keys"}}, {{"key lengths"}}};

enum { PEAK = 30, PEAKS = 6 };

/* Numbers around the same one, a row's length from 0. */
static void point(float *row, int64_t width, float length, float spread, random_source *source) {
  for (int64_t d = 0; d < width; d++)
    row[d] = length / sqrtf((float)width) + spread * random_normal(source);
}

/* All queries and so many keys of each sequence, side by side or apart, point one way: their scores are near the peak, those
 * of other keys far below it. */
static void plant(attention_case *c, float peak, int64_t peaks, int64_t apart, random_source *source) {
  const float spread = 1.5f / peak;
  for (int64_t b = 0; b < c->query.batch; b++)
    for (int64_t h = 0; h < c->query.heads; h++)
      for (int64_t i = 0; i < c->query.rows; i++)
        point(tensor_row(&c->query, b, h, i), c->query.width, peak, 1, source);
  for (int64_t b = 0; b < c->args.batch; b++) {
    const naive_sequence s = naive_sequence_of(&c->args, b);
    for (int64_t h = 0; h < c->key.heads; h++)
      for (int64_t n = 0; n < peaks && n * apart < s.len_k; n++)
        point(tensor_row(&c->key, s.batch_k, h, s.first_k + n * apart), c->key.width,
              sqrtf((float)c->key.width), spread, source);
  }
}

/* ALiBi that takes little from a peak. */
static void set_slopes(attention_case *c) {
  float *slopes = case_array(c, c->spec.heads_q * (int64_t)sizeof *slopes);
  for (int64_t h = 0; h < c->spec.heads_q; h++) slopes[h] = 0.0005f * (float)(h + 1);
  c->args.alibi_slopes = slopes;
}

static void open_peaked(attention_case *c, const case_spec *shape, size_t option, random_source *source) {
  case_open(c, shape, source);
  for (size_t n = 0; n < COUNT_OF(options->names) && options[option].names[n]; n++)
    feature_apply(feature_named(options[option].names[n]), c, source);
  if (c->args.softcap > 0) c->args.softcap = 2 * PEAK;
  if (c->args.alibi_slopes) set_slopes(c);
  plant(c, PEAK, PEAKS, shape->len_k / PEAKS, source);
}

typedef double (*error_of_row)(const attention_case *c, int64_t b, int64_t h, int64_t i);

static double mean_error(const attention_case *c, error_of_row error) {
  double sum = 0;
  for (int64_t b = 0; b < c->spec.batch; b++)
    for (int64_t h = 0; h < c->spec.heads_q; h++)
      for (int64_t i = 0; i < c->spec.len_q; i++) sum += error(c, b, h, i);
  return sum / (double)(c->spec.batch * c->spec.heads_q * c->spec.len_q);
}

/* The largest error of a row's weights. */
static double weights_error(const attention_case *c, int64_t b, int64_t h, int64_t i) {
  naive_row row = naive_row_make(&c->args);
  double largest = 0;
  naive_attention(&c->args, b, h, i, &row);
  for (int64_t j = 0; j < c->spec.len_k; j++)
    largest = fmax(largest, fabs((double)tensor_row(&c->weights, b, h, i)[j] - row.weights[j]));
  naive_row_free(&row);
  return largest;
}

static void check_exact(const case_spec *shape, size_t option, random_source *source) {
  case_spec spec = *shape;
  attention_case c;
  spec.weights = 1;
  open_peaked(&c, &spec, option, source);
  case_run(&c, three);
  const double error = mean_error(&c, case_output_error), weights = mean_error(&c, weights_error);
  if (!(error < 8.5e-7 && weights < 3e-7))
    fail_msg("%s, %ld keys: mean errors of %g and, of weights, %g", c.name, (long)shape->len_k, error,
             weights);
  case_close(&c);
}

static void test_exact(void **state) {
  (void)state;
  random_source source = random_seeded(support_seed());
  for (size_t s = 0; s < COUNT_OF(shapes); s++)
    for (size_t o = 0; o < COUNT_OF(options); o++) check_exact(&shapes[s], o, &source);
}

/* However many peaks are in a tile, on either side of how many are made exact, weights of a row add up to 1. */
static void test_sums(void **state) {
  (void)state;
  const int64_t apart[] = {1, 20, 28, 40};
  random_source source = random_seeded(support_seed());
  for (size_t s = 0; s < COUNT_OF(shapes); s++)
    for (size_t n = 0; n < COUNT_OF(apart); n++)
      for (float peak = 30; peak < 1e5f; peak *= 30) {
        case_spec spec = shapes[s];
        attention_case c;
        spec.weights = 1;
        case_open(&c, &spec, &source);
        plant(&c, peak, 30, apart[n], &source);
        case_run(&c, three);
        for (int64_t i = 0; i < spec.len_q; i++) {
          double sum = 0;
          for (int64_t j = 0; j < spec.len_k; j++) sum += (double)tensor_row(&c.weights, 0, 0, i)[j];
          assert_true(fabs(sum - 1) < 1e-6);
        }
        case_close(&c);
      }
}

/* The same bits for any number of threads, and whatever else is wanted. */
static void test_bits(void **state) {
  (void)state;
  random_source source = random_seeded(support_seed());
  for (size_t s = 0; s < COUNT_OF(shapes); s++)
    for (size_t o = 0; o < COUNT_OF(options); o++) {
      case_spec spec = shapes[s];
      random_source again = source;
      attention_case a, b;
      open_peaked(&a, &spec, o, &source);
      spec.weights = 1;
      open_peaked(&b, &spec, o, &again);
      case_run(&a, one);
      case_run(&b, three);
      assert_int_equal(tensor_count_different(&a.output, &b.output), 0);
      case_close(&a);
      case_close(&b);
    }
}

/* Two products of 1e12, one of each sign, hide the others until the second is added. */
static void hide_products(tensor *t, float last, random_source *source) {
  for (int64_t row = 0; row < t->rows; row++) {
    float *x = tensor_row(t, 0, 0, row);
    for (int64_t d = 0; d < t->width; d++) x[d] = 100 * random_normal(source);
    x[0] = 1e6f;
    x[t->width - 1] = last;
  }
}

/* Products in float are off by thousands: then no score is made anew, as the next to it would be as wrong. */
static void test_wrong_scores(void **state) {
  (void)state;
  const case_spec spec = {
      .batch = 1, .heads_q = 1, .len_q = 70, .len_k = 50, .dim = 64, .has_scale = 1, .scale = 1};
  random_source source = random_seeded(support_seed());
  attention_case c;
  case_open(&c, &spec, &source);
  hide_products(&c.query, 1e6f, &source);
  hide_products(&c.key, -1e6f, &source);
  for (int64_t j = 0; j < spec.len_k; j++)
    for (int64_t d = 0; d < spec.dim; d++) tensor_row(&c.value, 0, 0, j)[d] = 1 + (float)(j % 2);
  case_run(&c, three);
  for (int64_t i = 0; i < spec.len_q; i++)
    for (int64_t d = 0; d < spec.dim; d++) {
      const float average = tensor_row(&c.output, 0, 0, i)[d];
      assert_true(average > 0.999f && average < 2.001f);
    }
  case_close(&c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(test_exact, support_print_seed),
      cmocka_unit_test_teardown(test_sums, support_print_seed),
      cmocka_unit_test_teardown(test_bits, support_print_seed),
      cmocka_unit_test_teardown(test_wrong_scores, support_print_seed),
  };
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, open_contexts, close_contexts);
}
