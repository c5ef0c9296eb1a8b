/* feature.c - the options of attention, each of which a test can switch on for a case.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "feature.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What kinds of features exclude each other. */
enum {
  OFFSET = 1,
  FUNCTION = 2,
  NORM = 4,
  MIDDLE = 8,        /* of the window */
  DILATION = MIDDLE, /* goes with no other middle */
  STAGE = 16,
  MASK = 32,
  BIAS = 64,
  SIDES = 128 /* of the window */
};

static float *floats_of(attention_case *c, int64_t count, random_source *source) {
  float *array = case_array(c, count * (int64_t)sizeof *array);
  for (int64_t n = 0; n < count; n++) array[n] = random_normal(source);
  return array;
}

static int64_t *numbers_of(attention_case *c, int64_t count) {
  return case_array(c, count * (int64_t)sizeof(int64_t));
}

/* The first row of each sequence and the end of the last. The first sequence is full, the second empty; rows
 * before the first belong to none. */
static int64_t *starts_of(attention_case *c, int64_t len, random_source *source) {
  int64_t *starts = numbers_of(c, c->args.batch + 1);
  starts[0] = random_between(source, 0, 3);
  for (int64_t b = 0; b < c->args.batch; b++)
    starts[b + 1] = starts[b] + (b == 0 ? len : b == 1 ? 0 : random_between(source, 0, len));
  return starts;
}

/* Lays an array out for rows of packed sequences instead of those that it has. */
static void pack(tensor *t, int64_t rows, tensor_layout layout, guard_side side) {
  const int64_t shape[4] = {1, t->heads, rows, t->width};
  tensor_free(t);
  *t = tensor_make(shape, layout, side);
}

static void apply_packed_q(attention_case *c, random_source *source) {
  const int64_t *starts = starts_of(c, c->args.len_q, source);
  pack(&c->query, starts[c->args.batch], c->spec.query_layout, c->spec.side);
  pack(&c->output, starts[c->args.batch], c->spec.output_layout, c->spec.side);
  tensor_fill_normal(&c->query, source);
  c->args.starts_q = starts;
  c->args.query = c->query.first;
  c->args.output = c->output.first;
}

static void apply_packed_k(attention_case *c, random_source *source) {
  const int64_t *starts = starts_of(c, c->args.len_k, source);
  pack(&c->key, starts[c->args.batch], c->spec.key_layout, c->spec.side);
  pack(&c->value, starts[c->args.batch], c->spec.value_layout, c->spec.side);
  tensor_fill_normal(&c->key, source);
  tensor_fill_normal(&c->value, source);
  c->args.starts_k = starts;
  c->args.key = c->key.first;
  c->args.value = c->value.first;
}

/* The last is the full length, those before it are not. */
static int64_t *lengths_of(attention_case *c, int64_t len, random_source *source) {
  int64_t *lengths = numbers_of(c, c->args.batch);
  for (int64_t b = 0; b < c->args.batch; b++)
    lengths[b] = b + 1 == c->args.batch && b > 0 ? len : random_between(source, len / 3, len - 1);
  return lengths;
}

static void apply_lengths_q(attention_case *c, random_source *source) {
  c->args.lengths_q = lengths_of(c, c->args.len_q, source);
}

static void apply_lengths_k(attention_case *c, random_source *source) {
  c->args.lengths_k = lengths_of(c, c->args.len_k, source);
}

static int64_t random_offset(const attention_case *c, random_source *source) {
  return random_between(source, -c->args.len_q, c->args.len_k);
}

static void apply_offset(attention_case *c, random_source *source) {
  c->args.offset = random_offset(c, source);
}

static void apply_offsets(attention_case *c, random_source *source) {
  int64_t *offsets = numbers_of(c, c->args.batch);
  for (int64_t b = 0; b < c->args.batch; b++) offsets[b] = random_offset(c, source);
  c->args.offset = 0;
  c->args.offsets = offsets;
}

static void apply_causal(attention_case *c, random_source *source) {
  (void)source;
  c->args.causal = 1;
}

