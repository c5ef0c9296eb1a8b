/* test_self.c - the self-attention layer against the formulas of its parts in double.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "feature.h"
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
  return 0;
}

static void check_layer(layer_case *c) {
  layer_run(c, context);
  layer_check(c);
}

static void check_spec(const layer_spec *spec) {
  random_source source = random_seeded(support_seed());
  layer_case c;
  layer_open(&c, spec, &source);
  check_layer(&c);
  layer_close(&c);
}

static const layer_spec small = {.batch = 3,
                                 .heads_q = 4,
                                 .heads_kv = 2,
                                 .len = 13,
                                 .dim = 6,
                                 .dim_model = 11,
                                 .dim_output = 9,
                                 .project = 1,
                                 .x_layout = LAYOUT_PADDED,
                                 .output_layout = LAYOUT_PADDED};

/* With each set of biases; and without an output projection, where the heads stand side by side. */
static void test_projections(void **state) {
  (void)state;
  layer_spec spec = small;
  for (spec.single = 0; spec.single < 2; spec.single++)
    for (spec.biases = 0; spec.biases < 16; spec.biases++) {
      spec.dim_v = spec.single ? 5 : 0;
      spec.project = 1;
      spec.dim_output = 9;
      check_spec(&spec);
      spec.dim_output = 0;
      check_spec(&spec);
      spec.project = 0;
      spec.dim_output = spec.heads_q * (spec.single ? 5 : spec.dim);
      check_spec(&spec);
    }
}

/* Larger than the blocks that projections are made in. */
static void test_sizes(void **state) {
  (void)state;
  check_spec(&(layer_spec){.batch = 1,
                           .heads_q = 2,
                           .heads_kv = 1,
                           .len = 260,
                           .dim = 40,
                           .dim_model = 131,
                           .dim_output = 70,
                           .biases = 15,
                           .project = 1,
                           .rope = ATTN_ROPE_HALF});
  check_spec(&(layer_spec){
      .batch = 2, .heads_q = 1, .len = 1, .dim = 1, .dim_model = 1, .biases = 1, .project = 1});
  check_spec(&(layer_spec){
      .batch = 1, .heads_q = 3, .len = 5, .dim = 100, .dim_v = 30, .dim_model = 257, .project = 1});
}

static void test_layouts(void **state) {
  (void)state;
  const tensor_layout outputs[] = {LAYOUT_DENSE, LAYOUT_ROW_MAJOR, LAYOUT_PADDED};
  layer_spec spec = small;
  for (int x = 0; x < LAYOUT_INPUTS; x++)
    for (size_t n = 0; n < COUNT_OF(outputs); n++) {
      spec.x_layout = (tensor_layout)x;
      spec.output_layout = outputs[n];
      check_spec(&spec);
    }
}

static void test_rope(void **state) {
  (void)state;
  const char *const alignments[] = {NULL, "offset", "offsets", "causal"};
  layer_spec spec = small;
  for (spec.rope = ATTN_ROPE_HALF; spec.rope <= ATTN_ROPE_INTERLEAVED; spec.rope++)
    for (spec.rope_dim = 0; spec.rope_dim <= spec.dim; spec.rope_dim += 2)
      for (size_t n = 0; n < COUNT_OF(alignments); n++) {
        random_source source = random_seeded(support_seed());
        layer_case c;
        spec.rope_base = n % 2 ? 100 : 0;
        layer_open(&c, &spec, &source);
        if (alignments[n]) feature_apply(feature_named(alignments[n]), &c.options, &source);
        check_layer(&c);
        layer_close(&c);
      }
}

/* 1 for those of packed sequences, which a layer does not take. */
static int is_packed(const feature *f) {
  return strncmp(f->name, "packed", 6) == 0;
}

static void check_features(const layer_spec *spec, const feature *a, const feature *b,
                           random_source *source) {
  layer_case c;
  layer_open(&c, spec, source);
  feature_apply(a, &c.options, source);
  if (b) feature_apply(b, &c.options, source);
  check_layer(&c);
  layer_close(&c);
}

static void test_pairs_of_features(void **state) {
  (void)state;
  random_source source = random_seeded(support_seed());
  layer_spec spec = small;
  for (int64_t a = 0; a < feature_count; a++) {
    spec.rope = a % 2 ? ATTN_ROPE_HALF : ATTN_ROPE_INTERLEAVED;
    spec.project = a % 3 > 0;
    spec.dim_output = spec.project ? 9 : spec.heads_q * spec.dim;
    if (is_packed(&features[a])) continue;
    check_features(&spec, &features[a], NULL, &source);
    for (int64_t b = a + 1; b < feature_count; b++)
      if (feature_agrees(&features[a], &features[b]))
        check_features(&spec, &features[a], &features[b], &source);
  }
}

