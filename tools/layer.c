/* layer.c - the input and the weights of a self-attention layer from files.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "layer.h"

#include <inttypes.h>
#include <stddef.h>

#include "refuse.h"

const char layer_help[] =
    "\n"
    "Input\n"
    "  -x, --input FILE           x\n"
    "  --heads N                  how many heads the query has\n"
    "  --heads-kv N               how many key and value have (default: as many)\n"
    "\n"
    "Projections (weights as PyTorch stores them, columns out x columns in; D is rows / heads)\n"
    "  --weight-qkv FILE          those of query, key and value, one above the other\n"
    "  --weight-q FILE            or one by one: heads D x E\n"
    "  --weight-k FILE            key heads D x E\n"
    "  --weight-v FILE            key heads D x E, or with a D of its own\n"
    "  --weight-o FILE            of the output, any number of rows (default: no such projection)\n"
    "  --bias-qkv FILE            numbers to add, one for each row of --weight-qkv\n"
    "  --bias-q, --bias-k, --bias-v, --bias-o FILE\n"
    "                             the same for the others (--bias is that of the scores)\n"
    "\n"
    "Rotation of query and key (RoPE, by the position p below)\n"
    "  --rope none|half|interleaved\n"
    "                             pairs are D / 2 apart, or neighbours (default: none)\n"
    "  --rope-dim N               of each head only the first N numbers (default: D)\n"
    "  --rope-base X              (default: 10000)\n";

static const char *const ropes[] = {
    [ATTN_ROPE_NONE] = "none",
    [ATTN_ROPE_HALF] = "half",
    [ATTN_ROPE_INTERLEAVED] = "interleaved",
    NULL,
};

#define AT(member) offsetof(layer, member)

const option layer_table[] = {
    {.name = "--input", .brief = "-x", .kind = OPTION_TEXT, .field = AT(paths[LAYER_X])},
    {.name = "--heads", .kind = OPTION_INTEGER, .field = AT(heads), .low = 1, .high = INT32_MAX},
    {.name = "--heads-kv", .kind = OPTION_INTEGER, .field = AT(heads_kv), .low = 1, .high = INT32_MAX},
    {.name = "--weight-qkv", .kind = OPTION_TEXT, .field = AT(paths[LAYER_WEIGHT_QKV])},
    {.name = "--weight-q", .kind = OPTION_TEXT, .field = AT(paths[LAYER_WEIGHT_Q])},
    {.name = "--weight-k", .kind = OPTION_TEXT, .field = AT(paths[LAYER_WEIGHT_K])},
    {.name = "--weight-v", .kind = OPTION_TEXT, .field = AT(paths[LAYER_WEIGHT_V])},
    {.name = "--weight-o", .kind = OPTION_TEXT, .field = AT(paths[LAYER_WEIGHT_O])},
    {.name = "--bias-qkv", .kind = OPTION_TEXT, .field = AT(paths[LAYER_BIAS_QKV])},
    {.name = "--bias-q", .kind = OPTION_TEXT, .field = AT(paths[LAYER_BIAS_Q])},
    {.name = "--bias-k", .kind = OPTION_TEXT, .field = AT(paths[LAYER_BIAS_K])},
    {.name = "--bias-v", .kind = OPTION_TEXT, .field = AT(paths[LAYER_BIAS_V])},
    {.name = "--bias-o", .kind = OPTION_TEXT, .field = AT(paths[LAYER_BIAS_O])},
    {.name = "--rope", .kind = OPTION_WORD, .field = AT(rope), .words = ropes},
    {.name = "--rope-dim", .kind = OPTION_INTEGER, .field = AT(rope_dim), .low = 2, .high = INT64_MAX},
    {.name = "--rope-base", .kind = OPTION_POSITIVE, .field = AT(rope_base)},
    {.name = NULL},
};

static bool is_given(const layer *given, int file) {
  return given->paths[file] != NULL;
}

int layer_check(const layer *given) {
  bool packed = is_given(given, LAYER_WEIGHT_QKV);
  bool all =
      is_given(given, LAYER_WEIGHT_Q) && is_given(given, LAYER_WEIGHT_K) && is_given(given, LAYER_WEIGHT_V);
  bool any = false;
  for (int i = 0; i < 3; i++)
    any = any || is_given(given, LAYER_WEIGHT_Q + i) || is_given(given, LAYER_BIAS_Q + i);
  if (!is_given(given, LAYER_X) || given->heads == 0)
    return refuse(EXIT_USAGE, "self: expected -x and --heads; see 'attn help self'");
  if (packed ? any : !all)
    return refuse(EXIT_USAGE, "self: expected --weight-qkv, or --weight-q, --weight-k and --weight-v and "
                              "their biases; see 'attn help self'");
  const option_rule rules[] = {
      {is_given(given, LAYER_BIAS_QKV) && !packed, "--bias-qkv", "--weight-qkv"},
      {is_given(given, LAYER_BIAS_O) && !is_given(given, LAYER_WEIGHT_O), "--bias-o", "--weight-o"},
      {given->rope_dim > 0 && given->rope == ATTN_ROPE_NONE, "--rope-dim", "--rope"},
      {given->rope_base > 0.0 && given->rope == ATTN_ROPE_NONE, "--rope-base", "--rope"},
      {.name = NULL},
  };
  return options_agree(rules);
}

/* ---- shapes */

