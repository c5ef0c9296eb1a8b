/* test_score.c - which keys a query sees, and the scores that masks change, against the definition.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "score.h"

#include <math.h>

#include "base.h"
#include "support.h"

enum { LEN_Q = 7, LEN_K = 9 };

static attn__problem causal_problem(int64_t offset) {
  return (attn__problem){.batch = 1,
                         .heads_q = 4,
                         .heads_kv = 2,
                         .group = 2,
                         .len_q = LEN_Q,
                         .len_k = LEN_K,
                         .dim = 1,
                         .dim_v = 1,
                         .causal = 1,
                         .window_left = ATTN__UNBOUNDED,
                         .window_right = ATTN__UNBOUNDED,
                         .window_dilation = 1,
                         .offset = offset};
}

/* By the definition; the offset is small. */
static int sees(const attn__problem *problem, int64_t i, int64_t j) {
  const int64_t distance = j - i - problem->offset;
  if (problem->lengths_q && i >= problem->lengths_q[0]) return 0;
  if (problem->lengths_k && j >= problem->lengths_k[0]) return 0;
  if (problem->causal && distance > 0) return 0;
  if (j < problem->window_prefix) return 1;
  if (problem->window_left != ATTN__UNBOUNDED && distance < -problem->window_left) return 0;
  if (problem->window_right != ATTN__UNBOUNDED && distance > problem->window_right) return 0;
  return distance % problem->window_dilation == 0;
}

/* Calls check with every small window and prefix, and with some lengths, causal or not, at every offset. */
static void for_each_rule(void (*check)(const attn__problem *problem)) {
  static const int64_t sides[] = {0, 1, 3, ATTN__UNBOUNDED}, lengths_q[] = {LEN_Q, 4},
                       lengths_k[] = {LEN_K, 6};
  for (int64_t n = 0; n < 4 * 4 * 3 * 2 * 2; n++)
    for (int64_t offset = -LEN_Q - 2; offset <= LEN_K + 2; offset++) {
      attn__problem problem = causal_problem(offset);
      problem.window_left = sides[n % 4];
      problem.window_right = sides[n / 4 % 4];
      problem.window_prefix = n / 16 % 3 * 2;
      problem.causal = (int32_t)(n / 48 % 2);
      problem.lengths_q = &lengths_q[n / 96];
      problem.lengths_k = &lengths_k[n / 96];
      check(&problem);
    }
}

static void check_sees(const attn__problem *given) {
  attn__problem problem = *given;
  for (problem.window_dilation = 1; problem.window_dilation < 4; problem.window_dilation++)
    for (int64_t i = 0; i < LEN_Q; i++)
      for (int64_t j = 0; j < LEN_K; j++)
        assert_int_equal(attn__score_sees(&problem, 0, 0, i, j), sees(&problem, i, j));
}

static void test_sees(void **state) {
  (void)state;
  for_each_rule(check_sees);
}

static attn__key_range visible_of(const attn__problem *problem, int64_t first, int64_t count) {
  const attn__score_tile tile = {.heads = 1, .first_query = first, .queries = count};
  return attn__score_visible(problem, &tile);
}

/* The smallest range with all visible keys of queries [first, first + count). */
static void check_visible(const attn__problem *problem, int64_t first, int64_t count) {
  const attn__key_range range = visible_of(problem, first, count);
  int64_t begin = -1, end = 0;
  for (int64_t j = 0; j < LEN_K; j++)
    for (int64_t i = first; i < first + count; i++)
      if (sees(problem, i, j)) {
        if (begin < 0) begin = j;
        end = j + 1;
      }
  if (begin < 0) {
    assert_int_equal(range.begin, range.end);
  } else {
    assert_int_equal(range.begin, begin);
    assert_int_equal(range.end, end);
  }
}

static void check_all_visible(const attn__problem *problem) {
  for (int64_t first = 0; first < LEN_Q; first++)
    for (int64_t count = 1; first + count <= LEN_Q; count++) check_visible(problem, first, count);
}

static void test_visible(void **state) {
  (void)state;
  for_each_rule(check_all_visible);
}

/* Keys [key, key + keys) after the first that queries [0, LEN_Q) see. */
static void check_hole(const attn__problem *problem, int64_t key, int64_t keys) {
  const attn__score_tile tile = {.heads = 1, .queries = LEN_Q, .first_key = key, .keys = keys};
  int seen = 0;
  for (int64_t i = 0; i < LEN_Q; i++)
    for (int64_t j = key; j < key + keys; j++) seen |= sees(problem, i, j);
  assert_int_equal(attn__score_hidden(problem, &tile), problem->window_prefix > 0 && !seen);
}

static void check_holes(const attn__problem *problem) {
  const attn__key_range range = visible_of(problem, 0, LEN_Q);
  for (int64_t key = range.begin; key < LEN_K; key++)
    for (int64_t keys = 1; key + keys <= LEN_K; keys++) check_hole(problem, key, keys);
}

/* Between a prefix and the windows, and after them. */
static void test_hidden(void **state) {
  (void)state;
  for_each_rule(check_holes);
}

