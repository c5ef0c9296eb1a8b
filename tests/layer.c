/* layer.c - one attn_self call as a test sees it.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "layer.h"

#include <math.h>

#include "naive_layer.h"

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

void layer_open(layer_case *c, const layer_spec *spec, random_source *source) {
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

void layer_close(layer_case *c) {
  tensor_free(&c->x);
  case_close(&c->options);
}

int32_t layer_call(layer_case *c, attn_context *context) {
  c->attention = c->options.args;
  c->attention.query = c->attention.key = c->attention.value = NULL;
  c->attention.query_strides = c->attention.key_strides = c->attention.value_strides = NULL;
  c->attention.output = NULL;
  c->attention.output_strides = NULL;
  return attn_self(context, &c->args);
}

void layer_run(layer_case *c, attn_context *context) {
  tensor *outputs[] = {&c->options.output, &c->options.weights, &c->options.lse, &c->options.scores};
  for (size_t n = 0; n < COUNT_OF(outputs); n++) tensor_fill_canary(outputs[n]);
  if (layer_call(c, context) != ATTN_OK) fail_msg("%s: %s", c->options.name, attn_last_error(context));
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

void layer_check(const layer_case *c) {
  naive_layer layer;
  naive_layer_open(&layer, &c->args);
  check_heads(c, &layer);
  check_output(c, &layer);
  naive_layer_close(&layer);
}