static int64_t heads_kv_of(const layer *given) {
  return given->heads_kv > 0 ? given->heads_kv : given->heads;
}

static int64_t rows_of(const layer *given, int file) {
  return given->arrays[file].shape[0];
}

static int64_t columns_of(const layer *given, int file) {
  const npy_array *array = &given->arrays[file];
  return array->shape[array->rank - 1];
}

/* x has 2 or 3 dimensions, and a weight 2. */
static int check_ranks(const layer *given) {
  int rank = given->arrays[LAYER_X].rank;
  if (rank != 2 && rank != 3)
    return refuse(EXIT_FILE, "%s: expected 2 or 3 dimensions, got %d", given->paths[LAYER_X], rank);
  for (int i = LAYER_WEIGHT_QKV; i <= LAYER_WEIGHT_O; i++)
    if (is_given(given, i) && given->arrays[i].rank != 2)
      return refuse(EXIT_FILE, "%s: expected 2 dimensions, got %d", given->paths[i], given->arrays[i].rank);
  return EXIT_OK;
}

/* Shares count rows or columns of a file out evenly between heads; each gets *dim of them, one at least. */
static int share_out(const char *path, const char *what, int64_t count, int64_t heads, int64_t *dim) {
  *dim = count / heads;
  if (count > 0 && count % heads == 0) return EXIT_OK;
  return refuse(EXIT_FILE, "%s: expected a multiple of %" PRId64 " %s, got %" PRId64, path, heads, what,
                count);
}

/* Packed rows are those of the query and key heads, D each, and of the value heads, which are as many as
 * those of the key: D each unless the output's projection takes another number. */
static int find_packed_dims(layer *given) {
  const char *path = given->paths[LAYER_WEIGHT_QKV];
  int64_t rows = rows_of(given, LAYER_WEIGHT_QKV);
  int64_t heads = given->heads;
  int64_t heads_kv = heads_kv_of(given);
  int code;
  if (!is_given(given, LAYER_WEIGHT_O)) {
    code = share_out(path, "rows", rows, heads + 2 * heads_kv, &given->dim);
    given->dim_v = given->dim;
    return code;
  }
  code = share_out(given->paths[LAYER_WEIGHT_O], "columns", columns_of(given, LAYER_WEIGHT_O), heads,
                   &given->dim_v);
  if (code != EXIT_OK) return code;
  if (given->dim_v > rows / heads_kv)
    return refuse(EXIT_FILE,
                  "%s: expected more than %" PRId64 " x %" PRId64 " rows, those of the value, got %" PRId64,
                  path, heads_kv, given->dim_v, rows);
  rows -= heads_kv * given->dim_v;
  return share_out(path, "rows beside those of the value", rows, heads + heads_kv, &given->dim);
}

static int find_dims(layer *given) {
  if (is_given(given, LAYER_WEIGHT_QKV)) return find_packed_dims(given);
  int code = share_out(given->paths[LAYER_WEIGHT_Q], "rows", rows_of(given, LAYER_WEIGHT_Q), given->heads,
                       &given->dim);
  if (code != EXIT_OK) return code;
  return share_out(given->paths[LAYER_WEIGHT_V], "rows", rows_of(given, LAYER_WEIGHT_V), heads_kv_of(given),
                   &given->dim_v);
}

