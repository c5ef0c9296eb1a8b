/* test_poison.c - with every option on in turn: NaN, infinity and garbage in what any rule hides change no
 * bit.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <stdlib.h>

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

static const case_spec shapes[] = {
    {.batch = 3, .heads_q = 4, .heads_kv = 2, .len_q = 7, .len_k = 19, .dim = 5, .dim_v = 9, .lse = 1},
    {.batch = 1, .heads_q = 1, .len_q = 67, .len_k = 137, .dim = 3, .dim_v = 17, .lse = 1},
    {.batch = 2, .heads_q = 6, .heads_kv = 2, .len_q = 1, .len_k = 150, .dim = 8, .dim_v = 10, .lse = 1},
    {.batch = 2,
     .heads_q = 6,
     .heads_kv = 3,
     .len_q = 2,
     .len_k = 150,
     .dim = 8,
     .dim_v = 10,
     .lse = 1,
     .key_layout = LAYOUT_ROW_MAJOR,
     .value_layout = LAYOUT_ROW_MAJOR},
};

/* What a row of keys and values is to the queries. */
enum { HIDDEN, SEEN, SEEN_AND_POISONED };

/* For each row of the arrays of keys and values, those that belong to no sequence included. */
static uint8_t *make_fates(const attention_case *c) {
  return calloc((size_t)(c->key.batch * c->key.heads * c->key.rows) + 1, 1);
}

static uint8_t *fate_of(const attention_case *c, uint8_t *fates, int64_t b, int64_t h, int64_t j) {
  const naive_sequence s = naive_sequence_of(&c->args, b);
  const int64_t head = h / (c->args.heads_q / c->key.heads);
  return &fates[(s.batch_k * c->key.heads + head) * c->key.rows + s.first_k + j];
}

/* Source (NULL: none) chooses some of those that are seen to be poisoned too: for the rows that do not see
 * them. */
static void choose_fates(const attention_case *c, uint8_t *fates, random_source *source) {
  const int64_t times = 1 + c->args.len_k / 2;
  for (int64_t b = 0; b < c->args.batch; b++)
    for (int64_t h = 0; h < c->args.heads_q; h++)
      for (int64_t i = 0; i < c->args.len_q; i++)
        for (int64_t j = 0; j < c->args.len_k; j++) {
          if (!naive_sees(&c->args, b, h, i, j)) continue;
          uint8_t *fate = fate_of(c, fates, b, h, j);
          if (*fate == HIDDEN) *fate = source && random_once_in(source, times) ? SEEN_AND_POISONED : SEEN;
        }
}

static int sees_poison(const attention_case *c, uint8_t *fates, int64_t b, int64_t h, int64_t i) {
  for (int64_t j = 0; j < c->args.len_k; j++)
    if (naive_sees(&c->args, b, h, i, j) && *fate_of(c, fates, b, h, j) != SEEN) return 1;
  return 0;
}

static void fill(float *row, int64_t count, float x) {
  for (int64_t d = 0; d < count; d++) row[d] = x;
}

/* x wherever a key or a value is not just seen. */
static void poison_keys(attention_case *c, const uint8_t *fates, float key, float value) {
  for (int64_t b = 0; b < c->key.batch; b++)
    for (int64_t h = 0; h < c->key.heads; h++)
      for (int64_t row = 0; row < c->key.rows; row++) {
        if (fates[(b * c->key.heads + h) * c->key.rows + row] == SEEN) continue;
        fill(tensor_row(&c->key, b, h, row), c->key.width, key);
        fill(tensor_row(&c->value, b, h, row), c->value.width, value);
      }
}

/* x wherever a row of an array that is laid out as the queries belongs to no query. */
static void poison_rows(const attention_case *c, const tensor *t, float x) {
  for (int64_t b = 0; b < c->args.batch && t->first; b++) {
    const naive_sequence s = naive_sequence_of(&c->args, b);
    const int64_t end = c->args.starts_q ? c->args.starts_q[b + 1] : t->rows;
    for (int64_t h = 0; h < t->heads; h++)
      for (int64_t row = s.first_q + s.len_q; row < end; row++)
        fill(tensor_row(t, s.batch_q, h, row), t->width, x);
  }
}

static void poison_centers(const attention_case *c, float x) {
  for (int64_t b = 0; b < c->args.batch && c->centers.first; b++)
    for (int64_t h = 0; h < c->args.heads_q; h++)
      for (int64_t i = naive_sequence_of(&c->args, b).len_q; i < c->args.len_q; i++)
        *tensor_row(&c->centers, b, h, i) = x;
}

/* x in a bias of its own for each score, where another rule hides the key. */
static void poison_bias(attention_case *c, float x) {
  if (!c->args.bias || c->args.bias_strides) return;
  float *bias = (float *)(uintptr_t)c->args.bias;
  for (int64_t n = 0; n < c->args.batch * c->args.heads_q * c->args.len_q * c->args.len_k; n++) {
    const int64_t row = n / c->args.len_k, head = row / c->args.len_q;
    if (!naive_sees(&c->args, head / c->args.heads_q, head % c->args.heads_q, row % c->args.len_q,
                    n % c->args.len_k))
      bias[n] = x;
  }
}

