/* test_thirds.c - attention by products in thirds against the formulas in double: shapes, options, and numbers that thirds
 * cannot hold.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <string.h>

#include "context.h"
#include "feature.h"
#include "thirds_case.h"

enum { ROUNDS = 60, MOST_WORK = 15000000 };

static attn_context *one, *three; /* of so many threads, over the table that is checked */
static const attn__kernels *table;
static uint64_t opened; /* cases: each has numbers of its own */

static void open_contexts(const attn__kernels *kernels) {
  table = kernels;
  opened = 0;
  one = thirds_context(kernels, 1);
  three = thirds_context(kernels, 3);
}

static void close_contexts(void) {
  attn_destroy(one);
  attn_destroy(three);
}

/* What a test does to a case before it is run. */
typedef void (*case_change)(attention_case *c, const void *what, random_source *source);

/* Two cases of the same numbers. */
static void open_both(attention_case both[2], const case_spec *spec, case_change change, const void *what) {
  const uint64_t seed = support_seed() + opened++;
  for (int n = 0; n < 2; n++) {
    random_source source = random_seeded(seed);
    case_open(&both[n], spec, &source);
    if (change) change(&both[n], what, &source);
    if (both[n].name[0] == '\0') strcpy(both[n].name, table->name);
  }
}

static void close_both(attention_case both[2]) {
  case_close(&both[0]);
  case_close(&both[1]);
}

/* With one thread and with three: the same bits, which are right; and products in thirds, if any. */
static void run_both(attention_case both[2]) {
  thirds_count_from_zero();
  case_run(&both[0], three);
  const int made = thirds_counted();
  case_run(&both[1], one);
  const int64_t unseeing = case_check_promise(&both[0]);
  if (unseeing < both[0].args.batch * both[0].args.heads_q * both[0].args.len_q) assert_true(made > 0);
  case_assert_same_bits(&both[0], &both[1]);
  case_check_alone(&both[0], three);
}

static void check_case(const case_spec *spec, case_change change, const void *what) {
  attention_case both[2];
  open_both(both, spec, change, what);
  run_both(both);
  close_both(both);
}

static const int64_t dims[] = {24, 31, 33, 65, 80, 130}, dims_v[] = {1, 15, 17, 64, 130};
static const int64_t lengths[] = {1, 2, 31, 32, 33, 95, 128, 200, 257, 600};

static void check_sizes(const attn__kernels *kernels) {
  open_contexts(kernels);
  size_t n = 0;
  for (size_t d = 0; d < COUNT_OF(dims); d++)
    for (size_t v = 0; v < COUNT_OF(dims_v); v++)
      for (int causal = 0; causal < 2; causal++, n += 3) {
        const int64_t len_k = lengths[n % COUNT_OF(lengths)], len_q = 128 + (int64_t)n % 77;
        check_case(&(case_spec){.batch = 1,
                                .heads_q = 2,
                                .len_q = len_q,
                                .len_k = len_k,
                                .dim = dims[d],
                                .dim_v = dims_v[v],
                                .causal = causal,
                                .causal_offset = len_k - len_q,
                                .lse = causal},
                   NULL, NULL);
      }
  close_contexts();
}

static void test_sizes(void **state) {
  (void)state;
  thirds_for_each(check_sizes);
}

static void check_lengths(const attn__kernels *kernels) {
  open_contexts(kernels);
  for (int64_t len_k = 1; len_k <= 600; len_k += len_k < 70 ? 3 : 41) {
    check_case(&(case_spec){.batch = 1, .heads_q = 1, .len_q = 130, .len_k = len_k, .dim = 64, .lse = 1},
               NULL, NULL);
    assert_true(thirds_counted_beside() > 0);
  }
  close_contexts();
}

static void test_lengths(void **state) {
  (void)state;
  thirds_for_each(check_lengths);
}

/* Left, right, where the first position is, and the prefix. */
static void set_window(attention_case *c, const void *what, random_source *source) {
  const int64_t *window = what;
  (void)source;
  c->args.has_window = 1;
  c->args.window_left = window[0];
  c->args.window_right = window[1];
  c->args.offset = window[2];
  c->args.window_prefix = window[3];
}

