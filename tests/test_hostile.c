/* test_hostile.c - extreme values in every field and every two fields of the public structs, over arrays that may
 * not be touched: what is refused is refused by a sentence, and what is small enough to run is right.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "feature.h"
#include "hostile.h"
#include "layer.h"

enum { FORBIDDEN = 64 * HOSTILE_APART };

static attn_context *context;

static int open_context(void **state) {
  (void)state;
  context = context_with_threads(2);
  return 0;
}

static int close_context(void **state) {
  (void)state;
  attn_destroy(context);
  print_message("%lld calls\n", (long long)hostile_calls);
  return 0;
}

/* ---- attention */

static const hostile_struct *const attention_structs[] = {&hostile_args, NULL};

/* 1 if no size is above that of the arrays. */
static int is_small(const attn_args *args, const attn_args *real) {
  const int64_t dim_v = args->dim_v ? args->dim_v : args->dim;
  const int64_t heads_kv = args->heads_kv ? args->heads_kv : args->heads_q;
  return args->batch <= real->batch && args->heads_q <= real->heads_q && heads_kv <= real->heads_kv &&
         args->len_q <= real->len_q && args->len_k <= real->len_k && args->dim <= real->dim &&
         dim_v <= real->dim_v && args->predict_dim <= real->predict_dim;
}

/* What a call refuses, it refuses before it touches an array. */
static void check_refused(const attn_args *args, int local, float *forbidden) {
  char sentence[256];
  attn_args blind = *args;
  hostile_forbid(&hostile_args, &blind, forbidden);
  snprintf(sentence, sizeof sentence, "%s", attn_last_error(context));
  const int32_t status = local ? attn_local(context, &blind) : attn_global(context, &blind);
  assert_false(hostile_check(context, status, attention_structs));
  assert_string_equal(attn_last_error(context), sentence);
}

/* The formulas in double know positions up to 2^53; beyond, a window's edges are not known. */
static int formulas_are_exact(const attn_args *args) {
  const int64_t most = (int64_t)1 << 52;
  return !args->has_window || (args->offset > -most && args->offset < most);
}

/* Runs what was accepted, if it is small; where the numbers are moderate, its results are right. */
static void run_small(attention_case *c, const attn_args *args, int tame) {
  const attn_args real = c->args;
  if (!is_small(args, &real)) return;
  const int32_t status = c->local ? attn_local(context, args) : attn_global(context, args);
  if (!hostile_check(context, status, attention_structs)) {
    assert_true(c->local ? !args->has_window : args->centers || args->predict_matrix);
    return;
  }
  const int same_shape = args->batch == real.batch && args->heads_q == real.heads_q &&
                         args->len_q == real.len_q && args->len_k == real.len_k && args->dim == real.dim &&
                         args->dim_v == real.dim_v;
  if (!tame || !same_shape || !formulas_are_exact(args)) return;
  c->args = *args;
  case_run(c, context);
  case_check_promise(c);
  c->args = real;
}

static void try_attention(attention_case *c, const attn_args *args, int tame, float *forbidden) {
  attn_plan plan = {.size = sizeof plan};
  attn_args blind = *args;
  hostile_forbid(&hostile_args, &blind, forbidden);
  const int32_t status = attn_explain(context, &blind, &plan);
  if (hostile_check(context, status, attention_structs))
    run_small(c, args, tame);
  else
    check_refused(args, c->local, forbidden);
}

/* Lists with a number for each batch entry are read, so they must be as long as is said. */
static int lists_suffice(const attn_args *args, const attn_args *real) {
  const int listed =
      args->offsets || args->lengths_q || args->lengths_k || args->starts_q || args->starts_k;
  return !listed || args->batch <= real->batch || args->batch > INT64_MAX / 4;
}

/* The fields that are set to extremes, each with its value. */
typedef struct combination {
  const hostile_field *fields[3];
  int values[3];
  int count;
} combination;

static void try_combination(attention_case *c, const combination *chosen, float *forbidden) {
  attn_args args = c->args;
  int tame = 1;
  size_t used = 0;
  for (int n = 0; n < chosen->count; n++) {
    used += (size_t)snprintf(c->name + used, sizeof c->name - used, "%s extreme %d, ",
                             chosen->fields[n]->name, chosen->values[n]);
    hostile_set(&args, chosen->fields[n], chosen->values[n]);
    tame = tame && !hostile_is_wild(chosen->fields[n], chosen->values[n]);
  }
  if (lists_suffice(&args, &c->args)) try_attention(c, &args, tame, forbidden);
}

