/* test_hostile_memory.c - strides, alignments, overlaps and struct sizes that are wrong in every way: refused by a
 * sentence that names the argument, and nothing touched.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hostile.h"
#include "layer.h"

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

enum { FORBIDDEN = 64 * HOSTILE_APART };

/* Every pointer of attn_args. */
static attn_args over_forbidden(float *forbidden) {
  static const int64_t strides[4] = {100, 50, 10, 1};
  attn_args args = {.size = sizeof args,
                    .batch = 2,
                    .heads_q = 2,
                    .heads_kv = 2,
                    .len_q = 3,
                    .len_k = 5,
                    .dim = 4,
                    .dim_v = 3,
                    .has_window = 1,
                    .sigma = 1,
                    .window_left = 2};
  for (size_t n = 0; n < hostile_args.pointer_count; n++) {
    const hostile_pointer *pointer = &hostile_args.pointers[n];
    const void *value = pointer->alignment == sizeof *strides ? (const void *)strides : forbidden;
    memcpy((char *)&args + pointer->offset, &value, sizeof value);
  }
  hostile_forbid(&hostile_args, &args, forbidden);
  args.predict_matrix = args.predict_vector = args.score_weight = NULL;
  args.lengths_q = args.lengths_k = args.offsets = args.starts_q = args.starts_k = NULL;
  return args;
}

static void assert_refused(int32_t status, const char *word) {
  const char *sentence = attn_last_error(context);
  const size_t length = strlen(word);
  hostile_calls++;
  assert_int_equal(status, ATTN_ERROR_ARGUMENT);
  if (strncmp(sentence, word, length) != 0 || strncmp(sentence + length, ": ", 2) != 0)
    fail_msg("expected a sentence about %s, got \"%s\"", word, sentence);
}

/* ---- strides */

/* An array of attn_args by its strides. */
typedef struct strided {
  const char *name;
  size_t strides; /* the field */
  int64_t counts[4];
  int axes;
  int64_t width; /* of what each step goes over */
  int is_output;
} strided;

/* The same question as the library's, in wider numbers. */
static int may_pass(const strided *array, const int64_t *strides) {
  __int128 reach = array->width, steps[4] = {0};
  for (int a = 0; a < array->axes; a++) steps[a] = strides[a] < 0 ? -(__int128)strides[a] : strides[a];
  for (int left = array->axes; left > 0; left--) { /* the smallest step that is not done yet */
    int least = -1;
    for (int a = 0; a < array->axes; a++)
      if (steps[a] >= 0 && (least < 0 || steps[a] < steps[least])) least = a;
    if (array->is_output && steps[least] < reach) return 0;
    reach += steps[least] * (array->counts[least] - 1);
    steps[least] = -1;
  }
  return reach <= INT64_MAX / 8;
}

static void try_strides(const strided *array, float *forbidden) {
  static const int64_t values[] = {INT64_MIN,     INT64_MIN / 8,    -1,       0, 1, 12, (int64_t)1 << 31,
                                   INT64_MAX / 8, (int64_t)1 << 62, INT64_MAX};
  enum { VALUES = COUNT_OF(values) };
  int64_t combinations = 1;
  for (int a = 0; a < array->axes; a++) combinations *= VALUES;
  for (int64_t n = 0; n < combinations; n++) {
    attn_plan plan = {.size = sizeof plan};
    attn_args args = over_forbidden(forbidden);
    int64_t strides[4];
    const int64_t *given = strides;
    for (int64_t a = 0, rest = n; a < array->axes; a++, rest /= VALUES) strides[a] = values[rest % VALUES];
    memcpy((char *)&args + array->strides, &given, sizeof given);
    const int32_t status = attn_explain(context, &args, &plan);
    if (!may_pass(array, strides)) {
      assert_refused(status, array->name);
      assert_refused(attn_local(context, &args), array->name);
    } else if (status != ATTN_OK)
      fail_msg("%s: %s", array->name, attn_last_error(context));
    hostile_calls++;
  }
}

