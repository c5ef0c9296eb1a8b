/* test_repeat.c - one hash of the results for each shape and option, whatever the number of threads, the place in
 * the batch, the alignment of the arrays, the run, and the flavour of OpenBLAS (its folders are the arguments).
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

enum {
  BATCH = 3,
  HEADS = 4,
  DIM = 40,
  MOST_KEYS = 9000,
  FLOATS = HEADS * MOST_KEYS * DIM,
  SHIFTS = 16,
  THREADS = 16
};

static const attn_args rules[] = {
    {.len_q = 70, .len_k = 300},
    {.len_q = 70, .len_k = 300, .causal = 1, .offset = 230, .softcap = 20},
    {.len_q = 300, .len_k = 300, .causal = 1, .has_window = 1, .window_left = 40},
    {.len_q = 2, .len_k = 9000},
    {.len_q = 1, .len_k = 77, .norm = ATTN_NORM_RMS},
};

static char **folders;
static const char *program;
static float *query, *key, *value, *output, *lse; /* of one batch entry, and room to shift it */

static float *floats(size_t count) {
  float *x = malloc(count * sizeof *x);
  assert_non_null(x);
  return x;
}

static int open_arrays(void **state) {
  (void)state;
  random_source source = random_seeded(support_seed());
  float **const arrays[] = {&query, &key, &value, &output, &lse};
  for (size_t n = 0; n < COUNT_OF(arrays); n++) *arrays[n] = floats(FLOATS);
  for (size_t n = 0; n < 3; n++)
    for (int64_t i = 0; i < FLOATS; i++) (*arrays[n])[i] = random_normal(&source);
  return 0;
}

static int close_arrays(void **state) {
  (void)state;
  float *const arrays[] = {query, key, value, output, lse};
  for (size_t n = 0; n < COUNT_OF(arrays); n++) free(arrays[n]);
  return 0;
}

/* FNV-1a, by Fowler, Noll and Vo. */
static uint64_t hashed(uint64_t hash, const float *x, int64_t count) {
  for (int64_t i = 0; i < count; i++) hash = (hash ^ bits_of(x[i])) * 0x100000001b3u;
  return hash;
}

/* Of one batch entry's results. */
static uint64_t hash_of(const attn_args *args, int64_t b) {
  const int64_t rows = HEADS * args->len_q;
  return hashed(hashed(0xcbf29ce484222325u, args->output + b * rows * DIM, rows * DIM),
                args->lse + b * rows, rows);
}

static attn_args args_of(const attn_args *rule) {
  attn_args args = *rule;
  args.size = sizeof args;
  args.batch = 1;
  args.heads_q = HEADS;
  args.heads_kv = HEADS / 2;
  args.dim = DIM;
  args.query = query;
  args.key = key;
  args.value = value;
  args.output = output;
  args.lse = lse;
  return args;
}

static void run(attn_context *context, const attn_args *args) {
  if (attn_global(context, args) != ATTN_OK) fail_msg("%s", attn_last_error(context));
}

static uint64_t hash_with(int32_t threads, const attn_args *rule) {
  attn_context *context = context_with_threads(threads);
  const attn_args args = args_of(rule);
  run(context, &args);
  const uint64_t hash = hash_of(&args, 0);
  run(context, &args);
  assert_true(hash_of(&args, 0) == hash);
  attn_destroy(context);
  return hash;
}

static void test_threads(void **state) {
  (void)state;
  for (size_t n = 0; n < COUNT_OF(rules); n++) {
    const uint64_t expected = hash_with(1, &rules[n]);
    for (int32_t threads = 2; threads <= THREADS; threads++)
      assert_true(hash_with(threads, &rules[n]) == expected);
  }
}

/* Each entry of a batch has the same queries, keys and values. */
static void test_places_in_the_batch(void **state) {
  (void)state;
  attn_context *context = context_with_threads(2);
  for (size_t n = 0; n < COUNT_OF(rules); n++) {
    const uint64_t expected = hash_with(1, &rules[n]);
    attn_args args = args_of(&rules[n]);
    const int64_t dense_q[3] = {0, args.len_q * DIM, DIM}, dense_k[3] = {0, args.len_k * DIM, DIM};
    args.batch = BATCH;
    args.query_strides = dense_q;
    args.key_strides = args.value_strides = dense_k;
    run(context, &args);
    for (int64_t b = 0; b < BATCH; b++) assert_true(hash_of(&args, b) == expected);
  }
  attn_destroy(context);
}

/* The arrays begin 0 to 60 bytes later, each by another number of floats. */
static void test_alignments(void **state) {
  (void)state;
  attn_context *context = context_with_threads(1);
  float *const room = floats(FLOATS + SHIFTS), *const room_k = floats(FLOATS + SHIFTS);
  for (size_t n = 0; n < COUNT_OF(rules); n++) {
    const uint64_t expected = hash_with(1, &rules[n]);
    for (int64_t shift = 0; shift < SHIFTS; shift++) {
      attn_args args = args_of(&rules[n]);
      args.query = memcpy(room + shift, query, (size_t)(HEADS * args.len_q * DIM) * sizeof *room);
      args.key =
          memcpy(room_k + 5 * shift % SHIFTS, key, (size_t)(HEADS * args.len_k * DIM) * sizeof *room);
      args.output = output + 3 * shift % SHIFTS;
      args.lse = lse + 7 * shift % SHIFTS;
      run(context, &args);
      assert_true(hash_of(&args, 0) == expected);
    }
  }
  free(room);
  free(room_k);
  attn_destroy(context);
}

static void print_hashes(FILE *out) {
  for (size_t n = 0; n < COUNT_OF(rules); n++) fprintf(out, "%016" PRIx64 "\n", hash_with(2, &rules[n]));
}

/* What another process prints that runs with a folder's OpenBLAS. */
static void check_flavour(const char *folder, const char *expected) {
  char command[8192], printed[512];
  snprintf(command, sizeof command, "LD_LIBRARY_PATH='%s' '%s' --print", folder, program);
  FILE *other = popen(command, "r");
  assert_non_null(other);
  printed[fread(printed, 1, sizeof printed - 1, other)] = '\0';
  assert_int_equal(pclose(other), 0);
  assert_string_equal(printed, expected);
}

static void test_flavours(void **state) {
  (void)state;
  char expected[512] = "";
  FILE *out = fmemopen(expected, sizeof expected, "w");
  assert_non_null(out);
  print_hashes(out);
  fclose(out);
  for (char **folder = folders; *folder; folder++) check_flavour(*folder, expected);
}

int main(int count, char **arguments) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_threads),
      cmocka_unit_test(test_places_in_the_batch),
      cmocka_unit_test(test_alignments),
      cmocka_unit_test(test_flavours),
  };
  program = arguments[0];
  folders = arguments + 1;
  if (count == 2 && strcmp(arguments[1], "--print") == 0) {
    open_arrays(NULL);
    print_hashes(stdout);
    close_arrays(NULL);
    return 0;
  }
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, open_arrays, close_arrays);
}
