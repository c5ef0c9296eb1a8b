/* fuzz_arguments.c - any numbers in the fields of the public structs and in strides: an answer, or a refusal that
 * touches no array.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <stdlib.h>

#include "hostile.h"
#include "input.h"

enum { NUMBERS = 4096, LISTS = 12 };

static attn_context *context;
static float *forbidden;
static float real[16][NUMBERS];

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  setenv("CMOCKA_TEST_ABORT", "1", 1);
  context = context_with_threads(2);
  forbidden = guarded_forbidden(64 * HOSTILE_APART).data;
  return 0;
}

/* A few fields set to what the input says. */
static void set_fields(input *in, const hostile_struct *structure, void *args) {
  static const size_t sizes[FIELD_KINDS] = {sizeof(int32_t), sizeof(int64_t), sizeof(float)};
  for (int64_t count = input_between(in, 0, 6); count > 0; count--) {
    const hostile_field *field =
        &structure->fields[input_between(in, 0, (int64_t)structure->field_count - 1)];
    input_copy(in, (char *)args + field->offset, sizes[field->kind]);
  }
}

/* Pointers of a struct: some dropped, some a few bytes off, and strides as the input says. */
static void set_pointers(input *in, const hostile_struct *structure, void *args,
                         int64_t strides[LISTS][4]) {
  for (int64_t count = input_between(in, 0, 4); count > 0; count--) {
    const hostile_pointer *pointer =
        &structure->pointers[input_between(in, 0, (int64_t)structure->pointer_count - 1)];
    char *at = (char *)args + pointer->offset;
    const int64_t list = input_between(in, 0, LISTS - 1), what = input_between(in, 0, 2);
    uintptr_t address = what == 0 ? 0 : (uintptr_t)forbidden + (uintptr_t)input_between(in, 0, 8);
    if (pointer->alignment == sizeof(int64_t) && what > 0) {
      input_copy(in, strides[list], sizeof strides[list]);
      address = (uintptr_t)strides[list];
    }
    if (pointer->alignment > 0) memcpy(at, &address, sizeof address);
  }
}

static attn_args attention_args(input *in, int64_t strides[LISTS][4]) {
  attn_args args = {.size = sizeof args,
                    .batch = 1,
                    .heads_q = 2,
                    .len_q = 3,
                    .len_k = 4,
                    .dim = 4,
                    .query = forbidden,
                    .key = forbidden + 1000,
                    .value = forbidden + 2000,
                    .output = forbidden + 3000};
  set_fields(in, &hostile_args, &args);
  set_pointers(in, &hostile_args, &args, strides);
  if (args.batch > 1) /* lists with a number for each entry are read */
    args.offsets = args.lengths_q = args.lengths_k = args.starts_q = args.starts_k = NULL;
  return args;
}

/* A call small enough for plain arrays. */
static void run_small(const attn_args *given) {
  attn_args args = *given;
  if (args.batch > 2 || args.heads_q > 4 || args.heads_kv > 4 || args.len_q > 8 || args.len_k > 8 ||
      args.dim > 8 || args.dim_v > 8 || args.predict_dim > 8)
    return;
  args.query_strides = args.key_strides = args.value_strides = args.output_strides = NULL;
  args.weights_strides = args.lse_strides = args.scores_strides = args.bias_strides = NULL;
  args.mask_strides = args.centers_strides = args.residual_strides = NULL;
  args.starts_q = args.starts_k = NULL;
  const size_t outputs[] = {offsetof(attn_args, output), offsetof(attn_args, weights),
                            offsetof(attn_args, lse), offsetof(attn_args, scores)};
  for (size_t n = 0, next = 1; n < hostile_args.pointer_count; n++) {
    const float *there, *instead = real[0];
    const size_t offset = hostile_args.pointers[n].offset;
    memcpy(&there, (const char *)&args + offset, sizeof there);
    for (size_t o = 0; o < COUNT_OF(outputs); o++)
      if (outputs[o] == offset) instead = real[next++];
    if (there && hostile_args.pointers[n].alignment <= sizeof(float))
      memcpy((char *)&args + offset, &instead, sizeof instead);
  }
  attn_global(context, &args);
  attn_local(context, &args);
}

static void try_attention(input *in) {
  static const hostile_struct *const structs[] = {&hostile_args, NULL};
  int64_t strides[LISTS][4] = {{0}};
  attn_plan plan = {.size = sizeof plan};
  const attn_args args = attention_args(in, strides);
  if (hostile_check(context, attn_explain(context, &args, &plan), structs))
    run_small(&args);
  else
    assert_false(hostile_check(context, attn_global(context, &args), structs));
}

static void try_layer(input *in) {
  static const hostile_struct *const structs[] = {&hostile_self, &hostile_args, NULL};
  int64_t strides[LISTS][4] = {{0}};
  attn_plan plan = {.size = sizeof plan};
  attn_args attention = attention_args(in, strides);
  attention.len_k = attention.len_q;
  attention.query = attention.key = attention.value = attention.output = NULL;
  attn_self_args args = {.size = sizeof args,
                         .attention = &attention,
                         .dim_model = 8,
                         .x = forbidden,
                         .output = forbidden + 1000,
                         .weight_qkv = forbidden + 2000,
                         .weight_o = forbidden + 3000};
  set_fields(in, &hostile_self, &args);
  set_pointers(in, &hostile_self, &args, strides);
  if (!hostile_check(context, attn_explain_self(context, &args, &plan), structs))
    assert_false(hostile_check(context, attn_self(context, &args), structs));
}

/* Bytes as they come for a struct's size and its tail. */
static void try_struct(input *in) {
  static const hostile_struct *const structs[] = {&hostile_args, NULL};
  attn_plan plan = {.size = sizeof plan};
  uint64_t bytes[4096 / sizeof(uint64_t)] = {0}; /* the largest size that may be read */
  const attn_args args = {.size = sizeof args, .dim = 1};
  memcpy(bytes, &args, sizeof args);
  bytes[0] = input_number(in, 2);
  input_copy(in, (char *)bytes + sizeof args, 64);
  hostile_check(context, attn_explain(context, (const attn_args *)(const void *)bytes, &plan), structs);
  plan.size = bytes[0];
  if (plan.size > sizeof plan) return;
  assert_int_equal(attn_explain(context, &args, &plan) == ATTN_OK, plan.size >= 8 && plan.size % 8 == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  void (*const tries[])(input * in) = {try_attention, try_layer, try_struct};
  input in = {data, size};
  tries[input_between(&in, 0, (int64_t)COUNT_OF(tries) - 1)](&in);
  return 0;
}
