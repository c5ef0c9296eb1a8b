/* test_hidden.c - what a mask hides cannot leak, and what no query sees is not even read.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

#include "case.h"

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

/* What stands in poisoned keys and values. */
typedef struct poison {
  float key, value;
  int64_t every; /* which elements of a row: each, or one in so many */
  int visible;   /* 1: the formulas say what those get that see it */
} poison;

static const float huge = 3e38f;

/* Rows [first, end) of all heads get x in one element of so many, or 0 everywhere. */
static void fill_rows(const tensor *t, int64_t first, int64_t end, float x, int64_t every) {
  for (int64_t b = 0; b < t->batch; b++)
    for (int64_t h = 0; h < t->heads; h++)
      for (int64_t row = first; row < end; row++)
        for (int64_t d = 0; d < t->width; d++) {
          float *number = tensor_row(t, b, h, row) + d;
          if (x == 0)
            *number = 0;
          else if ((d + row) % every == 0)
            *number = x;
        }
}

/* Asserts that two cases agree in each bit of the rows that see no key of [first, end). */
static void assert_same_where_hidden(const attention_case *a, const attention_case *b, int64_t first) {
  int64_t different = 0;
  for (int64_t batch = 0; batch < a->args.batch; batch++)
    for (int64_t h = 0; h < a->args.heads_q; h++)
      for (int64_t i = 0; i < a->args.len_q && i + a->args.offset < first; i++) {
        different += count_different(a->output.width, tensor_row(&a->output, batch, h, i),
                                     tensor_row(&b->output, batch, h, i));
        different += count_different(a->weights.width, tensor_row(&a->weights, batch, h, i),
                                     tensor_row(&b->weights, batch, h, i));
        different += count_different(1, tensor_row(&a->lse, batch, h, i), tensor_row(&b->lse, batch, h, i));
      }
  assert_int_equal(different, 0);
}

/* With poison in keys and values [first, end): whoever sees none of them gets what zeros there give; whoever
 * sees one gets what the formulas give. */
static void check_poison(const case_spec *spec, const poison *p, int64_t first, int64_t end) {
  random_source source = random_seeded(support_seed()), again = source;
  attention_case clean, poisoned;
  case_open(&clean, spec, &source);
  case_open(&poisoned, spec, &again);
  fill_rows(&clean.key, first, end, 0, 1);
  fill_rows(&clean.value, first, end, 0, 1);
  if (p->key != 0) fill_rows(&poisoned.key, first, end, p->key, p->every);
  if (p->value != 0) fill_rows(&poisoned.value, first, end, p->value, p->every);
  case_run(&clean, context);
  case_run(&poisoned, context);
  assert_same_where_hidden(&clean, &poisoned, first);
  if (p->visible) case_check(&poisoned, 4e-6);
  case_close(&clean);
  case_close(&poisoned);
}

static const poison poisons[] = {{NAN, NAN, 1, 1},      {NAN, 0, 1, 1},       {0, NAN, 1, 1},
                                 {0, NAN, 5, 1},        {0, INFINITY, 1, 1},  {0, -INFINITY, 3, 1},
                                 {INFINITY, 0, 4, 1},   {-INFINITY, 0, 4, 1}, {INFINITY, INFINITY, 1, 1},
                                 {huge, huge, 1, 0},    {-huge, -huge, 2, 0}, {NAN, INFINITY, 3, 1},
                                 {0x1p-149f, NAN, 2, 1}};

static void check_all_poisons(const case_spec *spec, int64_t first, int64_t end) {
  for (size_t n = 0; n < COUNT_OF(poisons); n++) check_poison(spec, &poisons[n], first, end);
}

static void test_small_shapes(void **state) {
  (void)state;
  for (int64_t len_q = 1; len_q <= 4; len_q++)
    for (int64_t len_k = 1; len_k <= 5; len_k++)
      for (int64_t offset = -len_q - 1; offset <= len_k + 1; offset++) {
        const case_spec spec = {.batch = 1,
                                .heads_q = 2,
                                .heads_kv = 1,
                                .len_q = len_q,
                                .len_k = len_k,
                                .dim = 3,
                                .dim_v = 5,
                                .causal = 1,
                                .causal_offset = offset,
                                .weights = 1,
                                .lse = 1};
        for (int64_t first = 0; first < len_k; first++) check_all_poisons(&spec, first, len_k);
      }
}

/* Hidden and visible keys in one tile, in several tiles, in each place of a tile. */
static void test_several_tiles(void **state) {
  (void)state;
  const int64_t firsts[] = {0, 15, 16, 64, 100, 127, 128, 143, 200, 256, 299};
  case_spec spec = {.batch = 1,
                    .heads_q = 4,
                    .heads_kv = 2,
                    .len_q = 150,
                    .len_k = 300,
                    .dim = 9,
                    .dim_v = 17,
                    .causal = 1,
                    .causal_offset = 150,
                    .weights = 1,
                    .lse = 1};
  for (size_t n = 0; n < COUNT_OF(firsts); n++) {
    spec.causal_offset = n % 3 ? 150 : 40;
    spec.value_layout = n % 2 ? LAYOUT_BACKWARDS : LAYOUT_PADDED;
    check_all_poisons(&spec, firsts[n], 300);
    check_poison(&spec, &poisons[n % COUNT_OF(poisons)], firsts[n], firsts[n] + 1);
  }
}

