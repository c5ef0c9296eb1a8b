/* variation.c - what varies the plain formula: scores, rules of what is seen, Luong's centers, norms.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "variation.h"

#include <math.h>
#include <stddef.h>

#include "refuse.h"

const char variation_help[] =
    "\n"
    "Scores, in this order\n"
    "  --score-function dot|general|additive\n"
    "                             q . k, q^T W k, or v . tanh(q + k) (default: dot)\n"
    "  --score-weight FILE        W, D x D, or v, D numbers\n"
    "  --scale X                  what they are multiplied by (default: 1 / sqrt(D) for dot, else 1)\n"
    "  --softcap X                makes them X * tanh(score / X)\n"
    "  --bias FILE                adds numbers of a shape that broadcasts to batch x heads x queries x\n"
    "                             keys; -infinity masks\n"
    "  --alibi                    adds -slope * |p - j|, with the standard slopes\n"
    "  --alibi-slopes FILE        the same with a slope for each head of the query\n"
    "  --sinks FILE               a score for each head of the query, of no key, in the softmax only\n"
    "\n"
    "What a query sees (query i is at position p = i + offset among the keys j; all rules compose)\n"
    "  --offset N                 that offset (default: 0)\n"
    "  --causal                   only if j <= p\n"
    "  --window L,R               only if p - L <= j <= p + R; -1: no limit\n"
    "  --window-prefix N          the first N keys are inside every window\n"
    "  --window-dilation N        of the window only each Nth key from p, and it is N times as wide\n"
    "  --mask FILE                bool or uint8, broadcast like the bias: 1 is seen, 0 is masked\n"
    "  --kv-lengths FILE          how many keys each batch entry has: int32, int64 or float32\n"
    "  --query-lengths FILE       how many queries\n"
    "\n"
    "Luong's local-p (with --window: the window's middle is a real number c instead of p)\n"
    "  --local-p FILE             c for each query, in the shape of the LSE\n"
    "  --predict-w FILE           c = keys * sigmoid(v . tanh(W q)): W, any number of rows x D\n"
    "  --predict-v FILE           v, one number for each row of W\n"
    "  --sigma X                  weights are multiplied by exp(-(j - c)^2 / (2 X^2)) (default: L / 2)\n"
    "\n"
    "Rows of the output, in this order\n"
    "  --residual FILE            adds numbers of the output's shape\n"
    "  --norm none|l2|rms|layer   divides by the norm, the root of the mean square, or subtracts the\n"
    "                             mean and divides by the standard deviation (default: none)\n"
    "  --norm-epsilon X           added to the mean square or variance; the smallest norm of l2\n"
    "                             (default: 1e-5)\n"
    "  --norm-gain FILE           what the numbers of a row are multiplied by\n"
    "  --norm-shift FILE          what is added to them\n";

static const char *const score_functions[] = {
    [ATTN_SCORE_DOT] = "dot",
    [ATTN_SCORE_GENERAL] = "general",
    [ATTN_SCORE_ADDITIVE] = "additive",
    NULL,
};
static const char *const norms[] = {
    [ATTN_NORM_NONE] = "none",
    [ATTN_NORM_L2] = "l2",
    [ATTN_NORM_RMS] = "rms",
    [ATTN_NORM_LAYER] = "layer",
    NULL,
};

#define AT(member) offsetof(variation, member)

const option variation_table[] = {
    {.name = "--score-function",
     .kind = OPTION_WORD,
     .field = AT(score_function),
     .words = score_functions},
    {.name = "--score-weight", .kind = OPTION_TEXT, .field = AT(paths[VARIATION_SCORE_WEIGHT])},
    {.name = "--scale", .kind = OPTION_NUMBER, .field = AT(scale), .given = AT(has_scale)},
    {.name = "--softcap", .kind = OPTION_POSITIVE, .field = AT(softcap)},
    {.name = "--bias", .kind = OPTION_TEXT, .field = AT(paths[VARIATION_BIAS])},
    {.name = "--alibi-slopes", .kind = OPTION_TEXT, .field = AT(paths[VARIATION_SLOPES])},
    {.name = "--sinks", .kind = OPTION_TEXT, .field = AT(paths[VARIATION_SINKS])},
    {.name = "--mask", .kind = OPTION_TEXT, .field = AT(paths[VARIATION_MASK])},
    {.name = "--kv-lengths", .kind = OPTION_TEXT, .field = AT(paths[VARIATION_LENGTHS_K])},
    {.name = "--query-lengths", .kind = OPTION_TEXT, .field = AT(paths[VARIATION_LENGTHS_Q])},
    {.name = "--local-p", .kind = OPTION_TEXT, .field = AT(paths[VARIATION_CENTERS])},
    {.name = "--predict-w", .kind = OPTION_TEXT, .field = AT(paths[VARIATION_MATRIX])},
    {.name = "--predict-v", .kind = OPTION_TEXT, .field = AT(paths[VARIATION_VECTOR])},
    {.name = "--alibi", .kind = OPTION_FLAG, .field = AT(alibi)},
    {.name = "--sigma", .kind = OPTION_POSITIVE, .field = AT(sigma)},
    {.name = "--causal", .kind = OPTION_FLAG, .field = AT(causal)},
    {.name = "--offset", .kind = OPTION_INTEGER, .field = AT(offset), .low = INT64_MIN, .high = INT64_MAX},
    {.name = "--window",
     .kind = OPTION_PAIR,
     .field = AT(window),
     .given = AT(has_window),
     .low = -1,
     .high = INT64_MAX},
    {.name = "--window-prefix", .kind = OPTION_INTEGER, .field = AT(prefix), .high = INT64_MAX},
    {.name = "--window-dilation",
     .kind = OPTION_INTEGER,
     .field = AT(dilation),
     .low = 1,
     .high = INT64_MAX},
    {.name = "--residual", .kind = OPTION_TEXT, .field = AT(paths[VARIATION_RESIDUAL])},
    {.name = "--norm", .kind = OPTION_WORD, .field = AT(norm), .words = norms},
    {.name = "--norm-epsilon", .kind = OPTION_POSITIVE, .field = AT(epsilon)},
    {.name = "--norm-gain", .kind = OPTION_TEXT, .field = AT(paths[VARIATION_GAIN])},
    {.name = "--norm-shift", .kind = OPTION_TEXT, .field = AT(paths[VARIATION_SHIFT])},
    {.name = NULL},
};

int variation_check(const variation *varied) {
  bool centers = varied->paths[VARIATION_CENTERS] != NULL;
  bool matrix = varied->paths[VARIATION_MATRIX] != NULL;
  bool vector = varied->paths[VARIATION_VECTOR] != NULL;
  bool slopes = varied->paths[VARIATION_SLOPES] != NULL;
  bool weight = varied->paths[VARIATION_SCORE_WEIGHT] != NULL;
  bool is_dot = varied->score_function == ATTN_SCORE_DOT;
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
      {weight && is_dot, "--score-weight", "--score-function general or additive"},
      {!weight && !is_dot, "--score-function", "--score-weight"},
      {varied->epsilon > 0.0 && varied->norm == ATTN_NORM_NONE, "--norm-epsilon", "--norm"},
      {.name = NULL},
  };
  return options_agree(rules);
}

/* ---- files */

