/* variation.c - what varies the plain formula: rules of what is seen, edits of scores, Luong's centers.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "variation.h"

#include <math.h>
#include <stddef.h>

#include "options.h"
#include "refuse.h"

static const npy_kind kinds[VARIATION_FILES] = {
    [VARIATION_MASK] = NPY_FLAGS,         [VARIATION_BIAS] = NPY_FLOATS,
    [VARIATION_SLOPES] = NPY_FLOATS,      [VARIATION_SINKS] = NPY_FLOATS,
    [VARIATION_LENGTHS_Q] = NPY_INTEGERS, [VARIATION_LENGTHS_K] = NPY_INTEGERS,
    [VARIATION_CENTERS] = NPY_FLOATS,     [VARIATION_MATRIX] = NPY_FLOATS,
    [VARIATION_VECTOR] = NPY_FLOATS,
};

int variation_check(const variation *varied) {
  bool centers = varied->paths[VARIATION_CENTERS] != NULL;
  bool matrix = varied->paths[VARIATION_MATRIX] != NULL;
  bool vector = varied->paths[VARIATION_VECTOR] != NULL;
  bool slopes = varied->paths[VARIATION_SLOPES] != NULL;
  const option_rule rules[] = {
      {varied->prefix > 0 && !varied->has_window, "--window-prefix", "--window"},
      {varied->dilation > 0 && !varied->has_window, "--window-dilation", "--window"},
      {slopes && varied->alibi, "--alibi-slopes", "no --alibi"},
      {centers && (matrix || vector), "--local-p", "no --predict-w or --predict-v"},
      {centers && !varied->has_window, "--local-p", "--window"},
      {matrix && !vector, "--predict-w", "--predict-v"},
      {vector && !matrix, "--predict-v", "--predict-w"},
      {matrix && !varied->has_window, "--predict-w", "--window"},
      {varied->sigma > 0.0 && !centers && !matrix, "--sigma", "--local-p or --predict-w"},
      {.name = NULL},
  };
  return options_agree(rules);
}

/* ---- files */

static int read_files(variation *varied) {
  int code = EXIT_OK;
  for (int i = 0; i < VARIATION_FILES && code == EXIT_OK; i++)
    if (varied->paths[i] != NULL) code = npy_read(&varied->arrays[i], kinds[i], varied->paths[i]);
  return code;
}

/* The strides of an array of up to four dimensions, aligned at the last one, so that each dimension of 1 and
 * each that is missing is broadcast; false if the array does not fit shape. */
static bool broadcast(const npy_array *array, const int64_t shape[4], int64_t strides[4]) {
  if (array->rank < 1 || array->rank > 4) return false;
  int64_t step = 1;
  for (int i = 3; i >= 0; i--) {
    int own = i - 4 + array->rank;
    int64_t length = own >= 0 ? array->shape[own] : 1;
    if (length != 1 && length != shape[i]) return false;
    strides[i] = length == 1 ? 0 : step;
    step *= length;
  }
  return true;
}

static int check_broadcast(const variation *varied, int which, const attn_args *args, int64_t strides[4]) {
  const npy_array *array = &varied->arrays[which];
  const int64_t shape[4] = {args->batch, args->heads_q, args->len_q, args->len_k};
  if (array->data == NULL || broadcast(array, shape, strides)) return EXIT_OK;
  char expected[NPY_SHAPE_TEXT];
  char got[NPY_SHAPE_TEXT];
  const char *expected_text = npy_shape_text(expected, 4, shape);
  return refuse(EXIT_FILE, "%s: expected a shape that broadcasts to %s, got %s", varied->paths[which],
                expected_text, npy_shape_text(got, array->rank, array->shape));
}

/* Checks an array, if it is given, of a rank and shape. */
static int check_shape(const variation *varied, int which, const char *what, int rank,
                       const int64_t *shape) {
  if (varied->paths[which] == NULL) return EXIT_OK;
  return npy_expect(&varied->arrays[which], varied->paths[which], what, rank, shape);
}