static void test_strides(void **state) {
  (void)state;
  const strided arrays[] = {
      {"query", offsetof(attn_args, query_strides), {2, 2, 3}, 3, 4, 0},
      {"key", offsetof(attn_args, key_strides), {2, 2, 5}, 3, 4, 0},
      {"value", offsetof(attn_args, value_strides), {2, 2, 5}, 3, 3, 0},
      {"output", offsetof(attn_args, output_strides), {2, 2, 3}, 3, 3, 1},
      {"weights", offsetof(attn_args, weights_strides), {2, 2, 3}, 3, 5, 1},
      {"lse", offsetof(attn_args, lse_strides), {2, 2, 3}, 3, 1, 1},
      {"scores", offsetof(attn_args, scores_strides), {2, 2, 3}, 3, 5, 1},
      {"centers", offsetof(attn_args, centers_strides), {2, 2, 3}, 3, 1, 0},
      {"residual", offsetof(attn_args, residual_strides), {2, 2, 3}, 3, 3, 0},
      {"bias", offsetof(attn_args, bias_strides), {2, 2, 3, 5}, 4, 1, 0},
      {"mask", offsetof(attn_args, mask_strides), {2, 2, 3, 5}, 4, 1, 0},
  };
  guarded forbidden = guarded_forbidden(FORBIDDEN);
  for (size_t n = 0; n < COUNT_OF(arrays); n++) try_strides(&arrays[n], forbidden.data);
  guarded_free(&forbidden);
}

/* Dense arrays of numbers for single scores that no memory holds. */
static void test_dense_scores_too_large(void **state) {
  (void)state;
  static const int64_t broadcast[3];
  guarded forbidden = guarded_forbidden(FORBIDDEN);
  attn_args args = {.size = sizeof args, .batch = 1, .heads_q = 1, .len_q = 1 << 20, .dim = 1};
  args.len_k = (int64_t)1 << 42;
  args.query_strides = args.key_strides = args.value_strides = broadcast;
  args.query = args.key = args.value = forbidden.data;
  args.output = forbidden.data;
  attn_plan plan = {.size = sizeof plan};
  assert_int_equal(attn_explain(context, &args, &plan), ATTN_OK);
  args.bias = forbidden.data;
  assert_refused(attn_global(context, &args), "bias");
  args.bias = NULL;
  args.mask = (const uint8_t *)forbidden.data;
  assert_refused(attn_global(context, &args), "mask");
  guarded_free(&forbidden);
}

/* That no query sees a key is told without a look at each of very many batch entries. */
static void test_very_many_entries(void **state) {
  (void)state;
  guarded forbidden = guarded_forbidden(FORBIDDEN);
  attn_plan plan = {.size = sizeof plan};
  attn_args args = {.size = sizeof args, .batch = (int64_t)1 << 55, .heads_q = 1, .len_q = 1, .len_k = 1};
  args.dim = 1;
  args.query = args.key = args.value = args.output = forbidden.data;
  args.causal = 1;
  args.offset = -1;
  alarm(60); /* a hang ends as a failure */
  assert_int_equal(attn_explain(context, &args, &plan), ATTN_OK);
  alarm(0);
  assert_string_equal(plan.path, "empty");
  args.lengths_k = (const int64_t *)(const void *)forbidden.data;
  args.batch = (int64_t)1 << 60;
  assert_refused(attn_explain(context, &args, &plan), "batch");
  guarded_free(&forbidden);
}

/* One LSE a row, though the rows themselves are empty. */
static void test_too_many_rows_of_nothing(void **state) {
  (void)state;
  guarded forbidden = guarded_forbidden(FORBIDDEN);
  const attn_softmax_args args = {.size = sizeof args, .rows = (int64_t)1 << 62, .lse = forbidden.data};
  assert_refused(attn_softmax(context, &args), "rows");
  guarded_free(&forbidden);
}

/* ---- alignment */

/* Every pointer of a struct, a few bytes off. */
static void try_alignments(const hostile_struct *structure, const void *good,
                           int32_t (*call)(const void *args)) {
  char args[1024];
  for (size_t n = 0; n < structure->pointer_count; n++)
    for (uintptr_t off = 1; off < structure->pointers[n].alignment; off++) {
      uintptr_t address;
      memcpy(args, good, structure->size);
      memcpy(&address, args + structure->pointers[n].offset, sizeof address);
      address = (address ? address : (uintptr_t)context / 64 * 64) + off;
      memcpy(args + structure->pointers[n].offset, &address, sizeof address);
      assert_refused(call(args), structure->pointers[n].name);
    }
}

static int32_t call_local(const void *args) {
  return attn_local(context, args);
}

static int32_t call_self(const void *args) {
  return attn_self(context, args);
}

static int32_t call_merge(const void *args) {
  return attn_merge(context, args);
}

static int32_t call_softmax(const void *args) {
  return attn_softmax(context, args);
}