static npy_kind kind_of(int file) {
  if (file == VARIATION_MASK) return NPY_FLAGS;
  return file == VARIATION_LENGTHS_Q || file == VARIATION_LENGTHS_K ? NPY_INTEGERS : NPY_FLOATS;
}

static int read_files(variation *varied) {
  int code = EXIT_OK;
  for (int i = 0; i < VARIATION_FILES && code == EXIT_OK; i++)
    if (varied->paths[i] != NULL) code = npy_read(&varied->arrays[i], kind_of(i), varied->paths[i]);
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

static int check_score_weight(const variation *varied, const attn_args *args) {
  const int64_t shape[2] = {args->dim, args->dim};
  if (varied->score_function == ATTN_SCORE_ADDITIVE)
    return check_shape(varied, VARIATION_SCORE_WEIGHT, "one number for each column of the query:", 1,
                       shape);
  return check_shape(varied, VARIATION_SCORE_WEIGHT, "a row and a column for each column of the query:", 2,
                     shape);
}

static int check_norm(const variation *varied, const npy_shape *output) {
  static const char each_column[] = "one number for each column of the output:";
  const int64_t *columns = &output->lengths[output->rank - 1];
  int code = check_shape(varied, VARIATION_RESIDUAL, "the output's shape", output->rank, output->lengths);
  if (code == EXIT_OK) code = check_shape(varied, VARIATION_GAIN, each_column, 1, columns);
  return code == EXIT_OK ? check_shape(varied, VARIATION_SHIFT, each_column, 1, columns) : code;
}

static int check_shapes(variation *varied, const npy_shape *rows, const attn_args *args) {
  static const char each_head[] = "one number for each query head:";
  static const char each_entry[] = "one number for each batch entry:";
  int code = check_broadcast(varied, VARIATION_MASK, args, varied->mask_strides);
  if (code == EXIT_OK) code = check_broadcast(varied, VARIATION_BIAS, args, varied->bias_strides);
  if (code == EXIT_OK) code = check_shape(varied, VARIATION_SLOPES, each_head, 1, &args->heads_q);
  if (code == EXIT_OK) code = check_shape(varied, VARIATION_SINKS, each_head, 1, &args->heads_q);
  if (code == EXIT_OK) code = check_shape(varied, VARIATION_LENGTHS_Q, each_entry, 1, &args->batch);
  if (code == EXIT_OK) code = check_shape(varied, VARIATION_LENGTHS_K, each_entry, 1, &args->batch);
  if (code == EXIT_OK)
    code = check_shape(varied, VARIATION_CENTERS, "one center for each query:", rows->rank, rows->lengths);
  if (code == EXIT_OK) code = check_prediction(varied, args);
  return code == EXIT_OK ? check_score_weight(varied, args) : code;
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
  args->has_scale = varied->has_scale;
  args->scale = (float)varied->scale;
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
  args->score_function = varied->score_function;
  args->score_weight = arrays[VARIATION_SCORE_WEIGHT].floats;
  args->residual = arrays[VARIATION_RESIDUAL].floats;
  args->norm = varied->norm;
  args->norm_gain = arrays[VARIATION_GAIN].floats;
  args->norm_shift = arrays[VARIATION_SHIFT].floats;
  args->norm_epsilon = (float)varied->epsilon;
}

int variation_apply(variation *varied, const npy_shape *rows, const npy_shape *output, attn_args *args) {
  int code = read_files(varied);
  if (code == EXIT_OK) code = check_shapes(varied, rows, args);
  if (code == EXIT_OK) code = check_norm(varied, output);
  if (code == EXIT_OK && varied->alibi)
    code = make_slopes(&varied->arrays[VARIATION_SLOPES], args->heads_q);
  if (code == EXIT_OK) set_fields(varied, args);
  return code;
}

void variation_free(variation *varied) {
  for (int i = 0; i < VARIATION_FILES; i++) npy_free(&varied->arrays[i]);
}
