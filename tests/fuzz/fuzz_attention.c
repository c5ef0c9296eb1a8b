/* fuzz_attention.c - any small shape with any options, by either engine, against the formulas in double.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <stdlib.h>

#include "feature.h"
#include "input.h"

static attn_context *contexts[4];

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  setenv("CMOCKA_TEST_ABORT", "1", 1);
  for (int n = 0; n < 4; n++) {
    const attn_options options = {.size = sizeof options,
                                  .threads = n % 2 + 1,
                                  .engine = n / 2 ? ATTN_ENGINE_BLAS : ATTN_ENGINE_BUILTIN,
                                  .isa = n == 1 ? ATTN_ISA_REFERENCE : ATTN_ISA_AUTO};
    assert_int_equal(attn_create(&contexts[n], &options), ATTN_OK);
  }
  return 0;
}

static case_spec shape_of(input *in) {
  case_spec spec = {.batch = input_between(in, 1, 3), .heads_kv = input_between(in, 1, 2)};
  spec.heads_q = spec.heads_kv * input_between(in, 1, 2);
  spec.len_q = input_between(in, 1, input_between(in, 0, 15) ? 12 : 70);
  spec.len_k = input_between(in, 1, input_between(in, 0, 15) ? 30 : 140);
  spec.dim = input_between(in, 1, 20);
  spec.dim_v = input_between(in, 0, 20);
  spec.lse = 1;
  spec.query_layout = (tensor_layout)input_between(in, 0, LAYOUT_INPUTS - 1);
  spec.key_layout = (tensor_layout)input_between(in, 0, LAYOUT_INPUTS - 1);
  spec.value_layout = (tensor_layout)input_between(in, 0, LAYOUT_INPUTS - 1);
  spec.output_layout = (tensor_layout)input_between(in, 0, LAYOUT_OUTPUTS - 1);
  spec.side = input_between(in, 0, 1) ? GUARD_BEFORE : GUARD_AFTER;
  return spec;
}

/* 1 if a feature goes with all that are on. */
static int agrees_with_all(const feature *f, const int *on) {
  for (int64_t n = 0; n < feature_count; n++)
    if (on[n] && !feature_agrees(f, &features[n])) return 0;
  return 1;
}

/* Each bit of a number asks for a feature; those that do not go with what is on already are left out. */
static void apply_features(input *in, attention_case *c, random_source *source) {
  const uint64_t wanted = input_number(in, 5);
  int on[64] = {0};
  assert_true(feature_count <= 64);
  for (int64_t n = 0; n < feature_count; n++) {
    if (!(wanted >> n & 1) || !agrees_with_all(&features[n], on)) continue;
    feature_apply(&features[n], c, source);
    on[n] = 1;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input in = {data, size};
  attn_context *context = contexts[input_between(&in, 0, 3)];
  const case_spec spec = shape_of(&in);
  random_source source = random_seeded(input_number(&in, 4));
  attention_case c;
  case_open(&c, &spec, &source);
  apply_features(&in, &c, &source);
  case_run(&c, context);
  case_check_promise(&c);
  case_close(&c);
  return 0;
}
