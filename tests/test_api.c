/* test_api.c - the public interface apart from the mathematics: versions, texts, the sizes of structs, plans.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <signal.h>
#endif

#include "case.h"

static void test_version(void **state) {
  (void)state;
  char text[32];
  snprintf(text, sizeof text, "%d.%d.%d", ATTN_VERSION_MAJOR, ATTN_VERSION_MINOR, ATTN_VERSION_PATCH);
  assert_string_equal(attn_version_text(), text);
  assert_int_equal(attn_version(),
                   ATTN_VERSION_MAJOR * 10000 + ATTN_VERSION_MINOR * 100 + ATTN_VERSION_PATCH);
}

static void test_status_texts(void **state) {
  (void)state;
  assert_string_equal(attn_status_text(ATTN_ERROR_ARGUMENT), "invalid argument");
  const int32_t others[] = {-1, ATTN_ERROR_BUSY + 1, INT32_MIN, INT32_MAX};
  for (size_t n = 0; n < COUNT_OF(others); n++)
    assert_string_equal(attn_status_text(others[n]), attn_status_text(others[0]));
  for (int32_t a = ATTN_OK; a <= ATTN_ERROR_BUSY; a++) {
    assert_true(strlen(attn_status_text(a)) > 0);
    for (int32_t b = -1; b < a; b++) assert_string_not_equal(attn_status_text(a), attn_status_text(b));
  }
}

static attn_info info_of(const attn_options *options) {
  attn_context *context;
  attn_info info = {.size = sizeof info};
  if (attn_create(&context, options) != ATTN_OK) fail_msg("%s", attn_last_error(NULL));
  assert_int_equal(attn_describe(context, &info), ATTN_OK);
  attn_destroy(context); /* only texts that are constants may be looked at from here on */
  return info;
}

static const char *const isa_words[] = {"",       "reference", "avx2",
                                        "avx512", "neon",      "amx"}; /* "" is no cap */

static int32_t isa_of(const char *name) {
  for (int32_t isa = ATTN_ISA_REFERENCE; isa <= ATTN_ISA_AMX; isa++)
    if (strcmp(name, isa_words[isa]) == 0) return isa;
  fail_msg("\"%s\" is no instruction set", name);
  return 0;
}

/* 1 if Linux lets this process use the tile registers. */
static int tiles_are_permitted(void) {
  return support_tiles(SUPPORT_TILES_PERMITTED);
}

static void test_isa_caps(void **state) {
  (void)state;
  const char *set = getenv("ATTN_ISA");
  char *before = set ? strdup(set) : NULL;
  for (int32_t cap = ATTN_ISA_AUTO; cap <= ATTN_ISA_AMX; cap++)
    for (int32_t second = ATTN_ISA_AUTO; second <= ATTN_ISA_AMX; second++) {
      const attn_options options = {.size = sizeof options, .threads = 1, .isa = cap};
      assert_int_equal(setenv("ATTN_ISA", isa_words[second], 1), 0);
      const attn_info info = info_of(&options);
      int32_t expected = isa_of(info.cpu_isa);
      const int32_t is_arm = expected == ATTN_ISA_NEON;
      if (cap && cap < expected) expected = cap;
      if (second && second < expected) expected = second;
      if (is_arm && expected < ATTN_ISA_NEON) expected = ATTN_ISA_REFERENCE;
      if (!is_arm && expected == ATTN_ISA_NEON) expected = ATTN_ISA_AVX512;
      if (expected == ATTN_ISA_AMX && (strcmp(info.engine, "blas") == 0 || !tiles_are_permitted()))
        expected = ATTN_ISA_AVX512;
      assert_int_equal(isa_of(info.isa), expected);
    }
  assert_int_equal(before ? setenv("ATTN_ISA", before, 1) : unsetenv("ATTN_ISA"), 0);
  free(before);
}

#ifdef __x86_64__

/* A context with at most that instruction set: 1 if it has one that is expected, on a CPU with AMX. For a child. */
static int has_isa(int32_t cap, int32_t expected) {
  const attn_options options = {.size = sizeof options, .threads = 1, .isa = cap};
  attn_info info = {.size = sizeof info};
  attn_context *context;
  if (attn_create(&context, &options) != ATTN_OK || attn_describe(context, &info) != ATTN_OK) return 0;
  const int has = strcmp(info.cpu_isa, "amx") == 0 && strcmp(info.isa, isa_words[expected]) == 0;
  attn_destroy(context);
  return has;
}