/* Keys of a prefix and others at once may be whole without being called so. */
static void check_whole(const attn__problem *problem, const attn__score_tile *tile) {
  const int64_t end = tile->first_key + tile->keys, prefix = problem->window_prefix;
  int all = 1;
  for (int64_t i = tile->first_query; i < tile->first_query + tile->queries; i++)
    for (int64_t j = tile->first_key; j < end; j++) all &= sees(problem, i, j);
  const int whole = attn__score_whole(problem, tile);
  if (whole || end <= prefix || tile->first_key >= prefix) assert_int_equal(whole, all);
}

static void check_tiles_whole(const attn__problem *problem) {
  for (int64_t query = 0; query < LEN_Q; query++)
    for (int64_t queries = 1; query + queries <= LEN_Q; queries++)
      for (int64_t key = 0; key < LEN_K; key++)
        for (int64_t keys = 1; key + keys <= LEN_K; keys++)
          check_whole(
              problem,
              &(attn__score_tile){
                  .heads = 1, .first_query = query, .queries = queries, .first_key = key, .keys = keys});
}

static void test_whole(void **state) {
  (void)state;
  for_each_rule(check_tiles_whole);
}

static void test_visible_at_the_ends_of_the_range(void **state) {
  (void)state;
  const int64_t hidden[] = {INT64_MIN, INT64_MIN + 1, INT64_MIN / 2, -LEN_Q};
  const int64_t seen[] = {INT64_MAX, INT64_MAX - 1, INT64_MAX / 2, LEN_K};
  for (size_t n = 0; n < COUNT_OF(hidden); n++) {
    const attn__problem none = causal_problem(hidden[n]), all = causal_problem(seen[n]);
    const attn__key_range empty = visible_of(&none, 0, LEN_Q);
    const attn__key_range full = visible_of(&all, 0, LEN_Q);
    assert_int_equal(empty.begin, empty.end);
    assert_int_equal(full.begin, 0);
    assert_int_equal(full.end, LEN_K);
  }
}

/* A tile of two heads and some queries and keys, with a gap after each row. */
static void check_edit(const attn__problem *problem, attn__score_tile tile) {
  float scores[2 * LEN_Q * (LEN_K + 3)];
  int masked = 0;
  tile.scores = scores;
  tile.stride = tile.keys + 3;
  const int64_t numbers = tile.heads * tile.queries * tile.stride;
  for (int64_t n = 0; n < numbers; n++) scores[n] = n % 5 == 0 ? NAN : (float)n;
  const int32_t result = attn__score_edit(problem, &attn__kernels_reference, &tile);
  for (int64_t n = 0; n < numbers; n++) {
    const int64_t c = n % tile.stride, i = tile.first_query + n / tile.stride % tile.queries;
    const int hidden = c < tile.keys && !sees(problem, i, tile.first_key + c);
    const float before = n % 5 == 0 ? NAN : (float)n;
    masked |= hidden;
    assert_int_equal(ulps_between(scores[n], hidden ? -INFINITY : before), 0);
  }
  assert_int_equal(result, masked);
}

/* One tile after another, of each place and size. */
static void check_edits(const attn__problem *problem) {
  for (int64_t query = 0; query < LEN_Q; query += 2)
    for (int64_t queries = 1; query + queries <= LEN_Q; queries += 2)
      for (int64_t key = 0; key < LEN_K; key += 2)
        for (int64_t keys = 1; key + keys <= LEN_K; keys += 3)
          check_edit(
              problem,
              (attn__score_tile){
                  .heads = 2, .first_query = query, .queries = queries, .first_key = key, .keys = keys});
}

static void test_edit(void **state) {
  (void)state;
  for_each_rule(check_edits);
}

/* Positions and windows of all sizes: tiles against single keys. */
static void test_edit_far_away(void **state) {
  (void)state;
  const int64_t far = (int64_t)1 << 60, offsets[] = {INT64_MIN, -far, 1 - far, 0, far - 1, far, INT64_MAX};
  for (size_t n = 0; n < COUNT_OF(offsets); n++)
    for (int64_t d = -4; d <= 4; d++)
      for (int causal = 0; causal < 2; causal++) {
        const int64_t size = offsets[n] < 0 ? -(offsets[n] + 1) : offsets[n];
        attn__problem problem = causal_problem(offsets[n]);
        problem.causal = causal;
        problem.window_left = size > 4 ? attn__add_saturating(size, d) : 4 + d;
        problem.window_right = size > 4 ? attn__add_saturating(size, -d) : 4 - d;
        float scores[LEN_Q * LEN_K] = {0};
        const attn__score_tile tile = {
            .scores = scores, .stride = LEN_K, .heads = 1, .queries = LEN_Q, .keys = LEN_K};
        attn__score_edit(&problem, &attn__kernels_reference, &tile);
        for (int64_t i = 0; i < LEN_Q; i++)
          for (int64_t j = 0; j < LEN_K; j++)
            assert_int_equal(scores[i * LEN_K + j] == 0, attn__score_sees(&problem, 0, 0, i, j));
      }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sees),          cmocka_unit_test(test_visible),
      cmocka_unit_test(test_hidden),        cmocka_unit_test(test_visible_at_the_ends_of_the_range),
      cmocka_unit_test(test_edit),          cmocka_unit_test(test_whole),
      cmocka_unit_test(test_edit_far_away),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