static void set_window(attention_case *c, int64_t left, int64_t right) {
  c->args.has_window = 1;
  c->args.window_left = left;
  c->args.window_right = right;
}

/* One that is not there yet. */
static void need_window(attention_case *c, random_source *source) {
  const int64_t most = c->args.len_k / 4 + 1;
  if (!c->args.has_window) set_window(c, random_between(source, 1, most), random_between(source, 0, most));
}

static void apply_window(attention_case *c, random_source *source) {
  need_window(c, source);
}

static void apply_window_left(attention_case *c, random_source *source) {
  set_window(c, random_between(source, 0, c->args.len_k / 2), -1);
}

static void apply_window_right(attention_case *c, random_source *source) {
  set_window(c, -1, random_between(source, 0, c->args.len_k / 2));
}

static void apply_prefix(attention_case *c, random_source *source) {
  need_window(c, source);
  c->args.window_prefix = random_between(source, 1, 1 + c->args.len_k / 5);
}

static void apply_dilation(attention_case *c, random_source *source) {
  need_window(c, source);
  c->args.window_dilation = random_between(source, 2, 4);
}

/* So many bytes, of which about so many in eight are 0. */
static uint8_t *mask_of(attention_case *c, int64_t count, int64_t zeros, random_source *source) {
  const uint8_t seen[] = {1, 1, 2, 255};
  uint8_t *mask = case_array(c, count);
  for (int64_t n = 0; n < count; n++)
    mask[n] = random_between(source, 1, 8) <= zeros ? 0 : seen[random_between(source, 0, 3)];
  return mask;
}

static void apply_mask(attention_case *c, random_source *source) {
  const attn_args *args = &c->args;
  c->args.mask = mask_of(c, args->batch * args->heads_q * args->len_q * args->len_k, 3, source);
  c->args.mask_strides = NULL;
}

/* Keys of the whole batch that nobody sees, as torch's key_padding_mask. */
static void apply_mask_of_keys(attention_case *c, random_source *source) {
  static const int64_t strides[4] = {0, 0, 0, 1};
  c->args.mask = mask_of(c, c->args.len_k, 4, source);
  c->args.mask_strides = strides;
}

/* The same for all heads, with the keys in the outer dimension. */
static void apply_mask_transposed(attention_case *c, random_source *source) {
  const attn_args *args = &c->args;
  int64_t *strides = numbers_of(c, 4);
  strides[0] = args->len_k * args->len_q;
  strides[1] = 0;
  strides[2] = 1;
  strides[3] = args->len_q;
  c->args.mask = mask_of(c, args->batch * args->len_k * args->len_q, 3, source);
  c->args.mask_strides = strides;
}

static void apply_bias(attention_case *c, random_source *source) {
  const attn_args *args = &c->args;
  c->args.bias = floats_of(c, args->batch * args->heads_q * args->len_q * args->len_k, source);
}

/* The same for the whole batch, with the keys in the outer dimension; a third of it masks. */
static void apply_bias_masking(attention_case *c, random_source *source) {
  const attn_args *args = &c->args;
  const int64_t count = args->heads_q * args->len_q * args->len_k;
  float *bias = floats_of(c, count, source);
  int64_t *strides = numbers_of(c, 4);
  for (int64_t n = 0; n < count; n++)
    if (random_once_in(source, 3)) bias[n] = -INFINITY;
  strides[0] = 0;
  strides[1] = args->len_q * args->len_k;
  strides[2] = 1;
  strides[3] = args->len_q;
  c->args.bias = bias;
  c->args.bias_strides = strides;
}

static void apply_alibi(attention_case *c, random_source *source) {
  float *slopes = floats_of(c, c->args.heads_q, source);
  for (int64_t h = 0; h < c->args.heads_q; h++) slopes[h] *= 0.25f;
  c->args.alibi_slopes = slopes;
}

static void apply_softcap(attention_case *c, random_source *source) {
  c->args.softcap = (float)(0.3 + 3 * random_uniform(source));
}