/* Every value of the fields from first on, for so many more of them. */
static void try_all(attention_case *c, combination *chosen, size_t first, int more, float *forbidden) {
  if (more == 0) {
    try_combination(c, chosen, forbidden);
    return;
  }
  for (size_t n = first; n < hostile_args.field_count; n++) {
    const int at = chosen->count++;
    chosen->fields[at] = &hostile_args.fields[n];
    for (int value = 0; value < hostile_count(chosen->fields[at]); value++) {
      chosen->values[at] = value;
      try_all(c, chosen, n + 1, more - 1, forbidden);
    }
    chosen->count--;
  }
}

/* The same arguments give the same bits after all that. */
static void try_fields(attention_case *c, int at_once) {
  guarded forbidden = guarded_forbidden(FORBIDDEN);
  combination chosen = {.count = 0};
  case_run(c, context);
  case_check_promise(c);
  try_all(c, &chosen, 0, at_once, forbidden.data);
  case_run(c, context);
  case_check_promise(c);
  guarded_free(&forbidden);
}

static const case_spec shape = {.batch = 2,
                                .heads_q = 2,
                                .heads_kv = 2,
                                .len_q = 3,
                                .len_k = 5,
                                .dim = 4,
                                .dim_v = 3,
                                .weights = 1,
                                .lse = 1};

/* Calls to be spoiled: the options that are on. */
static const char *const bases[][8] = {
    {NULL},
    {"window", "mask", "bias", "alibi", "softcap", "sinks", "scale", NULL},
    {"window", "centers", "residual", "gain and shift", "layer norm", "masked scores", NULL},
    {"predicted centers", "general", "prefix", NULL},
    {"packed queries", "packed keys", "query lengths", "key lengths", "offsets", "causal", NULL},
};

static void open_base(attention_case *c, const char *const *names) {
  random_source source = random_seeded(support_seed());
  case_open(c, &shape, &source);
  for (; *names; names++) feature_apply(feature_named(*names), c, &source);
}

static void test_attention(void **state) {
  (void)state;
  for (size_t n = 0; n < COUNT_OF(bases); n++) {
    attention_case c;
    open_base(&c, bases[n]);
    try_fields(&c, 1);
    try_fields(&c, 2);
    if (hostile_long_form() && n < 2) try_fields(&c, 3);
    case_close(&c);
  }
}

/* ---- the other verbs: every two fields */

/* Calls attempt with every two fields of a copy of good set to extremes. */
static void try_pairs(const hostile_struct *structure, const void *good,
                      void (*attempt)(void *args, void *how), void *how) {
  char args[1024];
  assert_true(structure->size <= sizeof args);
  for (size_t a = 0; a < structure->field_count; a++)
    for (size_t b = a; b < structure->field_count; b++)
      for (int first = 0; first < hostile_count(&structure->fields[a]); first++)
        for (int second = 0; second < hostile_count(&structure->fields[b]); second++) {
          memcpy(args, good, structure->size);
          hostile_set(args, &structure->fields[a], first);
          hostile_set(args, &structure->fields[b], second);
          attempt(args, how);
        }
}

static const layer_spec layer_shape = {.batch = 2,
                                       .heads_q = 2,
                                       .heads_kv = 2,
                                       .len = 3,
                                       .dim = 4,
                                       .dim_v = 3,
                                       .dim_model = 5,
                                       .dim_output = 5,
                                       .biases = 15,
                                       .project = 1,
                                       .rope = ATTN_ROPE_HALF};

typedef struct layer_attempt {
  layer_case *layer;
  float *forbidden;
} layer_attempt;

/* Explained over forbidden arrays: refused by the call as well, or small enough to be run. */
static void attempt_layer(void *given, void *how) {
  static const hostile_struct *const structs[] = {&hostile_self, &hostile_args, NULL};
  const layer_attempt *attempt = how;
  attn_plan plan = {.size = sizeof plan};
  attn_self_args blind, *args = given;
  memcpy(&blind, args, sizeof blind);
  hostile_forbid(&hostile_self, &blind, attempt->forbidden);
  if (!hostile_check(context, attn_explain_self(context, &blind, &plan), structs))
    assert_false(hostile_check(context, attn_self(context, &blind), structs));
  else if (is_small(args->attention, &attempt->layer->options.args))
    assert_true(hostile_check(context, attn_self(context, args), structs));
}