static void check_windows(const attn__kernels *kernels) {
  /* In the last two, parts of a tile see nothing of keys that others do. */
  const int64_t windows[][4] = {{7, -1, 0},  {-1, 5, 0},       {33, 17, 11}, {101, 0, 150},
                                {0, 3, 40},  {255, 31, 1},     {16, 16, -9}, {63, 65, 77},
                                {-1, -1, 3}, {1000, 200, 200}, {20, 10, 90}, {30, 0, 200, 20}};
  case_spec spec = {.batch = 1, .heads_q = 2, .len_q = 200, .len_k = 401, .dim = 31, .dim_v = 33, .lse = 1};
  open_contexts(kernels);
  for (size_t n = 0; n < COUNT_OF(windows); n++)
    for (spec.causal = 0; spec.causal < 2; spec.causal++)
      for (spec.weights = 0; spec.weights < 2; spec.weights++) check_case(&spec, set_window, windows[n]);
  close_contexts();
}

static void test_windows(void **state) {
  (void)state;
  thirds_for_each(check_windows);
}

/* Heads in a tile of their own, several in one, and padding. */
static const case_spec shapes[] = {
    {.batch = 1, .heads_q = 2, .len_q = 150, .len_k = 300, .dim = 24, .dim_v = 17, .lse = 1},
    {.batch = 3,
     .heads_q = 8,
     .heads_kv = 1,
     .len_q = 21,
     .len_k = 130,
     .dim = 33,
     .dim_v = 65,
     .key_layout = LAYOUT_ROW_MAJOR,
     .output_layout = LAYOUT_MIXED},
    {.batch = 3,
     .heads_q = 4,
     .heads_kv = 2,
     .len_q = 67,
     .len_k = 290,
     .dim = 64,
     .weights = 1,
     .lse = 1,
     .value_layout = LAYOUT_BACKWARDS},
};

/* Features that come to be on, NULL: none; and up to so many numbers that are no ordinary ones. */
typedef struct options {
  const feature *on[3];
  int64_t specials;
} options;

/* Other score functions are not multiplied in thirds. */
static int is_for_thirds(const feature *f) {
  return strcmp(f->name, "general") != 0 && strcmp(f->name, "additive") != 0;
}

static const float rare[] = {NAN, INFINITY, -INFINITY, 1e25f, -1e25f, 1e-33f, 1e-40f, -1e-45f};

static void apply_options(attention_case *c, const void *what, random_source *source) {
  const options *o = what;
  tensor *inputs[] = {&c->query, &c->key, &c->value};
  for (size_t n = 0; n < COUNT_OF(o->on); n++)
    if (o->on[n]) feature_apply(o->on[n], c, source);
  for (int64_t n = 0; n < o->specials; n++) {
    const tensor *t = inputs[random_between(source, 0, 2)];
    if (t->rows == 0) continue;
    float *row =
        tensor_row(t, random_between(source, 0, t->batch - 1), random_between(source, 0, t->heads - 1),
                   random_between(source, 0, t->rows - 1));
    row[random_between(source, 0, t->width - 1)] = rare[random_between(source, 0, COUNT_OF(rare) - 1)];
  }
}

static void check_features(const attn__kernels *kernels) {
  open_contexts(kernels);
  for (size_t n = 0; n < COUNT_OF(shapes); n++)
    for (int64_t f = 0; f < feature_count; f++) {
      const options alone = {.on = {&features[f]}};
      if (is_for_thirds(&features[f])) check_case(&shapes[n], apply_options, &alone);
    }
  close_contexts();
}

static void test_features(void **state) {
  (void)state;
  thirds_for_each(check_features);
}

static case_spec random_shape(random_source *source) {
  case_spec spec = {.batch = random_between(source, 1, 3), .heads_kv = random_between(source, 1, 2)};
  do {
    const int64_t group = random_between(source, 1, random_once_in(source, 2) ? 2 : 9);
    spec.heads_q = spec.heads_kv * group;
    spec.len_q = (127 + group) / group + random_between(source, 0, 100);
    spec.len_k = random_between(source, 1, 600);
    spec.dim = dims[random_between(source, 0, COUNT_OF(dims) - 1)];
    spec.dim_v = dims_v[random_between(source, 0, COUNT_OF(dims_v) - 1)];
  } while (spec.batch * spec.heads_q * spec.len_q * spec.len_k * (spec.dim + spec.dim_v) > MOST_WORK);
  spec.lse = random_once_in(source, 2);
  spec.query_layout = (tensor_layout)random_between(source, 0, LAYOUT_OUTPUTS - 1);
  spec.key_layout = (tensor_layout)random_between(source, 0, LAYOUT_OUTPUTS - 1);
  spec.value_layout = (tensor_layout)random_between(source, 0, LAYOUT_OUTPUTS - 1);
  spec.output_layout = (tensor_layout)random_between(source, 0, LAYOUT_OUTPUTS - 1);
  spec.side = random_once_in(source, 2) ? GUARD_BEFORE : GUARD_AFTER;
  return spec;
}