static int a_cap_asks_for_nothing(void *unused) {
  (void)unused;
  return has_isa(ATTN_ISA_AVX512, ATTN_ISA_AVX512) && !tiles_are_permitted();
}

/* A stack for signals that a frame with tile registers does not fit on. */
static int a_refusal_leaves_avx512(void *unused) {
  static char memory[8192];
  const stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory}, none = {.ss_flags = SS_DISABLE};
  (void)unused;
  if (sigaltstack(&stack, NULL) != 0) return 1; /* too small for Linux even so */
  return has_isa(ATTN_ISA_AUTO, ATTN_ISA_AVX512) && !tiles_are_permitted() && sigaltstack(&none, NULL) == 0;
}

static int no_cap_asks(void *unused) {
  (void)unused;
  if (has_isa(ATTN_ISA_AUTO, ATTN_ISA_AMX)) return tiles_are_permitted();
  return has_isa(ATTN_ISA_AUTO, ATTN_ISA_AVX512) && !tiles_are_permitted();
}

/* Before any other test makes a context: what is permitted once stays so, in children too. */
static void test_tile_registers(void **state) {
  (void)state;
  const attn_options capped = {.size = sizeof capped, .threads = 1, .isa = ATTN_ISA_AVX512};
  const char *set = getenv("ATTN_ISA");
  if ((set && *set) || strcmp(info_of(&capped).cpu_isa, "amx") != 0 || tiles_are_permitted()) skip();
  assert_true(succeeds_in_child(a_cap_asks_for_nothing, NULL));
  assert_true(succeeds_in_child(a_refusal_leaves_avx512, NULL));
  assert_true(succeeds_in_child(no_cap_asks, NULL));
}

#endif

/* A build without BLAS says so, and refuses that engine with a sentence. */
static void test_engine_blas(void **state) {
  (void)state;
  const attn_info info = info_of(&(attn_options){.size = sizeof(attn_options), .threads = 1});
  const attn_options wanted = {.size = sizeof wanted, .threads = 1, .engine = ATTN_ENGINE_BLAS};
  if (strcmp(info.blas_core, "none") != 0) {
    assert_string_equal(info_of(&wanted).engine, "blas");
    return;
  }
  attn_context *context;
  assert_string_equal(info.engine, "builtin");
  assert_int_equal(attn_create(&context, &wanted), ATTN_ERROR_UNSUPPORTED);
  assert_null(context);
  assert_int_equal(strncmp(attn_last_error(NULL), "engine: ", 8), 0);
  assert_non_null(strstr(attn_last_error(NULL), "no BLAS"));
}

/* The variable of the environment says what auto means, and nothing where an engine is asked for. */
static void test_engines(void **state) {
  (void)state;
  const char *const words[] = {"", "auto", "blas", "builtin"};
  const char *const engines[] = {[ATTN_ENGINE_BLAS] = "blas", [ATTN_ENGINE_BUILTIN] = "builtin"};
  const char *set = getenv("ATTN_ENGINE");
  if (strcmp(info_of(NULL).blas_core, "none") == 0) skip(); /* see test_engine_blas */
  char *before = set ? strdup(set) : NULL;
  for (int32_t engine = ATTN_ENGINE_AUTO; engine <= ATTN_ENGINE_BUILTIN; engine++)
    for (size_t n = 0; n < COUNT_OF(words); n++) {
      const attn_options options = {.size = sizeof options, .threads = 1, .engine = engine};
      assert_int_equal(setenv("ATTN_ENGINE", words[n], 1), 0);
      const attn_info info = info_of(&options);
      const char *chosen = isa_of(info.isa) == ATTN_ISA_REFERENCE ? "blas" : "builtin";
      assert_string_equal(info.engine, engine ? engines[engine] : n < 2 ? chosen : words[n]);
    }
  assert_int_equal(before ? setenv("ATTN_ENGINE", before, 1) : unsetenv("ATTN_ENGINE"), 0);
  free(before);
}