static void test_packed_weights_are_single_ones(void **state) {
  (void)state;
  layer_spec spec = small;
  random_source source = random_seeded(support_seed()), again = source;
  layer_case packed, single;
  spec.biases = 1;
  layer_open(&packed, &spec, &source);
  layer_open(&single, &spec, &again);
  const int64_t rows_q = spec.heads_q * spec.dim, rows_k = spec.heads_kv * spec.dim;
  single.args.weight_q = single.args.weight_qkv;
  single.args.weight_k = single.args.weight_q + rows_q * spec.dim_model;
  single.args.weight_v = single.args.weight_k + rows_k * spec.dim_model;
  single.args.bias_q = single.args.bias_qkv;
  single.args.bias_k = single.args.bias_q + rows_q;
  single.args.bias_v = single.args.bias_k + rows_k;
  single.args.weight_qkv = single.args.bias_qkv = NULL;
  layer_run(&packed, context);
  layer_run(&single, context);
  case_assert_same_bits(&packed.options, &single.options);
  layer_close(&packed);
  layer_close(&single);
}

/* Rows of x past both lengths stand in pages that cannot be read. */
static void test_rows_past_the_lengths_are_not_read(void **state) {
  (void)state;
  const int64_t page = sysconf(_SC_PAGESIZE), lengths_q[] = {3, 9, 0}, lengths_k[] = {7, 2, 0};
  layer_spec spec = small;
  random_source source = random_seeded(support_seed());
  layer_case c;
  spec.dim_model = page / (int64_t)sizeof(float);
  spec.x_layout = LAYOUT_DENSE;
  spec.rope = ATTN_ROPE_HALF;
  layer_open(&c, &spec, &source);
  c.options.args.lengths_q = lengths_q;
  c.options.args.lengths_k = lengths_k;
  for (int64_t b = 0; b < spec.batch; b++) {
    const int64_t end = lengths_q[b] > lengths_k[b] ? lengths_q[b] : lengths_k[b];
    assert_int_equal(mprotect(tensor_row(&c.x, b, 0, end), (size_t)((spec.len - end) * page), PROT_NONE),
                     0);
  }
  check_layer(&c);
  layer_close(&c);
}

/* Work for many threads, with each feature in turn. */
static const layer_spec large = {.batch = 2,
                                 .heads_q = 4,
                                 .heads_kv = 2,
                                 .len = 140,
                                 .dim = 24,
                                 .dim_model = 150,
                                 .dim_output = 130,
                                 .biases = 15,
                                 .project = 1,
                                 .rope = ATTN_ROPE_HALF};

static void check_threads(const feature *on, attn_context *const others[3]) {
  random_source source = random_seeded(support_seed()), again = source;
  layer_case one, several;
  layer_open(&one, &large, &source);
  layer_open(&several, &large, &again);
  feature_apply(on, &one.options, &source);
  feature_apply(on, &several.options, &again);
  layer_run(&one, others[0]);
  for (int n = 1; n < 3; n++) {
    layer_run(&several, others[n]);
    case_assert_same_bits(&one.options, &several.options);
  }
  layer_close(&one);
  layer_close(&several);
}

static void test_numbers_of_threads(void **state) {
  (void)state;
  attn_context *const others[3] = {context_with_threads(1), context_with_threads(3),
                                   context_with_threads(8)};
  for (int64_t n = 0; n < feature_count; n++)
    if (!is_packed(&features[n])) check_threads(&features[n], others);
  for (int n = 0; n < 3; n++) attn_destroy(others[n]);
}

/* Of nothing there are no rows that could overlap. */
static void test_an_empty_batch_may_have_any_strides(void **state) {
  (void)state;
  static const float weights[48];
  static const int64_t strides[2] = {0, 0};
  const attn_args attention = {.size = sizeof attention, .heads_q = 1, .len_q = 3, .len_k = 3, .dim = 4};
  const attn_self_args args = {.size = sizeof args,
                               .attention = &attention,
                               .dim_model = 4,
                               .weight_qkv = weights,
                               .x_strides = strides,
                               .output_strides = strides};
  if (attn_self(context, &args) != ATTN_OK) fail_msg("%s", attn_last_error(context));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_an_empty_batch_may_have_any_strides),
      cmocka_unit_test(test_projections),
      cmocka_unit_test(test_sizes),
      cmocka_unit_test(test_layouts),
      cmocka_unit_test(test_rope),
      cmocka_unit_test(test_pairs_of_features),
      cmocka_unit_test(test_packed_weights_are_single_ones),
      cmocka_unit_test(test_rows_past_the_lengths_are_not_read),
      cmocka_unit_test(test_numbers_of_threads),
  };
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, open_context, close_context);
}