/* Some that go with each other, in the order of the table. */
static void choose(const feature *on[3], random_source *source) {
  do
    for (int n = 0; n < 3; n++) on[n] = &features[random_between(source, 0, feature_count - 1)];
  while (on[0] >= on[1] || on[1] >= on[2] || !feature_agrees(on[0], on[1]) ||
         !feature_agrees(on[0], on[2]) || !feature_agrees(on[1], on[2]) || !is_for_thirds(on[0]) ||
         !is_for_thirds(on[1]) || !is_for_thirds(on[2]));
}

static void check_random(const attn__kernels *kernels) {
  const int64_t rounds = support_rounds(ROUNDS);
  open_contexts(kernels);
  for (int64_t round = 0; round < rounds; round++) {
    random_source source = random_seeded(support_seed() + (uint64_t)round);
    options o = {.specials = random_once_in(&source, 2) ? 0 : random_between(&source, 1, 3)};
    support_round_begins(round);
    opened = (uint64_t)round;
    const case_spec spec = random_shape(&source);
    choose(o.on, &source);
    check_case(&spec, apply_options, &o);
    support_round_ends();
  }
  close_contexts();
}

static void test_random_threes(void **state) {
  (void)state;
  thirds_for_each(check_random);
}

/* Each number of some inputs becomes one of some. */
typedef struct filling {
  int query, key, value;
  int64_t count;
  float numbers[8];
} filling;

static void fill_tensor(const tensor *t, const filling *f, random_source *source) {
  for (int64_t b = 0; b < t->batch; b++)
    for (int64_t h = 0; h < t->heads; h++)
      for (int64_t row = 0; row < t->rows; row++)
        for (int64_t d = 0; d < t->width; d++)
          tensor_row(t, b, h, row)[d] = f->numbers[random_between(source, 0, f->count - 1)];
}

static void fill(attention_case *c, const void *what, random_source *source) {
  const filling *f = what;
  if (f->query) fill_tensor(&c->query, f, source);
  if (f->key) fill_tensor(&c->key, f, source);
  if (f->value) fill_tensor(&c->value, f, source);
}

/* Denormal numbers, tiny and large ones alone and among others, and such as are at the limits. */
static void check_fillings(const attn__kernels *kernels) {
  const filling fillings[] = {
      {1, 0, 0, 6, {1e-45f, -1e-45f, 3e-42f, -1e-40f, 1e-38f, 0}},
      {0, 1, 0, 6, {1e-45f, -1e-45f, 3e-42f, -1e-40f, 1e-38f, 0}},
      {0, 0, 1, 6, {1e-45f, -1e-45f, 3e-42f, -1e-40f, 1e-38f, 0}},
      {1, 1, 1, 6, {1e-45f, -1e-45f, 3e-42f, -1e-40f, 1e-38f, 0}},
      {1, 1, 1, 2, {1e-33f, -1e-33f}},
      {1, 1, 1, 7, {1, -2, 0.5f, 1e-33f, -1e-40f, 1e-45f, 0}},
      {0, 0, 1, 8, {1, -2, 0.5f, 1e-33f, -1e-40f, 1e-45f, 0, 3e-31f}},
      {0, 0, 1, 5, {1e36f, -1e36f, 1, 0, 1e-36f}},
      {0, 0, 1, 4, {0x1p-100f, -0x1p-100f, 0x0.ffffffp-100f, -0x1.fffffep-101f}},
      {1, 1, 0, 5, {0x1p60f, -0x1p60f, 0x1.01p60f, 1, 0}},
      {1, 0, 0, 4, {1e25f, -1e25f, 1, -1}},
      {0, 1, 0, 4, {1e25f, -1e25f, 1, -1}},
      {1, 1, 1, 3, {0, -0.0f, 1}},
  };
  case_spec spec = {.batch = 1,
                    .heads_q = 4,
                    .heads_kv = 2,
                    .len_q = 67,
                    .len_k = 150,
                    .dim = 33,
                    .dim_v = 17,
                    .causal_offset = 80,
                    .weights = 1,
                    .lse = 1};
  open_contexts(kernels);
  for (size_t f = 0; f < COUNT_OF(fillings); f++)
    for (spec.causal = 0; spec.causal < 2; spec.causal++) check_case(&spec, fill, &fillings[f]);
  close_contexts();
}