static void test_alignments(void **state) {
  (void)state;
  guarded forbidden = guarded_forbidden(FORBIDDEN);
  const attn_args attention = over_forbidden(forbidden.data);
  const attn_self_args layer = {.size = sizeof layer, .attention = &attention};
  const attn_merge_args merge = {.size = sizeof merge, .parts = 1};
  const attn_softmax_args softmax = {.size = sizeof softmax};
  try_alignments(&hostile_args, &attention, call_local);
  try_alignments(&hostile_self, &layer, call_self);
  try_alignments(&hostile_merge, &merge, call_merge);
  try_alignments(&hostile_softmax, &softmax, call_softmax);
  guarded_free(&forbidden);
}

/* The arrays that a list of merge's points to. */
static void test_alignment_of_parts(void **state) {
  (void)state;
  guarded forbidden = guarded_forbidden(FORBIDDEN);
  float *const there = forbidden.data;
  const float *off = (const float *)(const void *)((const char *)forbidden.data + 2);
  const float *good[2] = {there, there + 100}, *bad[2] = {there, off};
  attn_merge_args args = {.size = sizeof args, .parts = 2, .batch = 1, .heads = 1, .len_q = 1, .dim_v = 1};
  args.output = there + 200;
  args.outputs = bad;
  args.lses = good;
  assert_refused(attn_merge(context, &args), "outputs");
  args.outputs = good;
  args.lses = bad;
  assert_refused(attn_merge(context, &args), "lses");
  guarded_free(&forbidden);
}

/* ---- overlaps */

/* Each output laid over each other array, from its first element to its last. */
static void test_overlaps(void **state) {
  (void)state;
  const size_t outputs[] = {offsetof(attn_args, output), offsetof(attn_args, weights),
                            offsetof(attn_args, lse), offsetof(attn_args, scores)};
  const size_t others[] = {
      offsetof(attn_args, output), offsetof(attn_args, weights),  offsetof(attn_args, lse),
      offsetof(attn_args, scores), offsetof(attn_args, query),    offsetof(attn_args, key),
      offsetof(attn_args, value),  offsetof(attn_args, residual), offsetof(attn_args, centers)};
  const int64_t counts[] = {36, 60, 12, 60, 48, 80, 60, 36, 12};
  static const hostile_struct *const structs[] = {&hostile_args, NULL};
  guarded forbidden = guarded_forbidden(FORBIDDEN);
  for (size_t n = 0; n < COUNT_OF(outputs); n++)
    for (size_t other = 0; other < COUNT_OF(others); other++)
      for (int64_t shift = 1 - counts[n]; n != other && shift < counts[other]; shift++) {
        attn_args args = over_forbidden(forbidden.data);
        args.query_strides = args.key_strides = args.value_strides = args.output_strides = NULL;
        args.weights_strides = args.lse_strides = args.scores_strides = args.residual_strides = NULL;
        args.centers_strides = NULL;
        float *there;
        memcpy(&there, (char *)&args + others[other], sizeof there);
        there += shift;
        memcpy((char *)&args + outputs[n], &there, sizeof there);
        assert_false(hostile_check(context, attn_local(context, &args), structs));
        assert_non_null(strstr(attn_last_error(context), "overlaps"));
      }
  guarded_free(&forbidden);
}

/* One array laid over another one, from its first element to its last; same is allowed where it may be. */
typedef struct overlap {
  size_t output, other; /* the fields */
  int64_t count, other_count;
  int may_be_same;
} overlap;

static void try_overlap(const overlap *pair, void *args, int32_t (*call)(const void *args)) {
  float *other, *before;
  memcpy(&other, (char *)args + pair->other, sizeof other);
  memcpy(&before, (char *)args + pair->output, sizeof before);
  for (int64_t shift = 1 - pair->count; shift < pair->other_count; shift++) {
    float *there = other + shift;
    if (shift == 0 && pair->may_be_same) continue;
    memcpy((char *)args + pair->output, &there, sizeof there);
    hostile_calls++;
    assert_int_equal(call(args), ATTN_ERROR_ARGUMENT);
    if (!strstr(attn_last_error(context), "overlaps")) fail_msg("%s", attn_last_error(context));
  }
  memcpy((char *)args + pair->output, &before, sizeof before);
}

static void test_overlaps_of_layers(void **state) {
  (void)state;
  guarded forbidden = guarded_forbidden(FORBIDDEN);
  float *const there = forbidden.data;
  attn_args attention = {
      .size = sizeof attention, .batch = 2, .heads_q = 2, .len_q = 3, .len_k = 3, .dim = 4};
  attention.lse = there + 1000;
  attention.residual = there + 2000;
  attn_self_args args = {.size = sizeof args, .attention = &attention, .dim_model = 5, .dim_output = 7};
  args.x = there + 3000;
  args.output = there + 4000;
  args.weight_qkv = there + 5000;
  args.weight_o = there + 6000;
  const overlap x = {offsetof(attn_self_args, output), offsetof(attn_self_args, x), 42, 30, 0};
  try_overlap(&x, &args, call_self);
  attention.lse = args.output + 41;
  assert_refused(attn_self(context, &args), "output");
  attention.lse = args.output + 42;
  attention.residual = args.output - 41;
  assert_refused(attn_self(context, &args), "output");
  guarded_free(&forbidden);
}

