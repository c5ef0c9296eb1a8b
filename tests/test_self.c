/* test_self.c - the self-attention layer against the formulas of its parts in double.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "feature.h"
#include "naive_layer.h"

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

/* What a layer is made from; zero in a field means what it means in attn_self_args. */
typedef struct layer_spec {
  int64_t batch, heads_q, heads_kv, len, dim, dim_v, dim_model, dim_output;
  int single;  /* 1: weights one by one, else packed */
  int biases;  /* bits: q, k, v, o */
  int project; /* 1: an output projection */
  int32_t rope;
  float rope_base;
  int64_t rope_dim;
  tensor_layout x_layout, output_layout;
} layer_spec;

/* The call. It points into itself, so it must not be copied. */
typedef struct layer_case {
  attention_case options; /* and what attention gives; its output is the layer's */
  attn_args attention;
  attn_self_args args;
  tensor x;
  int64_t x_strides[2], output_strides[2];
} layer_case;

static float *floats_of(layer_case *c, int64_t count, double size, random_source *source) {
  float *array = case_array(&c->options, count * (int64_t)sizeof *array);
  for (int64_t n = 0; n < count; n++) array[n] = (float)(size * (double)random_normal(source));
  return array;
}

/* Weights of rows, or biases where they are wanted. */
static float *bias_of(layer_case *c, const layer_spec *spec, int which, int64_t rows,
                      random_source *source) {
  return spec->biases >> which & 1 ? floats_of(c, rows, 1, source) : NULL;
}

static void open_weights(layer_case *c, const layer_spec *spec, random_source *source) {
  const attn_args *options = &c->options.args;
  const int64_t dim_v = spec->dim_v ? spec->dim_v : spec->dim;
  const int64_t heads_kv = spec->heads_kv ? spec->heads_kv : spec->heads_q;
  const int64_t rows_q = spec->heads_q * spec->dim, rows_k = heads_kv * spec->dim,
                rows_v = heads_kv * dim_v;
  const int64_t in = spec->dim_model, heads = options->heads_q * dim_v;
  const double size = 1 / sqrt((double)in), size_o = 1 / sqrt((double)heads);
  if (spec->single) {
    c->args.weight_q = floats_of(c, rows_q * in, size, source);
    c->args.weight_k = floats_of(c, rows_k * in, size, source);
    c->args.weight_v = floats_of(c, rows_v * in, size, source);
    c->args.bias_q = bias_of(c, spec, 0, rows_q, source);
    c->args.bias_k = bias_of(c, spec, 1, rows_k, source);
    c->args.bias_v = bias_of(c, spec, 2, rows_v, source);
  } else {
    c->args.weight_qkv = floats_of(c, (rows_q + rows_k + rows_v) * in, size, source);
    c->args.bias_qkv = bias_of(c, spec, 0, rows_q + rows_k + rows_v, source);
  }
  if (!spec->project) return;
  c->args.weight_o = floats_of(c, c->options.output.width * heads, size_o, source);
  c->args.bias_o = bias_of(c, spec, 3, c->options.output.width, source);
}

static void take_strides(const tensor *t, int64_t strides[2]) {
  strides[0] = t->strides[0];
  strides[1] = t->strides[2];
}

/* The options begin as those of attention over arrays that the layer does not have. */
static void open_layer(layer_case *c, const layer_spec *spec, random_source *source) {
  const int64_t width = spec->dim_output ? spec->dim_output : spec->dim_model;
  const case_spec options = {.batch = spec->batch,
                             .heads_q = spec->heads_q,
                             .heads_kv = spec->heads_kv,
                             .len_q = spec->len,
                             .len_k = spec->len,
                             .dim = spec->dim,
                             .dim_v = spec->dim_v,
                             .lse = 1};
  *c = (layer_case){0};
  case_open(&c->options, &options, source);
  tensor_free(&c->options.output);
  c->options.output =
      tensor_make((int64_t[4]){spec->batch, 1, spec->len, width}, spec->output_layout, GUARD_AFTER);
  c->x =
      tensor_make((int64_t[4]){spec->batch, 1, spec->len, spec->dim_model}, spec->x_layout, GUARD_BEFORE);
  tensor_fill_normal(&c->x, source);
  take_strides(&c->x, c->x_strides);
  take_strides(&c->options.output, c->output_strides);
  c->args = (attn_self_args){.size = sizeof(attn_self_args),
                             .attention = &c->attention,
                             .dim_model = spec->dim_model,
                             .dim_output = spec->dim_output,
                             .x = c->x.first,
                             .x_strides = c->x_strides,
                             .output = c->options.output.first,
                             .output_strides = c->output_strides,
                             .rope = spec->rope,
                             .rope_base = spec->rope_base,
                             .rope_dim = spec->rope_dim};
  open_weights(c, spec, source);
}

static void close_layer(layer_case *c) {
  tensor_free(&c->x);
  case_close(&c->options);
}

static void run_layer_in(layer_case *c, attn_context *used) {
  tensor *outputs[] = {&c->options.output, &c->options.weights, &c->options.lse, &c->options.scores};
  for (size_t n = 0; n < COUNT_OF(outputs); n++) tensor_fill_canary(outputs[n]);
  c->attention = c->options.args;
  c->attention.query = c->attention.key = c->attention.value = NULL;
  c->attention.query_strides = c->attention.key_strides = c->attention.value_strides = NULL;
  c->attention.output = NULL;
  c->attention.output_strides = NULL;
  if (attn_self(used, &c->args) != ATTN_OK) fail_msg("%s: %s", c->options.name, attn_last_error(used));
}