static void test_fillings(void **state) {
  (void)state;
  thirds_for_each(check_fillings);
}

/* The score of key 0 is 0, that of the others is given, and so is their value beside its value of 0. */
typedef struct faint {
  float score, value;
} faint;

static void make_faint(attention_case *c, const void *what, random_source *source) {
  const faint *f = what;
  (void)source;
  for (int64_t i = 0; i < c->args.len_q; i++)
    for (int64_t d = 0; d < c->args.dim; d++) tensor_row(&c->query, 0, 0, i)[d] = d == 5;
  for (int64_t j = 0; j < c->args.len_k; j++)
    for (int64_t d = 0; d < c->args.dim; d++) {
      tensor_row(&c->key, 0, 0, j)[d] = d == 5 && j > 0 ? f->score : 0;
      tensor_row(&c->value, 0, 0, j)[d] = j > 0 ? f->value : 0;
    }
}

/* Outputs may be denormal, with the error of such, but no more is lost; weights below the limit are 0. */
static void check_faint(const attn__kernels *kernels) {
  const float values[] = {1, -0.75f, 1e-10f, 1e-30f, -1e15f, 3e16f, 1e36f};
  const case_spec spec = {
      .batch = 1, .heads_q = 1, .len_q = 128, .len_k = 40, .dim = 32, .has_scale = 1, .scale = 1};
  open_contexts(kernels);
  for (size_t v = 0; v < COUNT_OF(values); v++)
    for (float score = -5; score > -120; score -= 5) {
      attention_case both[2];
      open_both(both, &spec, make_faint, &(faint){score, values[v]});
      case_run(&both[0], three);
      case_run(&both[1], one);
      case_assert_same_bits(&both[0], &both[1]);
      const double weight = score < ATTN__WEIGHT_LIMIT ? 0 : exp((double)score);
      const double others = weight * (double)(spec.len_k - 1);
      const double expected = others * (double)values[v] / (1 + others);
      const double most = 4e-6 * fabs(expected) * fmax(1, (double)-score / 5);
      const double lost = 0x1p-149 * (1 + fabs((double)values[v]));
      for (int64_t d = 0; d < spec.dim; d++) {
        const double got = (double)tensor_row(&both[0].output, 0, 0, 7)[d];
        assert_true(fabs(got - expected) <= most + (double)spec.len_k * lost);
      }
      close_both(both);
    }
  close_contexts();
}

static void test_faint(void **state) {
  (void)state;
  thirds_for_each(check_faint);
}

/* One number of an input, and what it becomes. */
typedef enum place { IN_QUERY, IN_KEY, IN_VALUE, PLACES } place;
typedef struct spot {
  place place;
  int64_t b, h, row, d;
  float number;
} spot;

static void spoil(const attention_case *c, const spot *s) {
  const tensor *inputs[] = {&c->query, &c->key, &c->value};
  tensor_row(inputs[s->place], s->b, s->h, s->row)[s->d] = s->number;
}

/* There are numbers that cannot be held already: what becomes of their rows is not to depend on others either. */
static void apply_with_rare(attention_case *c, const void *what, random_source *source) {
  apply_options(c, what, source);
  spoil(c, &(spot){IN_QUERY, 0, 0, 3, 2, 0x1.01p60f});
  spoil(c, &(spot){IN_KEY, 0, 1, 5, 1, -0x1.01p60f});
  spoil(c, &(spot){IN_VALUE, 0, 0, 7, 0, 1e-40f});
}

/* 1 if a query has anything to do with it. */
static int meets(const attention_case *c, const spot *s, const int64_t at[3]) {
  if (at[0] != s->b) return 0;
  if (s->place == IN_QUERY) return at[1] == s->h && at[2] == s->row;
  const int64_t group = c->args.heads_q / c->args.heads_kv;
  return at[1] / group == s->h && naive_sees(&c->args, at[0], at[1], at[2], s->row);
}