static void apply_sinks(attention_case *c, random_source *source) {
  float *sinks = floats_of(c, c->args.heads_q, source);
  for (int64_t h = 0; h < c->args.heads_q; h++) sinks[h] *= 3;
  c->args.sinks = sinks;
}

/* Of either sign, and 0 now and then. */
static void apply_scale(attention_case *c, random_source *source) {
  c->args.has_scale = 1;
  c->args.scale = random_once_in(source, 8) ? 0 : (float)(2 * random_uniform(source) - 1);
}

static void apply_general(attention_case *c, random_source *source) {
  const int64_t dim = c->args.dim;
  float *weight = floats_of(c, dim * dim, source);
  for (int64_t n = 0; n < dim * dim; n++) weight[n] /= (float)dim;
  c->args.score_function = ATTN_SCORE_GENERAL;
  c->args.score_weight = weight;
}

static void apply_additive(attention_case *c, random_source *source) {
  c->args.score_function = ATTN_SCORE_ADDITIVE;
  c->args.score_weight = floats_of(c, c->args.dim, source);
}

/* Middles are attn_local's alone. Sigma is half of the window's left side, or given. */
static void need_sigma(attention_case *c, random_source *source) {
  c->local = 1;
  need_window(c, source);
  if (c->args.window_left < 1 || random_once_in(source, 2))
    c->args.sigma = (float)(1 + (double)c->args.len_k / 6 * random_uniform(source));
}

static void apply_centers(attention_case *c, random_source *source) {
  const int64_t shape[4] = {c->args.batch, c->args.heads_q, c->args.len_q, 1};
  need_sigma(c, source);
  c->centers = tensor_make(shape, c->spec.output_layout, c->spec.side);
  for (int64_t b = 0; b < shape[0]; b++)
    for (int64_t h = 0; h < shape[1]; h++)
      for (int64_t i = 0; i < shape[2]; i++)
        *tensor_row(&c->centers, b, h, i) =
            (float)((double)(c->args.len_k + 6) * random_uniform(source)) - 3;
  c->args.centers = c->centers.first;
  c->args.centers_strides = c->centers.strides;
}

static void apply_predict(attention_case *c, random_source *source) {
  const int64_t dim = c->args.dim;
  need_sigma(c, source);
  c->args.predict_dim = random_between(source, 1, 5);
  float *matrix = floats_of(c, c->args.predict_dim * dim, source);
  for (int64_t n = 0; n < c->args.predict_dim * dim; n++) matrix[n] /= (float)sqrt((double)dim);
  c->args.predict_matrix = matrix;
  c->args.predict_vector = floats_of(c, c->args.predict_dim, source);
}

static void apply_weights(attention_case *c, random_source *source) {
  const int64_t shape[4] = {c->args.batch, c->args.heads_q, c->args.len_q, c->args.len_k};
  (void)source;
  tensor_free(&c->weights);
  c->weights = tensor_make(shape, c->spec.output_layout, c->spec.side);
  c->args.weights = c->weights.first;
  c->args.weights_strides = c->weights.strides;
}

static void want_scores(attention_case *c, int32_t stage) {
  const int64_t shape[4] = {c->args.batch, c->args.heads_q, c->args.len_q, c->args.len_k};
  c->scores = tensor_make(shape, c->spec.output_layout, c->spec.side);
  c->args.scores = c->scores.first;
  c->args.scores_strides = c->scores.strides;
  c->args.scores_stage = stage;
}

static void apply_scores_scaled(attention_case *c, random_source *source) {
  (void)source;
  want_scores(c, 0);
}

static void apply_scores_capped(attention_case *c, random_source *source) {
  (void)source;
  want_scores(c, 1);
}

static void apply_scores_masked(attention_case *c, random_source *source) {
  (void)source;
  want_scores(c, 2);
}