static void test_overlaps_of_softmax(void **state) {
  (void)state;
  guarded forbidden = guarded_forbidden(FORBIDDEN);
  attn_softmax_args args = {.size = sizeof args, .rows = 3, .cols = 4};
  args.input = forbidden.data + 1000;
  args.output = forbidden.data + 2000;
  args.lse = forbidden.data + 3000;
  const overlap pairs[] = {
      {offsetof(attn_softmax_args, output), offsetof(attn_softmax_args, input), 12, 12, 1},
      {offsetof(attn_softmax_args, output), offsetof(attn_softmax_args, lse), 12, 3, 0},
      {offsetof(attn_softmax_args, lse), offsetof(attn_softmax_args, input), 3, 12, 0}};
  for (size_t n = 0; n < COUNT_OF(pairs); n++) try_overlap(&pairs[n], &args, call_softmax);
  guarded_free(&forbidden);
}

static void test_overlaps_of_merge(void **state) {
  (void)state;
  guarded forbidden = guarded_forbidden(FORBIDDEN);
  float *const there = forbidden.data;
  const float *outputs[2] = {there, there + 1000}, *lses[2] = {there + 2000, there + 3000};
  attn_merge_args args = {.size = sizeof args, .parts = 2, .batch = 2, .heads = 2, .len_q = 3, .dim_v = 4};
  args.outputs = outputs;
  args.lses = lses;
  args.lse = there + 4000;
  for (int64_t shift = -47; shift < 48; shift++) {
    if (shift == 0) continue;
    args.output = there + 1000 + shift;
    assert_refused(attn_merge(context, &args), "output");
  }
  args.output = there + 1000;
  for (args.len_q = 2; args.len_q <= 3; args.len_q++)
    for (int axis = 0; axis < 3; axis++) { /* the same array but for one stride */
      int64_t strides[3] = {2 * args.len_q * args.dim_v, args.len_q * args.dim_v, args.dim_v};
      strides[axis]--;
      args.outputs_strides = strides;
      assert_refused(attn_merge(context, &args), "output");
    }
  args.len_q = 3;
  args.outputs_strides = NULL;
  args.output = there + 5000;
  args.lse = there + 3001;
  assert_refused(attn_merge(context, &args), "lse");
  args.lse = there + 5047;
  assert_refused(attn_merge(context, &args), "output");
  guarded_free(&forbidden);
}

/* ---- struct sizes */

/* Memory that ends where the struct does, so that nothing behind it can be read or written. */
static char *end_at_guard(guarded *memory, size_t size) {
  *memory = guarded_make(((int64_t)size + 3) / 4, GUARD_AFTER);
  return (char *)memory->data + ((size + 3) / 4 * 4 - size);
}

/* 1 if a struct can be of that size: others cut a field in two. */
static int is_size(uint64_t size) {
  return size >= sizeof size && size % sizeof size == 0;
}

/* A struct of that size, the rest of the known one cut off or a tail of zeros added. */
static char *resized(guarded *memory, const void *good, size_t known, uint64_t size) {
  char *structure = end_at_guard(memory, size);
  memset(structure, 0, size);
  memcpy(structure, good, size < known ? size : known);
  memcpy(structure, &size, size < sizeof size ? size : sizeof size);
  return structure;
}

/* Every size from that of the size itself on; then every byte of the tail set. */
static void try_sizes(const hostile_struct *structure, const void *good,
                      int32_t (*call)(const void *args)) {
  const hostile_struct *const structs[] = {structure, &hostile_args, NULL};
  for (uint64_t size = sizeof size; size <= structure->size + 64; size++) {
    guarded memory;
    char *args = resized(&memory, good, structure->size, size);
    char whole[1024] = {0};
    if (!is_size(size)) {
      assert_refused(call(args), structure->name);
      guarded_free(&memory);
      continue;
    }
    memcpy(whole, args, size < structure->size ? size : structure->size);
    memcpy(whole, &(uint64_t){structure->size}, sizeof(uint64_t));
    const int32_t expected = call(whole);
    assert_int_equal(call(args), expected);
    hostile_check(context, expected, structs);
    for (uint64_t at = structure->size; at < size; at++) {
      args[at] = (char)(1 << at % 8);
      assert_refused(call(args), structure->name);
      args[at] = 0;
    }
    guarded_free(&memory);
  }
  for (uint64_t size = 0; size < sizeof size; size++) {
    char args[1024];
    memcpy(args, good, structure->size);
    memcpy(args, &size, sizeof size);
    assert_refused(call(args), structure->name);
  }
}