static void run_layer(layer_case *c) {
  run_layer_in(c, context);
}

/* Weights, LSE and scores of the heads, which have no output of their own. */
static void check_heads(const layer_case *c, const naive_layer *layer) {
  attention_case heads = c->options;
  heads.args = layer->heads;
  heads.output = (tensor){0};
  naive_row expected = naive_row_make(&layer->heads);
  for (int64_t b = 0; b < heads.args.batch; b++)
    for (int64_t h = 0; h < heads.args.heads_q; h++)
      for (int64_t i = 0; i < heads.args.len_q; i++) {
        naive_attention(&heads.args, b, h, i, &expected);
        case_check_row(&heads, (int64_t[3]){b, h, i}, &expected, 2);
      }
  naive_row_free(&expected);
}

static void check_output(const layer_case *c, const naive_layer *layer) {
  const tensor *output = &c->options.output;
  double expected[1024], bound[1024];
  assert_true(output->width <= 1024);
  for (int64_t b = 0; b < output->batch; b++)
    for (int64_t i = 0; i < output->rows; i++) {
      const double largest = naive_layer_row(layer, b, i, expected, bound);
      const double tolerance = 2e-6 * fmax(1, largest / 5);
      for (int64_t d = 0; d < output->width; d++) {
        const double error = fabs((double)tensor_row(output, b, 0, i)[d] - expected[d]);
        if (!(error <= tolerance * bound[d]))
          fail_msg("%s: batch %ld row %ld element %ld is %g, expected %g, error at most %g",
                   c->options.name, (long)b, (long)i, (long)d, (double)tensor_row(output, b, 0, i)[d],
                   expected[d], tolerance * bound[d]);
      }
    }
  assert_int_equal(tensor_count_spilled(output), 0);
}

static void check_layer(layer_case *c) {
  naive_layer layer;
  run_layer(c);
  naive_layer_open(&layer, &c->args);
  check_heads(c, &layer);
  check_output(c, &layer);
  naive_layer_close(&layer);
}

static void check_spec(const layer_spec *spec) {
  random_source source = random_seeded(support_seed());
  layer_case c;
  open_layer(&c, spec, &source);
  check_layer(&c);
  close_layer(&c);
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
        open_layer(&c, &spec, &source);
        if (alignments[n]) feature_apply(feature_named(alignments[n]), &c.options, &source);
        check_layer(&c);
        close_layer(&c);
      }
}

/* 1 for those of packed sequences, which a layer does not take. */
static int is_packed(const feature *f) {
  return strncmp(f->name, "packed", 6) == 0;
}

static void check_features(const layer_spec *spec, const feature *a, const feature *b,
                           random_source *source) {
  layer_case c;
  open_layer(&c, spec, source);
  feature_apply(a, &c.options, source);
  if (b) feature_apply(b, &c.options, source);
  check_layer(&c);
  close_layer(&c);
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
  open_layer(&packed, &spec, &source);
  open_layer(&single, &spec, &again);
  const int64_t rows_q = spec.heads_q * spec.dim, rows_k = spec.heads_kv * spec.dim;
  single.args.weight_q = single.args.weight_qkv;
  single.args.weight_k = single.args.weight_q + rows_q * spec.dim_model;
  single.args.weight_v = single.args.weight_k + rows_k * spec.dim_model;
  single.args.bias_q = single.args.bias_qkv;
  single.args.bias_k = single.args.bias_q + rows_q;
  single.args.bias_v = single.args.bias_k + rows_k;
  single.args.weight_qkv = single.args.bias_qkv = NULL;
  run_layer(&packed);
  run_layer(&single);
  case_assert_same_bits(&packed.options, &single.options);
  close_layer(&packed);
  close_layer(&single);
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
  open_layer(&c, &spec, &source);
  c.options.args.lengths_q = lengths_q;
  c.options.args.lengths_k = lengths_k;
  for (int64_t b = 0; b < spec.batch; b++) {
    const int64_t end = lengths_q[b] > lengths_k[b] ? lengths_q[b] : lengths_k[b];
    assert_int_equal(mprotect(tensor_row(&c.x, b, 0, end), (size_t)((spec.len - end) * page), PROT_NONE),
                     0);
  }
  check_layer(&c);
  close_layer(&c);
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
  open_layer(&one, &large, &source);
  open_layer(&several, &large, &again);
  feature_apply(on, &one.options, &source);
  feature_apply(on, &several.options, &again);
  run_layer_in(&one, others[0]);
  for (int n = 1; n < 3; n++) {
    run_layer_in(&several, others[n]);
    case_assert_same_bits(&one.options, &several.options);
  }
  close_layer(&one);
  close_layer(&several);
}

static void test_numbers_of_threads(void **state) {
  (void)state;
  attn_context *const others[3] = {context_with_threads(1), context_with_threads(3),
                                   context_with_threads(8)};
  for (int64_t n = 0; n < feature_count; n++)
    if (!is_packed(&features[n])) check_threads(&features[n], others);
  for (int n = 0; n < 3; n++) attn_destroy(others[n]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
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