static int64_t rows_expected(const layer *given, int weight) {
  switch (weight) {
  case LAYER_WEIGHT_Q:
    return given->heads * given->dim;
  case LAYER_WEIGHT_K:
    return heads_kv_of(given) * given->dim;
  default: /* of the others any number that could be shared out */
    return rows_of(given, weight);
  }
}

/* A weight, if it is given, and its bias. */
static int check_projection(const layer *given, int weight) {
  int bias = weight - LAYER_WEIGHT_QKV + LAYER_BIAS_QKV;
  int64_t columns = weight == LAYER_WEIGHT_O ? given->heads * given->dim_v : columns_of(given, LAYER_X);
  if (!is_given(given, weight)) return EXIT_OK;
  const int64_t shape[2] = {rows_expected(given, weight), columns};
  int code = npy_expect(&given->arrays[weight], given->paths[weight], "the shape", 2, shape);
  if (code == EXIT_OK && shape[0] == 0)
    code = refuse(EXIT_FILE, "%s: expected at least 1 row, got 0", given->paths[weight]);
  if (code != EXIT_OK || !is_given(given, bias)) return code;
  return npy_expect(&given->arrays[bias], given->paths[bias], "one number for each row of its weight:", 1,
                    shape);
}

int layer_read(layer *given) {
  int code = EXIT_OK;
  for (int i = 0; i < LAYER_FILES && code == EXIT_OK; i++)
    if (is_given(given, i)) code = npy_read(&given->arrays[i], NPY_FLOATS, given->paths[i]);
  if (code == EXIT_OK) code = check_ranks(given);
  if (code == EXIT_OK) code = find_dims(given);
  for (int i = LAYER_WEIGHT_QKV; i <= LAYER_WEIGHT_O && code == EXIT_OK; i++)
    code = check_projection(given, i);
  return code;
}

/* ---- arguments */

attn_args layer_attention(const layer *given) {
  const npy_array *x = &given->arrays[LAYER_X];
  int64_t len = x->shape[x->rank - 2];
  return (attn_args){.size = sizeof(attn_args),
                     .batch = x->rank == 3 ? x->shape[0] : 1,
                     .heads_q = given->heads,
                     .heads_kv = heads_kv_of(given),
                     .len_q = len,
                     .len_k = len,
                     .dim = given->dim,
                     .dim_v = given->dim_v};
}

static int64_t dim_output(const layer *given) {
  return is_given(given, LAYER_WEIGHT_O) ? rows_of(given, LAYER_WEIGHT_O) : given->heads * given->dim_v;
}

attn_self_args layer_args(const layer *given) {
  const npy_array *arrays = given->arrays;
  return (attn_self_args){.size = sizeof(attn_self_args),
                          .dim_model = columns_of(given, LAYER_X),
                          .dim_output = dim_output(given),
                          .x = arrays[LAYER_X].floats,
                          .weight_qkv = arrays[LAYER_WEIGHT_QKV].floats,
                          .weight_q = arrays[LAYER_WEIGHT_Q].floats,
                          .weight_k = arrays[LAYER_WEIGHT_K].floats,
                          .weight_v = arrays[LAYER_WEIGHT_V].floats,
                          .weight_o = arrays[LAYER_WEIGHT_O].floats,
                          .bias_qkv = arrays[LAYER_BIAS_QKV].floats,
                          .bias_q = arrays[LAYER_BIAS_Q].floats,
                          .bias_k = arrays[LAYER_BIAS_K].floats,
                          .bias_v = arrays[LAYER_BIAS_V].floats,
                          .bias_o = arrays[LAYER_BIAS_O].floats,
                          .rope = given->rope,
                          .rope_base = (float)given->rope_base,
                          .rope_dim = given->rope_dim};
}

npy_shape layer_rows(const layer *given) {
  attn_args sizes = layer_attention(given);
  if (given->arrays[LAYER_X].rank == 2) return (npy_shape){2, {sizes.heads_q, sizes.len_q}};
  return (npy_shape){3, {sizes.batch, sizes.heads_q, sizes.len_q}};
}

npy_shape layer_output(const layer *given) {
  attn_args sizes = layer_attention(given);
  if (given->arrays[LAYER_X].rank == 2) return (npy_shape){2, {sizes.len_q, dim_output(given)}};
  return (npy_shape){3, {sizes.batch, sizes.len_q, dim_output(given)}};
}

void layer_free(layer *given) {
  for (int i = 0; i < LAYER_FILES; i++) npy_free(&given->arrays[i]);
}