/* Head groups whose tiles hold several heads. */
static void test_grouped_queries(void **state) {
  (void)state;
  for (int64_t len_q = 1; len_q <= 33; len_q += 8)
    for (int64_t first = 1; first < 70; first += 17) {
      const case_spec spec = {.batch = 1,
                              .heads_q = 24,
                              .heads_kv = 2,
                              .len_q = len_q,
                              .len_k = 70,
                              .dim = 8,
                              .causal = 1,
                              .causal_offset = 70 - len_q - 5,
                              .weights = 1,
                              .lse = 1};
      check_all_poisons(&spec, first, 70);
    }
}

/* Without a mask every query sees it. */
static void test_visible_poison_propagates(void **state) {
  (void)state;
  random_source source = random_seeded(support_seed());
  const case_spec spec = {
      .batch = 1, .heads_q = 2, .len_q = 80, .len_k = 200, .dim = 9, .weights = 1, .lse = 1};
  for (size_t n = 0; n < COUNT_OF(poisons); n++) {
    if (!poisons[n].visible) continue;
    attention_case c;
    case_open(&c, &spec, &source);
    fill_rows(&c.key, 130, 131, poisons[n].key == 0 ? 1 : poisons[n].key, poisons[n].every);
    fill_rows(&c.value, 130, 131, poisons[n].value == 0 ? 1 : poisons[n].value, poisons[n].every);
    case_run(&c, context);
    case_check(&c, 4e-6);
    case_close(&c);
  }
}

/* NaN in one query stays in its row. */
static void test_poisoned_queries(void **state) {
  (void)state;
  const float specials[] = {NAN, INFINITY, -INFINITY};
  random_source source = random_seeded(support_seed());
  const case_spec spec = {.batch = 2,
                          .heads_q = 4,
                          .heads_kv = 2,
                          .len_q = 70,
                          .len_k = 200,
                          .dim = 9,
                          .causal = 1,
                          .causal_offset = 3,
                          .weights = 1,
                          .lse = 1};
  for (size_t n = 0; n < COUNT_OF(specials); n++) {
    attention_case c;
    case_open(&c, &spec, &source);
    tensor_row(&c.query, 1, 2, 33)[4] = specials[n];
    tensor_row(&c.query, 0, 3, 69)[0] = specials[n];
    case_run(&c, context);
    case_check(&c, 4e-6);
    case_close(&c);
  }
}

/* 64 numbers wide, so that so many rows fill a page. */
enum { WIDTH = 64 };

static int64_t rows_of_a_page(void) {
  return sysconf(_SC_PAGESIZE) / (int64_t)(WIDTH * sizeof(float));
}

/* Makes the rows after the first two pages unreadable, or readable again. */
static void set_protection(const tensor *t, int protection) {
  char *begin = (char *)t->memory.data + 2 * sysconf(_SC_PAGESIZE);
  const size_t bytes = (size_t)(t->count * (int64_t)sizeof(float)) - (size_t)(2 * sysconf(_SC_PAGESIZE));
  assert_int_equal(mprotect(begin, bytes, protection), 0);
}

/* Keys and values that no query at all sees stand in unreadable pages. The first two pages hold seen keys,
 * the last of which only some queries see. */
static void check_unread(int64_t len_q, int64_t len_k, int64_t seen) {
  const case_spec spec = {.batch = 1,
                          .heads_q = 2,
                          .heads_kv = 1,
                          .len_q = len_q,
                          .len_k = len_k,
                          .dim = WIDTH,
                          .causal = 1,
                          .causal_offset = seen - len_q,
                          .weights = 1,
                          .lse = 1,
                          .side = GUARD_BEFORE};
  random_source source = random_seeded(support_seed());
  attention_case c;
  case_open(&c, &spec, &source);
  set_protection(&c.key, PROT_NONE);
  set_protection(&c.value, PROT_NONE);
  case_run(&c, context);
  case_check(&c, 4e-6);
  case_close(&c);
}

static void test_what_nobody_sees_is_not_read(void **state) {
  (void)state;
  const int64_t seen = 2 * rows_of_a_page();
  const int64_t lengths_q[] = {1, 2, 7, seen, seen + 1, seen + 100, 200};
  for (size_t n = 0; n < COUNT_OF(lengths_q); n++) {
    check_unread(lengths_q[n], seen + rows_of_a_page(), seen);
    check_unread(lengths_q[n], seen + 40 * rows_of_a_page(), seen);
    check_unread(lengths_q[n], seen + rows_of_a_page(), 1);
    check_unread(lengths_q[n], seen + rows_of_a_page(), seen - 5);
  }
}

/* Where nobody sees anything, no input is read. */
static void test_nothing_is_read_where_nobody_sees(void **state) {
  (void)state;
  guarded forbidden = guarded_forbidden(100 * WIDTH);
  float output[3 * WIDTH];
  for (int n = 0; n < 3 * WIDTH; n++) output[n] = canary();
  const attn_args args = {.size = sizeof args,
                          .batch = 1,
                          .heads_q = 1,
                          .len_q = 3,
                          .len_k = 100,
                          .dim = WIDTH,
                          .causal = 1,
                          .offset = -3,
                          .query = forbidden.data,
                          .key = forbidden.data,
                          .value = forbidden.data,
                          .output = output};
  assert_int_equal(attn_global(context, &args), ATTN_OK);
  for (int n = 0; n < 3 * WIDTH; n++) assert_int_equal(bits_of(output[n]), 0);
  guarded_free(&forbidden);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_small_shapes),
      cmocka_unit_test(test_several_tiles),
      cmocka_unit_test(test_grouped_queries),
      cmocka_unit_test(test_visible_poison_propagates),
      cmocka_unit_test(test_poisoned_queries),
      cmocka_unit_test(test_what_nobody_sees_is_not_read),
      cmocka_unit_test(test_nothing_is_read_where_nobody_sees),
  };
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, open_context, close_context);
}