static void apply_residual(attention_case *c, random_source *source) {
  const int64_t shape[4] = {c->output.batch, c->output.heads, c->output.rows, c->output.width};
  c->residual = tensor_make(shape, c->spec.value_layout, c->spec.side);
  tensor_fill_normal(&c->residual, source);
  c->args.residual = c->residual.first;
  c->args.residual_strides = c->residual.strides;
}

static void apply_gain(attention_case *c, random_source *source) {
  c->args.norm_gain = floats_of(c, c->output.width, source);
  c->args.norm_shift = floats_of(c, c->output.width, source);
}

static void set_norm(attention_case *c, int32_t norm, random_source *source) {
  c->args.norm = norm;
  c->args.norm_epsilon = random_once_in(source, 2) ? 0 : 0.25f;
}

static void apply_l2(attention_case *c, random_source *source) {
  set_norm(c, ATTN_NORM_L2, source);
}

static void apply_rms(attention_case *c, random_source *source) {
  set_norm(c, ATTN_NORM_RMS, source);
}

static void apply_layer_norm(attention_case *c, random_source *source) {
  set_norm(c, ATTN_NORM_LAYER, source);
}

/* Packed sequences come first, as the shapes of other arrays follow from them; windows before what needs
 * one. */
const feature features[] = {
    {"packed queries", apply_packed_q, 0, 0, 0},
    {"packed keys", apply_packed_k, 0, 1, 1},
    {"query lengths", apply_lengths_q, 0, 1, 1},
    {"key lengths", apply_lengths_k, 0, 1, 1},
    {"offset", apply_offset, OFFSET, 0, 0},
    {"offsets", apply_offsets, OFFSET, 0, 0},
    {"causal", apply_causal, 0, 1, 1},
    {"window", apply_window, SIDES, 1, 1},
    {"window to the left", apply_window_left, SIDES, 1, 1},
    {"window to the right", apply_window_right, SIDES, 1, 1},
    {"prefix", apply_prefix, 0, 1, 1},
    {"dilation", apply_dilation, DILATION, 1, 0},
    {"mask", apply_mask, MASK, 1, 0},
    {"mask of keys", apply_mask_of_keys, MASK, 1, 0},
    {"mask transposed", apply_mask_transposed, MASK, 1, 0},
    {"bias", apply_bias, BIAS, 0, 0},
    {"masking bias", apply_bias_masking, BIAS, 1, 0},
    {"alibi", apply_alibi, 0, 0, 0},
    {"softcap", apply_softcap, 0, 0, 0},
    {"sinks", apply_sinks, 0, 0, 0},
    {"scale", apply_scale, 0, 0, 0},
    {"general", apply_general, FUNCTION, 0, 0},
    {"additive", apply_additive, FUNCTION, 0, 0},
    {"centers", apply_centers, MIDDLE, 1, 1},
    {"predicted centers", apply_predict, MIDDLE, 1, 1},
    {"weights", apply_weights, 0, 0, 0},
    {"scaled scores", apply_scores_scaled, STAGE, 0, 0},
    {"capped scores", apply_scores_capped, STAGE, 0, 0},
    {"masked scores", apply_scores_masked, STAGE, 0, 0},
    {"residual", apply_residual, 0, 0, 0},
    {"gain and shift", apply_gain, 0, 0, 0},
    {"L2 norm", apply_l2, NORM, 0, 0},
    {"RMS norm", apply_rms, NORM, 0, 0},
    {"layer norm", apply_layer_norm, NORM, 0, 0},
};

const int64_t feature_count = (int64_t)COUNT_OF(features);

int feature_agrees(const feature *a, const feature *b) {
  return a != b && !(a->kinds & b->kinds);
}

void feature_apply(const feature *f, attention_case *c, random_source *source) {
  const size_t used = strlen(c->name);
  snprintf(c->name + used, sizeof c->name - used, "%s%s", used ? " + " : "", f->name);
  f->apply(c, source);
}

const feature *feature_named(const char *name) {
  for (int64_t n = 0; n < feature_count; n++)
    if (strcmp(features[n].name, name) == 0) return &features[n];
  fail_msg("there is no feature %s", name);
  return NULL;
}
