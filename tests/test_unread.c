/* test_unread.c - keys and values that no query sees by its position, and queries that do not exist, are not
 * read: they stand in pages that cannot be.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

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

/* A row of queries, keys and values fills a page. */
static case_spec shape_of(int64_t batch, int64_t len_q, int64_t len_k) {
  const int64_t dim = sysconf(_SC_PAGESIZE) / (int64_t)sizeof(float);
  return (case_spec){.batch = batch,
                     .heads_q = 2,
                     .heads_kv = 1,
                     .len_q = len_q,
                     .len_k = len_k,
                     .dim = dim,
                     .lse = 1,
                     .side = GUARD_BEFORE};
}

static void forbid(const tensor *t, int64_t first, int64_t end) {
  for (int64_t row = first; row < end; row++)
    assert_int_equal(mprotect(t->memory.data + row * t->width, (size_t)t->width * sizeof(float), PROT_NONE),
                     0);
}

/* The keys of a sequence that some query sees are in [begin, end). */
static void find_seen(const attn_args *args, int64_t b, int64_t *begin, int64_t *end) {
  *begin = *end = 0;
  for (int64_t h = 0; h < args->heads_q; h++)
    for (int64_t i = 0; i < args->len_q; i++)
      for (int64_t j = 0; j < args->len_k; j++) {
        if (!naive_sees(args, b, h, i, j)) continue;
        if (*begin == *end) *begin = j;
        if (j < *begin) *begin = j;
        if (j >= *end) *end = j + 1;
      }
}

/* Keys and values outside of what is seen, up to those that another sequence may see. There is one key head,
 * so that row j of batch entry b is row b * rows + j of all. */
static void forbid_keys(const attention_case *c) {
  int64_t before = 0;
  for (int64_t b = 0; b < c->args.batch; b++) {
    const naive_sequence s = naive_sequence_of(&c->args, b);
    const int64_t first = s.batch_k * c->key.rows + s.first_k;
    int64_t begin, end;
    find_seen(&c->args, b, &begin, &end);
    forbid(&c->key, before, first + begin);
    forbid(&c->value, before, first + begin);
    before = first + end;
  }
  forbid(&c->key, before, c->key.batch * c->key.rows);
  forbid(&c->value, before, c->value.batch * c->value.rows);
}

/* Rows of queries that are past the length of their sequence. */
static void forbid_queries(const attention_case *c) {
  for (int64_t b = 0; b < c->args.batch; b++) {
    const naive_sequence s = naive_sequence_of(&c->args, b);
    const int64_t end = c->args.starts_q ? c->args.starts_q[b + 1] : c->args.len_q;
    for (int64_t h = 0; h < c->args.heads_q; h++) {
      const int64_t first = (s.batch_q * c->args.heads_q + h) * c->query.rows;
      forbid(&c->query, first + s.first_q + s.len_q, first + end);
    }
  }
}

static void check_features(const case_spec *shape, const feature *const on[2], random_source *source) {
  attention_case c;
  case_open(&c, shape, source);
  for (int n = 0; n < 2; n++)
    if (on[n]) feature_apply(on[n], &c, source);
  forbid_keys(&c);
  forbid_queries(&c);
  case_run(&c, context);
  case_check_promise(&c);
  case_close(&c);
}

static void check_shape(int64_t batch, int64_t len_q, int64_t len_k) {
  const case_spec shape = shape_of(batch, len_q, len_k);
  random_source source = random_seeded(support_seed());
  for (int64_t a = 0; a < feature_count; a++) {
    if (!features[a].by_position) continue;
    check_features(&shape, (const feature *[2]){&features[a]}, &source);
    for (int64_t b = a + 1; b < feature_count; b++)
      if (features[b].by_position && feature_agrees(&features[a], &features[b]))
        check_features(&shape, (const feature *[2]){&features[a], &features[b]}, &source);
  }
}

static void test_many_queries(void **state) {
  (void)state;
  check_shape(2, 20, 50);
}

static void test_few_queries(void **state) {
  (void)state;
  check_shape(3, 1, 60);
  check_shape(2, 3, 30);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_many_queries),
      cmocka_unit_test(test_few_queries),
  };
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, open_context, close_context);
}