/* The fields of the layer, with those of its attention at their extremes one by one. */
static void test_layer(void **state) {
  (void)state;
  layer_case layer;
  guarded forbidden = guarded_forbidden(FORBIDDEN);
  random_source source = random_seeded(support_seed());
  layer_open(&layer, &layer_shape, &source);
  layer_run(&layer, context);
  layer_check(&layer);
  layer_attempt attempt = {&layer, forbidden.data};
  const attn_args good = layer.attention;
  try_pairs(&hostile_self, &layer.args, attempt_layer, &attempt);
  for (size_t n = 0; n < hostile_args.field_count; n++)
    for (int value = 0; value < hostile_count(&hostile_args.fields[n]); value++) {
      layer.attention = good;
      hostile_set(&layer.attention, &hostile_args.fields[n], value);
      try_pairs(&hostile_self, &layer.args, attempt_layer, &attempt);
    }
  layer_run(&layer, context);
  layer_check(&layer);
  layer_close(&layer);
  guarded_free(&forbidden);
}

/* Large, but not too large: such a call would have to be run. */
static int is_large(int64_t size) {
  return size == (int64_t)1 << 31;
}

static void attempt_merge(void *given, void *how) {
  static const hostile_struct *const structs[] = {&hostile_merge, NULL};
  attn_merge_args *args = given;
  const attn_merge_args *real = how;
  if (is_large(args->batch) || is_large(args->heads) || is_large(args->len_q)) return;
  if (args->parts <= real->parts && args->batch <= real->batch && args->heads <= real->heads &&
      args->len_q <= real->len_q && args->dim_v <= real->dim_v) {
    args->output = real->output;
    args->lse = real->lse;
  }
  hostile_check(context, attn_merge(context, args), structs);
}

static void test_merge(void **state) {
  (void)state;
  float numbers[4][64] = {{0}};
  const float *outputs[2] = {numbers[0], numbers[1]}, *lses[2] = {numbers[2], numbers[3]};
  float output[64], lse[64];
  guarded forbidden = guarded_forbidden(FORBIDDEN);
  attn_merge_args args = {.size = sizeof args,
                          .parts = 2,
                          .batch = 2,
                          .heads = 2,
                          .len_q = 3,
                          .dim_v = 4,
                          .outputs = outputs,
                          .lses = lses,
                          .output = output,
                          .lse = lse};
  attn_merge_args blind = args;
  hostile_forbid(&hostile_merge, &blind, forbidden.data);
  try_pairs(&hostile_merge, &blind, attempt_merge, &args);
  assert_int_equal(attn_merge(context, &args), ATTN_OK);
  guarded_free(&forbidden);
}

static void attempt_softmax(void *given, void *how) {
  static const hostile_struct *const structs[] = {&hostile_softmax, NULL};
  attn_softmax_args *args = given;
  const attn_softmax_args *real = how;
  if (is_large(args->rows) || is_large(args->cols) || is_large(args->input_stride) ||
      is_large(args->output_stride))
    return;
  if (args->rows <= real->rows && args->cols <= real->cols && args->input_stride <= real->cols &&
      args->output_stride <= real->cols) {
    args->input = real->input;
    args->output = real->output;
    args->lse = real->lse;
  }
  hostile_check(context, attn_softmax(context, args), structs);
}

static void test_softmax(void **state) {
  (void)state;
  float input[64] = {0}, output[64], lse[8];
  guarded forbidden = guarded_forbidden(FORBIDDEN);
  const attn_softmax_args args = {
      .size = sizeof args, .rows = 3, .cols = 8, .input = input, .output = output, .lse = lse};
  attn_softmax_args blind = args;
  hostile_forbid(&hostile_softmax, &blind, forbidden.data);
  try_pairs(&hostile_softmax, &blind, attempt_softmax, (void *)(uintptr_t)&args);
  assert_int_equal(attn_softmax(context, &args), ATTN_OK);
  guarded_free(&forbidden);
}

static void attempt_options(void *given, void *how) {
  static const hostile_struct *const structs[] = {&hostile_options, NULL};
  attn_context *made = NULL;
  const int32_t status = attn_create(&made, given);
  (void)how;
  assert_int_equal(hostile_check(NULL, status, structs), made != NULL);
  attn_destroy(made);
}

static void test_options(void **state) {
  (void)state;
  const attn_options options = {.size = sizeof options};
  try_pairs(&hostile_options, &options, attempt_options, NULL);
}

/* In the long form. */
static void test_enough_calls(void **state) {
  (void)state;
  if (hostile_long_form()) assert_true(hostile_calls >= 1000000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_attention), cmocka_unit_test(test_layer),   cmocka_unit_test(test_merge),
      cmocka_unit_test(test_softmax),   cmocka_unit_test(test_options), cmocka_unit_test(test_enough_calls),
  };
  return cmocka_run_group_tests(tests, open_context, close_context);
}
