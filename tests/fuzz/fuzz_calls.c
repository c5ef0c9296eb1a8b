/* fuzz_calls.c - any sequence of calls on a context whose memory runs out now and then: right results or an
 * error without any, and nothing lost.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <stdlib.h>

#include "allocator.h"
#include "feature.h"
#include "input.h"

enum { MOST_CALLS = 8 };

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  setenv("CMOCKA_TEST_ABORT", "1", 1);
  return 0;
}

typedef struct session {
  allocator memory;
  attn_context *context; /* NULL: none now */
  random_source source;
} session;

/* Out of memory, and said so; or not. */
static int succeeded(const session *s, int32_t status) {
  assert_true(status == ATTN_OK || status == ATTN_ERROR_MEMORY);
  const char *sentence = attn_last_error(s->context);
  assert_int_equal(status != ATTN_OK, strncmp(sentence, "memory: ", 8) == 0);
  return status == ATTN_OK;
}

static void call_create(session *s, input *in) {
  if (s->context) return;
  attn_options options = allocator_options(&s->memory, (int32_t)input_between(in, 1, 3));
  options.engine = (int32_t)input_between(in, ATTN_ENGINE_AUTO, ATTN_ENGINE_BUILTIN);
  s->memory.fail_at = input_between(in, 0, 1) ? input_between(in, 0, 3) : ALLOCATOR_NEVER;
  const int32_t status = attn_create(&s->context, &options);
  assert_true(status == ATTN_OK || status == ATTN_ERROR_MEMORY);
  assert_int_equal(status == ATTN_OK, s->context != NULL);
}

static void call_destroy(session *s, input *in) {
  (void)in;
  if (!s->context) return;
  attn_destroy(s->context);
  s->context = NULL;
  allocator_assert_balanced(&s->memory);
}

/* The next allocation but so many fails. */
static void call_fail(session *s, input *in) {
  s->memory.fail_at = s->memory.allocations + input_between(in, 0, 2);
}

static void call_attention(session *s, input *in) {
  if (!s->context) return;
  const case_spec spec = {.batch = input_between(in, 1, 2),
                          .heads_q = input_between(in, 1, 3),
                          .len_q = input_between(in, 1, 12),
                          .len_k = input_between(in, 1, 30),
                          .dim = input_between(in, 1, 12),
                          .lse = 1};
  attention_case c;
  case_open(&c, &spec, &s->source);
  feature_apply(&features[input_between(in, 0, feature_count - 1)], &c, &s->source);
  if (succeeded(s, (c.local ? attn_local : attn_global)(s->context, &c.args)))
    case_check_promise(&c);
  else
    case_assert_untouched(&c);
  case_close(&c);
}

static void call_softmax(session *s, input *in) {
  float numbers[256], lse[16];
  attn_softmax_args args = {.size = sizeof args, .rows = input_between(in, 0, 16)};
  if (!s->context) return;
  args.cols = input_between(in, 0, 16);
  args.input = args.output = numbers;
  args.lse = lse;
  for (int n = 0; n < 256; n++) numbers[n] = random_normal(&s->source);
  assert_true(succeeded(s, attn_softmax(s->context, &args)));
}

static void call_merge(session *s, input *in) {
  float output[128] = {0}, lse[16] = {0}, merged[128];
  const float *outputs[3] = {output, output, output}, *lses[3] = {lse, lse, lse};
  attn_merge_args args = {.size = sizeof args, .parts = input_between(in, 1, 3), .batch = 1, .heads = 2};
  if (!s->context) return;
  args.len_q = input_between(in, 0, 8);
  args.dim_v = input_between(in, 1, 8);
  args.outputs = outputs;
  args.lses = lses;
  args.output = merged;
  assert_true(succeeded(s, attn_merge(s->context, &args)));
}

static void call_describe(session *s, input *in) {
  attn_info info = {.size = (uint64_t)input_between(in, 1, (int64_t)(sizeof info / 8)) * 8};
  assert_int_equal(attn_describe(s->context, &info), s->context ? ATTN_OK : ATTN_ERROR_ARGUMENT);
  assert_non_null(attn_description(s->context));
}

/* A refusal on the way. */
static void call_refused(session *s, input *in) {
  const attn_args args = {.size = sizeof args, .dim = input_between(in, 0, 1), .len_q = -1};
  assert_int_equal(attn_global(s->context, &args), ATTN_ERROR_ARGUMENT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  void (*const calls[])(session * s, input * in) = {call_create,  call_attention, call_attention,
                                                    call_softmax, call_merge,     call_describe,
                                                    call_refused, call_fail,      call_destroy};
  input in = {data, size};
  session s = {.source = random_seeded(input_number(&in, 4))};
  call_create(&s, &in);
  for (int n = 0; n < MOST_CALLS && in.left > 0; n++)
    calls[input_between(&in, 0, (int64_t)COUNT_OF(calls) - 1)](&s, &in);
  call_destroy(&s, &in);
  return 0;
}