/* How many numbers of the results of a query differ although they have nothing to do with the spot. */
static int64_t count_changed(const attention_case *a, const attention_case *b, const spot *s,
                             const int64_t at[3]) {
  const float *x = tensor_row(&a->output, at[0], at[1], at[2]),
              *y = tensor_row(&b->output, at[0], at[1], at[2]);
  const int met = meets(a, s, at);
  int64_t changed = 0;
  if (met && s->place != IN_VALUE) return 0;
  for (int64_t d = 0; d < a->output.width; d++)
    if (!met || d != s->d) changed += bits_of(x[d]) != bits_of(y[d]);
  changed += count_different(a->weights.width, tensor_row(&a->weights, at[0], at[1], at[2]),
                             tensor_row(&b->weights, at[0], at[1], at[2]));
  return changed + count_different(1, tensor_row(&a->lse, at[0], at[1], at[2]),
                                   tensor_row(&b->lse, at[0], at[1], at[2]));
}

/* clean: what there is without the spot. */
static void check_spot(const attention_case *clean, const case_spec *spec, const options *o,
                       const spot *s) {
  attention_case both[2];
  int64_t changed = 0;
  opened = 0;
  open_both(both, spec, apply_with_rare, o);
  spoil(&both[0], s);
  spoil(&both[1], s);
  run_both(both);
  for (int64_t b = 0; b < spec->batch; b++)
    for (int64_t h = 0; h < spec->heads_q; h++)
      for (int64_t i = 0; i < spec->len_q; i++)
        changed += count_changed(clean, &both[0], s, (int64_t[3]){b, h, i});
  if (changed > 0)
    fail_msg("%s: %g in element %ld of row %ld of input %d changes %ld numbers elsewhere", both[0].name,
             (double)s->number, (long)s->d, (long)s->row, (int)s->place, (long)changed);
  close_both(both);
}

/* Whatever a number is, results that have nothing to do with it have the same bits; and the others are right. */
static void check_spots(const attn__kernels *kernels) {
  const float numbers[] = {
      INFINITY,  -INFINITY, NAN,   float_of(0x7fffffff), 3e38f, -3e38f, 1e25f, 0x1.01p60f, 0x1p60f, 1e-33f,
      0x1p-101f, 1e-40f,    1e-45f};
  const char *const features_on[] = {"offset",       "causal",       "window",
                                     "mask of keys", "masking bias", "key lengths"};
  const case_spec specs[] = {
      {.batch = 2, .heads_q = 4, .heads_kv = 2, .len_q = 70, .len_k = 140, .dim = 33, .dim_v = 17},
      {.batch = 1, .heads_q = 14, .heads_kv = 2, .len_q = 20, .len_k = 100, .dim = 24, .dim_v = 33},
  };
  random_source source = random_seeded(support_seed());
  open_contexts(kernels);
  for (size_t f = 0; f < COUNT_OF(features_on); f++) {
    const options o = {.on = {feature_named(features_on[f])}};
    case_spec spec = specs[f % COUNT_OF(specs)];
    attention_case clean[2];
    spec.weights = spec.lse = 1;
    opened = 0;
    open_both(clean, &spec, apply_with_rare, &o);
    run_both(clean);
    for (size_t n = 0; n < COUNT_OF(numbers); n++) {
      spot s = {(place)((n + f) % PLACES), random_between(&source, 0, spec.batch - 1),
                .number = numbers[n]};
      s.h = random_between(&source, 0, (s.place == IN_QUERY ? spec.heads_q : spec.heads_kv) - 1);
      s.row = random_between(&source, 0, (s.place == IN_QUERY ? spec.len_q : spec.len_k) - 1);
      s.d = random_between(&source, 0, (s.place == IN_VALUE ? spec.dim_v : spec.dim) - 1);
      check_spot(&clean[0], &spec, &o, &s);
    }
    close_both(clean);
  }
  close_contexts();
}

static void test_spots(void **state) {
  (void)state;
  thirds_for_each(check_spots);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sizes),
      cmocka_unit_test(test_lengths),
      cmocka_unit_test(test_windows),
      cmocka_unit_test(test_features),
      cmocka_unit_test_teardown(test_random_threes, support_print_seed),
      cmocka_unit_test(test_fillings),
      cmocka_unit_test(test_faint),
      cmocka_unit_test(test_spots),
  };
  const int skipped = thirds_skip_missing();
  return skipped ? skipped : cmocka_run_group_tests(tests, NULL, NULL);
}