static int32_t explain(const void *args) {
  attn_plan plan = {.size = sizeof plan};
  return attn_explain(context, args, &plan);
}

static int32_t explain_self(const void *args) {
  attn_plan plan = {.size = sizeof plan};
  return attn_explain_self(context, args, &plan);
}

static void test_sizes(void **state) {
  (void)state;
  guarded forbidden = guarded_forbidden(FORBIDDEN);
  const attn_args attention = over_forbidden(forbidden.data);
  const attn_args inner = {
      .size = sizeof inner, .batch = 1, .heads_q = 1, .len_q = 1, .len_k = 1, .dim = 1};
  const attn_self_args layer = {.size = sizeof layer,
                                .attention = &inner,
                                .dim_model = 1,
                                .x = forbidden.data,
                                .output = forbidden.data,
                                .weight_qkv = forbidden.data};
  const attn_merge_args merge = {.size = sizeof merge, .parts = 1, .dim_v = 1};
  const attn_softmax_args softmax = {.size = sizeof softmax};
  try_sizes(&hostile_args, &attention, explain);
  try_sizes(&hostile_self, &layer, explain_self);
  try_sizes(&hostile_merge, &merge, call_merge);
  try_sizes(&hostile_softmax, &softmax, call_softmax);
  guarded_free(&forbidden);
}

static void test_sizes_of_options(void **state) {
  (void)state;
  const attn_options options = {.size = sizeof options, .threads = 1};
  for (uint64_t size = 0; size <= sizeof options + 64; size++) {
    guarded memory;
    attn_context *made;
    char *given = resized(&memory, &options, sizeof options, size < 8 ? 8 : size);
    memcpy(given, &size, sizeof size);
    assert_int_equal(attn_create(&made, (const attn_options *)(const void *)given),
                     is_size(size) ? ATTN_OK : ATTN_ERROR_ARGUMENT);
    attn_destroy(made);
    hostile_calls++;
    for (uint64_t at = sizeof options; at < size; at++) {
      given[at] = 1;
      assert_int_equal(attn_create(&made, (const attn_options *)(const void *)given), ATTN_ERROR_ARGUMENT);
      assert_int_equal(strncmp(attn_last_error(NULL), "options: ", 9), 0);
      given[at] = 0;
      hostile_calls++;
    }
    guarded_free(&memory);
  }
}

/* Structs for results: only what they have room for is written, and all of it. */
static void test_sizes_of_results(void **state) {
  (void)state;
  const attn_args empty = {.size = sizeof empty, .dim = 1};
  for (uint64_t size = 0; size <= sizeof(attn_info) + 64; size++) {
    guarded memory;
    char *out = end_at_guard(&memory, size < 8 ? 8 : size);
    const int32_t expected = is_size(size) ? ATTN_OK : ATTN_ERROR_ARGUMENT;
    memset(out, 0x5a, size < 8 ? 8 : size);
    memcpy(out, &size, sizeof size);
    assert_int_equal(attn_describe(context, (attn_info *)(void *)out), expected);
    assert_int_equal(attn_explain(context, &empty, (attn_plan *)(void *)out), expected);
    for (uint64_t at = sizeof(attn_plan); is_size(size) && at < size; at++) assert_int_equal(out[at], 0);
    hostile_calls += 2;
    guarded_free(&memory);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_strides),
      cmocka_unit_test(test_dense_scores_too_large),
      cmocka_unit_test(test_very_many_entries),
      cmocka_unit_test(test_too_many_rows_of_nothing),
      cmocka_unit_test(test_alignments),
      cmocka_unit_test(test_alignment_of_parts),
      cmocka_unit_test(test_overlaps),
      cmocka_unit_test(test_overlaps_of_layers),
      cmocka_unit_test(test_overlaps_of_softmax),
      cmocka_unit_test(test_overlaps_of_merge),
      cmocka_unit_test(test_sizes),
      cmocka_unit_test(test_sizes_of_options),
      cmocka_unit_test(test_sizes_of_results),
  };
  return cmocka_run_group_tests(tests, open_context, close_context);
}