static void test_description(void **state) {
  (void)state;
  attn_context *context = context_with_threads(3);
  attn_info info = {.size = sizeof info};
  assert_int_equal(attn_describe(context, &info), ATTN_OK);
  assert_int_equal(info.threads, 3);
#ifdef __x86_64__ /* others do not say what they are called */
  assert_true(info.cpu[0] != 0);
#endif
  assert_true(strcmp(info.engine, "blas") == 0 || strcmp(info.engine, "builtin") == 0);
  const int has_blas = strcmp(info.blas, "none") != 0;
  const char *const words[] = {attn_version_text(), info.isa, has_blas ? info.blas : "no BLAS",
                               has_blas ? info.blas_flavor : "no BLAS", info.warning};
  for (size_t n = 0; n < COUNT_OF(words); n++) {
    assert_non_null(words[n]);
    assert_non_null(strstr(attn_description(context), words[n]));
  }
  assert_null(strchr(attn_description(context), '\n'));
  attn_destroy(context);
}

static void test_default_options(void **state) {
  (void)state;
  const attn_options zero = {.size = sizeof zero};
  const attn_info none = info_of(NULL), defaults = info_of(&zero);
  assert_true(none.threads >= 1);
  assert_int_equal(none.threads, defaults.threads);
}

/* A struct with room for what newer versions may append. */
typedef struct newer_args {
  attn_args args;
  uint64_t unknown[3];
} newer_args;

static const case_spec plain = {.batch = 1, .heads_q = 2, .len_q = 3, .len_k = 4, .dim = 5, .weights = 1};

static void test_longer_arguments(void **state) {
  (void)state;
  attn_context *context = context_with_threads(1);
  random_source source = random_seeded(support_seed());
  attention_case c;
  case_open(&c, &plain, &source);
  newer_args newer = {.args = c.args};
  newer.args.size = sizeof newer;
  assert_int_equal(attn_global(context, &newer.args), ATTN_OK);
  case_check(&c, 4e-6);
  newer.unknown[2] = (uint64_t)1 << 63;
  tensor_fill_canary(&c.output);
  tensor_fill_canary(&c.weights);
  assert_int_equal(attn_global(context, &newer.args), ATTN_ERROR_ARGUMENT);
  assert_int_equal(strncmp(attn_last_error(context), "args: ", 6), 0);
  case_assert_untouched(&c);
  case_close(&c);
  attn_destroy(context);
}

/* An older caller's struct ends before weights: what stands behind it is not read. */
static void test_shorter_arguments(void **state) {
  (void)state;
  attn_context *context = context_with_threads(1);
  random_source source = random_seeded(support_seed());
  attention_case c;
  case_open(&c, &plain, &source);
  attn_args older = c.args;
  older.size = offsetof(attn_args, weights);
  older.lse = (float *)1;
  assert_int_equal(attn_global(context, &older), ATTN_OK);
  assert_int_equal(tensor_count_untouched(&c.output), 0);
  assert_int_equal(tensor_count_untouched(&c.weights), 1 * 2 * 3 * 4);
  older.size = sizeof older.size;
  assert_int_equal(attn_global(context, &older), ATTN_ERROR_ARGUMENT);
  assert_int_equal(strncmp(attn_last_error(context), "dim: ", 5), 0);
  case_close(&c);
  attn_destroy(context);
}

static void test_sizes_of_softmax_arguments(void **state) {
  (void)state;
  attn_context *context = context_with_threads(1);
  const float input[2] = {0, 0};
  float output[2];
  struct {
    attn_softmax_args args;
    uint64_t unknown;
  } newer = {{.size = sizeof newer, .rows = 1, .cols = 2, .input = input, .output = output}, 0};
  assert_int_equal(attn_softmax(context, &newer.args), ATTN_OK);
  assert_true(output[0] == 0.5f);
  newer.unknown = 1;
  assert_int_equal(attn_softmax(context, &newer.args), ATTN_ERROR_ARGUMENT);
  newer.args.size = offsetof(attn_softmax_args, lse);
  newer.args.lse = (float *)1;
  assert_int_equal(attn_softmax(context, &newer.args), ATTN_OK);
  attn_destroy(context);
}

static void test_sizes_of_options(void **state) {
  (void)state;
  attn_context *context;
  struct {
    attn_options options;
    uint64_t unknown;
  } newer = {{.size = sizeof newer, .threads = 1}, 0};
  assert_int_equal(attn_create(&context, &newer.options), ATTN_OK);
  attn_destroy(context);
  newer.unknown = 1;
  assert_int_equal(attn_create(&context, &newer.options), ATTN_ERROR_ARGUMENT);
  newer.options = (attn_options){.size = offsetof(attn_options, isa), .threads = 2, .reserved = 9};
  const attn_info info = info_of(&newer.options);
  assert_int_equal(info.threads, 2);
}