/* W is P x D, and v has P numbers. */
static int check_prediction(const variation *varied, const attn_args *args) {
  const npy_array *matrix = &varied->arrays[VARIATION_MATRIX];
  const int64_t shape[2] = {matrix->rank > 0 ? matrix->shape[0] : 0, args->dim};
  int code = check_shape(varied, VARIATION_MATRIX, "as many columns as the query has:", 2, shape);
  if (code != EXIT_OK) return code;
  return check_shape(varied, VARIATION_VECTOR, "one number for each row of --predict-w:", 1, shape);
}

static int check_shapes(variation *varied, const npy_array *query, const attn_args *args) {
  static const char each_head[] = "one number for each query head:";
  static const char each_entry[] = "one number for each batch entry:";
  int code = check_broadcast(varied, VARIATION_MASK, args, varied->mask_strides);
  if (code == EXIT_OK) code = check_broadcast(varied, VARIATION_BIAS, args, varied->bias_strides);
  if (code == EXIT_OK) code = check_shape(varied, VARIATION_SLOPES, each_head, 1, &args->heads_q);
  if (code == EXIT_OK) code = check_shape(varied, VARIATION_SINKS, each_head, 1, &args->heads_q);
  if (code == EXIT_OK) code = check_shape(varied, VARIATION_LENGTHS_Q, each_entry, 1, &args->batch);
  if (code == EXIT_OK) code = check_shape(varied, VARIATION_LENGTHS_K, each_entry, 1, &args->batch);
  if (code == EXIT_OK)
    code =
        check_shape(varied, VARIATION_CENTERS, "one center for each query:", query->rank - 1, query->shape);
  return code == EXIT_OK ? check_prediction(varied, args) : code;
}

/* ---- arguments */

/* The slopes of Press, Smith and Lewis, 2021, for any number of heads. */
static int make_slopes(npy_array *slopes, int64_t heads) {
  int code = npy_make(slopes, "the slopes", 1, &heads);
  if (code != EXIT_OK) return code;
  int64_t power = 1; /* the largest power of two that is not above heads */
  while (power <= heads / 2) power *= 2;
  for (int64_t h = 0; h < heads; h++) {
    int64_t step = h < power ? 2 * (h + 1) : 2 * (h - power) + 1;
    slopes->floats[h] = (float)exp2(-4.0 * (double)step / (double)power);
  }
  return EXIT_OK;
}

static void set_fields(const variation *varied, attn_args *args) {
  const npy_array *arrays = varied->arrays;
  args->causal = varied->causal;
  args->offset = varied->offset;
  args->has_window = varied->has_window;
  args->window_left = varied->window[0];
  args->window_right = varied->window[1];
  args->window_prefix = varied->prefix;
  args->window_dilation = varied->dilation;
  args->mask = arrays[VARIATION_MASK].flags;
  args->mask_strides = varied->mask_strides;
  args->bias = arrays[VARIATION_BIAS].floats;
  args->bias_strides = varied->bias_strides;
  args->softcap = (float)varied->softcap;
  args->alibi_slopes = arrays[VARIATION_SLOPES].floats;
  args->sinks = arrays[VARIATION_SINKS].floats;
  args->lengths_q = arrays[VARIATION_LENGTHS_Q].integers;
  args->lengths_k = arrays[VARIATION_LENGTHS_K].integers;
  args->centers = arrays[VARIATION_CENTERS].floats;
  args->predict_matrix = arrays[VARIATION_MATRIX].floats;
  args->predict_vector = arrays[VARIATION_VECTOR].floats;
  args->predict_dim = arrays[VARIATION_VECTOR].count;
  args->sigma = (float)varied->sigma;
}

int variation_apply(variation *varied, const npy_array *query, attn_args *args) {
  int code = read_files(varied);
  if (code == EXIT_OK) code = check_shapes(varied, query, args);
  if (code == EXIT_OK && varied->alibi)
    code = make_slopes(&varied->arrays[VARIATION_SLOPES], args->heads_q);
  if (code == EXIT_OK) set_fields(varied, args);
  return code;
}

void variation_free(variation *varied) {
  for (int i = 0; i < VARIATION_FILES; i++) npy_free(&varied->arrays[i]);
}