static void poison(attention_case *c, const uint8_t *fates, float key, float value) {
  poison_bias(c, key);
  poison_keys(c, fates, key, value);
  poison_rows(c, &c->query, key);
  poison_rows(c, &c->residual, value);
  poison_centers(c, key);
}

/* Numbers of a row that differ. Scores from before the masks may differ where the key is poisoned. */
static int64_t count_row(const attention_case *a, const attention_case *b, uint8_t *fates,
                         const int64_t at[3]) {
  const naive_sequence s = naive_sequence_of(&a->args, at[0]);
  const int64_t row = s.first_q + at[2];
  int64_t different = count_different(1, tensor_row(&a->lse, at[0], at[1], at[2]),
                                      tensor_row(&b->lse, at[0], at[1], at[2]));
  if (at[2] < s.len_q)
    different += count_different(a->output.width, tensor_row(&a->output, s.batch_q, at[1], row),
                                 tensor_row(&b->output, s.batch_q, at[1], row));
  if (a->weights.first)
    different += count_different(a->weights.width, tensor_row(&a->weights, at[0], at[1], at[2]),
                                 tensor_row(&b->weights, at[0], at[1], at[2]));
  for (int64_t j = 0; j < s.len_k && a->scores.first; j++)
    if (a->args.scores_stage == 2 || *fate_of(a, fates, at[0], at[1], j) == SEEN)
      different += count_different(1, tensor_row(&a->scores, at[0], at[1], at[2]) + j,
                                   tensor_row(&b->scores, at[0], at[1], at[2]) + j);
  return different;
}

/* Returns how many rows were compared: those that see no poison. */
static int64_t compare(const attention_case *clean, const attention_case *poisoned, uint8_t *fates) {
  int64_t compared = 0;
  for (int64_t b = 0; b < clean->args.batch; b++)
    for (int64_t h = 0; h < clean->args.heads_q; h++)
      for (int64_t i = 0; i < clean->args.len_q; i++) {
        const int64_t at[3] = {b, h, i};
        if (sees_poison(clean, fates, b, h, i)) continue;
        compared++;
        if (count_row(clean, poisoned, fates, at) > 0)
          fail_msg("%s: poison leaks into batch %ld head %ld query %ld", clean->name, (long)b, (long)h,
                   (long)i);
      }
  return compared;
}

static void open_features(attention_case *c, const case_spec *shape, const feature *const on[2]) {
  random_source source = random_seeded(support_seed());
  case_open(c, shape, &source);
  for (int n = 0; n < 2; n++)
    if (on[n]) feature_apply(on[n], c, &source);
}

/* The same case with zeros and with poison in what is hidden; and, by source (NULL: none), in some keys that
 * are seen. */
static void check_poison(const case_spec *shape, const feature *const on[2], const float x[2],
                         random_source *source) {
  attention_case clean, poisoned;
  open_features(&clean, shape, on);
  open_features(&poisoned, shape, on);
  uint8_t *fates = make_fates(&clean);
  choose_fates(&clean, fates, source);
  poison(&clean, fates, 0, 0);
  poison(&poisoned, fates, x[0], x[1]);
  case_run(&clean, context);
  case_run(&poisoned, context);
  const int64_t compared = compare(&clean, &poisoned, fates);
  if (!source) assert_int_equal(compared, shape->batch * shape->heads_q * shape->len_q);
  if (isnan(x[1])) case_check_promise(&poisoned); /* who sees it has what the formulas give */
  free(fates);
  case_close(&clean);
  case_close(&poisoned);
}

static void check_both(const case_spec *shape, const feature *a, const feature *b, random_source *source) {
  static const float poisons[][2] = {{NAN, NAN}, {INFINITY, -INFINITY}, {-3e38f, 3e38f}, {0, NAN}};
  const feature *on[2] = {a, b};
  check_poison(shape, on, poisons[random_between(source, 0, COUNT_OF(poisons) - 1)], NULL);
  check_poison(shape, on, poisons[random_between(source, 0, COUNT_OF(poisons) - 1)], source);
}

/* Each feature that hides keys, alone and with each other. */
static void check_features(const case_spec *shape) {
  random_source source = random_seeded(support_seed());
  for (int64_t a = 0; a < feature_count; a++) {
    if (features[a].hides) check_both(shape, &features[a], NULL, &source);
    for (int64_t b = a + 1; b < feature_count; b++)
      if ((features[a].hides || features[b].hides) && feature_agrees(&features[a], &features[b]))
        check_both(shape, &features[a], &features[b], &source);
  }
}

static void test_one_tile(void **state) {
  (void)state;
  check_features(&shapes[0]);
}

static void test_several_tiles(void **state) {
  (void)state;
  check_features(&shapes[1]);
}

static void test_few_queries(void **state) {
  (void)state;
  check_features(&shapes[2]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_one_tile),
      cmocka_unit_test(test_several_tiles),
      cmocka_unit_test(test_few_queries),
  };
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, open_context, close_context);
}
