/* hostile.c - the fields of the public structs and the extreme values that each may be given.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "hostile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define INT32(type, field)                                                                                 \
  { #field, offsetof(type, field), FIELD_INT32 }
#define INT64(type, field)                                                                                 \
  { #field, offsetof(type, field), FIELD_INT64 }
#define FLOAT(type, field)                                                                                 \
  { #field, offsetof(type, field), FIELD_FLOAT }
#define POINTER(type, field)                                                                               \
  { #field, offsetof(type, field), sizeof *((type *)0)->field }

#define STRUCT(type, field)                                                                                \
  { #field, offsetof(type, field), 0 }

static const hostile_field args_fields[] = {
    INT64(attn_args, batch),        INT64(attn_args, heads_q),       INT64(attn_args, heads_kv),
    INT64(attn_args, len_q),        INT64(attn_args, len_k),         INT64(attn_args, dim),
    INT64(attn_args, dim_v),        INT32(attn_args, has_scale),     FLOAT(attn_args, scale),
    INT32(attn_args, causal),       INT32(attn_args, has_window),    INT64(attn_args, offset),
    INT32(attn_args, scores_stage), FLOAT(attn_args, softcap),       INT64(attn_args, window_left),
    INT64(attn_args, window_right), INT64(attn_args, window_prefix), INT64(attn_args, window_dilation),
    INT64(attn_args, predict_dim),  FLOAT(attn_args, sigma),         INT32(attn_args, score_function),
    INT32(attn_args, norm),         FLOAT(attn_args, norm_epsilon)};
static const hostile_pointer args_pointers[] = {POINTER(attn_args, query),
                                                POINTER(attn_args, key),
                                                POINTER(attn_args, value),
                                                POINTER(attn_args, output),
                                                POINTER(attn_args, query_strides),
                                                POINTER(attn_args, key_strides),
                                                POINTER(attn_args, value_strides),
                                                POINTER(attn_args, output_strides),
                                                POINTER(attn_args, weights),
                                                POINTER(attn_args, weights_strides),
                                                POINTER(attn_args, lse),
                                                POINTER(attn_args, lse_strides),
                                                POINTER(attn_args, scores),
                                                POINTER(attn_args, scores_strides),
                                                POINTER(attn_args, bias),
                                                POINTER(attn_args, mask),
                                                POINTER(attn_args, bias_strides),
                                                POINTER(attn_args, alibi_slopes),
                                                POINTER(attn_args, mask_strides),
                                                POINTER(attn_args, offsets),
                                                POINTER(attn_args, lengths_q),
                                                POINTER(attn_args, lengths_k),
                                                POINTER(attn_args, starts_q),
                                                POINTER(attn_args, starts_k),
                                                POINTER(attn_args, sinks),
                                                POINTER(attn_args, centers),
                                                POINTER(attn_args, centers_strides),
                                                POINTER(attn_args, predict_matrix),
                                                POINTER(attn_args, predict_vector),
                                                POINTER(attn_args, score_weight),
                                                POINTER(attn_args, residual),
                                                POINTER(attn_args, residual_strides),
                                                POINTER(attn_args, norm_gain),
                                                POINTER(attn_args, norm_shift)};
const hostile_struct hostile_args = {
    "args", sizeof(attn_args), args_fields, COUNT_OF(args_fields), args_pointers, COUNT_OF(args_pointers)};

static const hostile_field self_fields[] = {
    INT64(attn_self_args, dim_model), INT64(attn_self_args, dim_output), INT32(attn_self_args, rope),
    FLOAT(attn_self_args, rope_base), INT64(attn_self_args, rope_dim)};
static const hostile_pointer self_pointers[] = {
    STRUCT(attn_self_args, attention),       POINTER(attn_self_args, x),
    POINTER(attn_self_args, x_strides),      POINTER(attn_self_args, output),
    POINTER(attn_self_args, output_strides), POINTER(attn_self_args, weight_qkv),
    POINTER(attn_self_args, weight_q),       POINTER(attn_self_args, weight_k),
    POINTER(attn_self_args, weight_v),       POINTER(attn_self_args, weight_o),
    POINTER(attn_self_args, bias_qkv),       POINTER(attn_self_args, bias_q),
    POINTER(attn_self_args, bias_k),         POINTER(attn_self_args, bias_v),
    POINTER(attn_self_args, bias_o)};
const hostile_struct hostile_self = {"args",        sizeof(attn_self_args),
                                     self_fields,   COUNT_OF(self_fields),
                                     self_pointers, COUNT_OF(self_pointers)};

static const hostile_field merge_fields[] = {INT64(attn_merge_args, parts), INT64(attn_merge_args, batch),
                                             INT64(attn_merge_args, heads), INT64(attn_merge_args, len_q),
                                             INT64(attn_merge_args, dim_v)};
static const hostile_pointer merge_pointers[] = {POINTER(attn_merge_args, outputs),
                                                 POINTER(attn_merge_args, lses),
                                                 POINTER(attn_merge_args, outputs_strides),
                                                 POINTER(attn_merge_args, lses_strides),
                                                 POINTER(attn_merge_args, output),
                                                 POINTER(attn_merge_args, output_strides),
                                                 POINTER(attn_merge_args, lse),
                                                 POINTER(attn_merge_args, lse_strides)};
const hostile_struct hostile_merge = {"args",         sizeof(attn_merge_args),
                                      merge_fields,   COUNT_OF(merge_fields),
                                      merge_pointers, COUNT_OF(merge_pointers)};

static const hostile_field softmax_fields[] = {
    INT64(attn_softmax_args, rows),         INT64(attn_softmax_args, cols),
    INT64(attn_softmax_args, input_stride), INT64(attn_softmax_args, output_stride),
    INT32(attn_softmax_args, has_scale),    FLOAT(attn_softmax_args, scale)};
static const hostile_pointer softmax_pointers[] = {
    POINTER(attn_softmax_args, input), POINTER(attn_softmax_args, output), POINTER(attn_softmax_args, lse)};
const hostile_struct hostile_softmax = {"args",           sizeof(attn_softmax_args),
                                        softmax_fields,   COUNT_OF(softmax_fields),
                                        softmax_pointers, COUNT_OF(softmax_pointers)};

static const hostile_field options_fields[] = {
    INT32(attn_options, threads),  INT32(attn_options, engine), INT32(attn_options, isa),
    INT32(attn_options, reserved), INT32(attn_options, wipe),   INT32(attn_options, reserved_2)};
const hostile_struct hostile_options = {
    "options", sizeof(attn_options), options_fields, COUNT_OF(options_fields), NULL, 0};

static const int32_t extremes32[] = {INT32_MIN, -1, 0, 1, 2, 3, INT32_MAX};
static const int64_t extremes64[] = {INT64_MIN, -1, 0, 1, (int64_t)1 << 31, (int64_t)1 << 62, INT64_MAX};
static const float extremes[] = {NAN, INFINITY, -INFINITY, 0, -1, 1e-45f, 3e38f};

int hostile_count(const hostile_field *field) {
  const size_t counts[FIELD_KINDS] = {COUNT_OF(extremes32), COUNT_OF(extremes64), COUNT_OF(extremes)};
  return (int)counts[field->kind];
}

void hostile_set(void *structure, const hostile_field *field, int value) {
  void *at = (char *)structure + field->offset;
  if (field->kind == FIELD_INT32) memcpy(at, &extremes32[value], sizeof *extremes32);
  if (field->kind == FIELD_INT64) memcpy(at, &extremes64[value], sizeof *extremes64);
  if (field->kind == FIELD_FLOAT) memcpy(at, &extremes[value], sizeof *extremes);
}

int hostile_is_wild(const hostile_field *field, int value) {
  return field->kind == FIELD_FLOAT && !(fabsf(extremes[value]) <= 1);
}

void hostile_forbid(const hostile_struct *structure, void *args, float *forbidden) {
  for (size_t n = 0; n < structure->pointer_count; n++) {
    char *at = (char *)args + structure->pointers[n].offset;
    float *there, *instead = forbidden + n * HOSTILE_APART;
    memcpy(&there, at, sizeof there);
    if (there && structure->pointers[n].alignment > 0 && structure->pointers[n].alignment <= sizeof(float))
      memcpy(at, &instead, sizeof instead);
  }
}

/* 1 if the sentence begins with this word and a colon. */
static int begins_with(const char *sentence, const char *word) {
  const size_t length = strlen(word);
  return strncmp(sentence, word, length) == 0 && strncmp(sentence + length, ": ", 2) == 0;
}

static int names_a_field(const char *sentence, const hostile_struct *structure) {
  if (begins_with(sentence, structure->name)) return 1;
  for (size_t n = 0; n < structure->field_count; n++)
    if (begins_with(sentence, structure->fields[n].name)) return 1;
  for (size_t n = 0; n < structure->pointer_count; n++)
    if (begins_with(sentence, structure->pointers[n].name)) return 1;
  return 0;
}

int64_t hostile_calls;

int hostile_check(const attn_context *context, int32_t status, const hostile_struct *const *structs) {
  const char *sentence = attn_last_error(context);
  hostile_calls++;
  if (status == ATTN_OK) {
    assert_string_equal(sentence, "");
    return 1;
  }
  assert_int_equal(status, ATTN_ERROR_ARGUMENT);
  for (; *structs; structs++)
    if (names_a_field(sentence, *structs)) return 0;
  fail_msg("expected a sentence that names an argument, got \"%s\"", sentence);
  return 0;
}

int hostile_long_form(void) {
  const char *text = getenv("ATTN_TEST_LONG");
  return text && strcmp(text, "1") == 0;
}