/* Results fill the struct: what it has no room for is left out, what is unknown becomes zero. */
static void test_sizes_of_results(void **state) {
  (void)state;
  attn_context *context = context_with_threads(1);
  const attn_args args = {.size = sizeof args, .dim = 1};
  struct {
    attn_plan plan;
    uint64_t unknown, beyond;
  } newer;
  memset(&newer, 0x5a, sizeof newer);
  newer.plan.size = sizeof newer - sizeof newer.beyond;
  assert_int_equal(attn_explain(context, &args, &newer.plan), ATTN_OK);
  assert_string_equal(newer.plan.path, "empty");
  assert_int_equal(newer.unknown, 0);
  assert_int_equal(newer.beyond, 0x5a5a5a5a5a5a5a5a);
  attn_info older;
  memset(&older, 0x5a, sizeof older);
  older.size = offsetof(attn_info, cpu);
  assert_int_equal(attn_describe(context, &older), ATTN_OK);
  assert_int_equal(older.size, offsetof(attn_info, cpu));
  assert_int_equal(older.threads, 1);
  assert_int_equal((intptr_t)older.cpu, 0x5a5a5a5a5a5a5a5a);
  attn_destroy(context);
}

/* Explaining touches no data: the arrays need not even exist. */
static void test_explain_touches_no_data(void **state) {
  (void)state;
  attn_context *context = context_with_threads(4);
  guarded nothing = guarded_forbidden(1024);
  attn_plan plan = {.size = sizeof plan};
  const attn_args args = {.size = sizeof args,
                          .batch = 3,
                          .heads_q = 8,
                          .heads_kv = 2,
                          .len_q = 100000,
                          .len_k = 100000,
                          .dim = 64,
                          .query = nothing.data,
                          .key = nothing.data,
                          .value = nothing.data,
                          .output = nothing.data,
                          .weights = nothing.data,
                          .lse = nothing.data};
  assert_int_equal(attn_explain(context, &args, &plan), ATTN_OK);
  assert_string_equal(plan.path, "tiled");
  assert_true(strcmp(plan.engine, "blas") == 0 || strcmp(plan.engine, "builtin") == 0);
  assert_true(plan.tile_q > 0 && plan.tile_k > 0 && plan.tasks > 0);
  assert_true(plan.threads >= 1 && plan.threads <= 4);
  assert_true(context_multiplies_in_parallel() == (plan.threads > 1));
  guarded_free(&nothing);
  attn_destroy(context);
}

/* At most 1 MiB of scratch per thread for common head sizes, whatever the lengths. */
static void test_scratch_is_bounded(void **state) {
  (void)state;
  attn_context *context = context_with_threads(8);
  const int64_t lengths[] = {1, 40, 64, 65, 4096, 1000001, (int64_t)1 << 36};
  const int64_t dims[] = {1, 15, 64, 80, 96, 127, 128};
  float nothing;
  for (size_t q = 0; q < COUNT_OF(lengths); q++)
    for (size_t k = 0; k < COUNT_OF(lengths); k++)
      for (size_t d = 0; d < COUNT_OF(dims); d++) {
        attn_plan plan = {.size = sizeof plan};
        const attn_args args = {.size = sizeof args,
                                .batch = 2,
                                .heads_q = 16,
                                .heads_kv = 2,
                                .len_q = lengths[q],
                                .len_k = lengths[k],
                                .dim = dims[d],
                                .query = &nothing,
                                .key = &nothing,
                                .value = &nothing,
                                .output = &nothing};
        assert_int_equal(attn_explain(context, &args, &plan), ATTN_OK);
        assert_true(plan.scratch_bytes > 0);
        assert_true(plan.scratch_bytes <= (uint64_t)plan.threads << 20);
      }
  attn_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#ifdef __x86_64__
      cmocka_unit_test(test_tile_registers),
#endif
      cmocka_unit_test(test_version),
      cmocka_unit_test(test_status_texts),
      cmocka_unit_test(test_isa_caps),
      cmocka_unit_test(test_engine_blas),
      cmocka_unit_test(test_engines),
      cmocka_unit_test(test_description),
      cmocka_unit_test(test_default_options),
      cmocka_unit_test(test_longer_arguments),
      cmocka_unit_test(test_shorter_arguments),
      cmocka_unit_test(test_sizes_of_softmax_arguments),
      cmocka_unit_test(test_sizes_of_options),
      cmocka_unit_test(test_sizes_of_results),
      cmocka_unit_test(test_explain_touches_no_data),
      cmocka_unit_test(test_scratch_is_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
