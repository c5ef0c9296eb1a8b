/* resolve.c - from a caller's struct to a problem: the only file that knows the fields of attn_args.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "resolve.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>

#include "base.h"

enum {
  LARGEST_DIM = 1 << 16, /* scratch grows with it */
  MOST_ARRAYS = 9        /* that are looked at for overlaps */
};

/* What must be aligned: all that is not read byte by byte. */
static const attn__pointer args_pointers[] = {
    ATTN__POINTER(attn_args, query),
    ATTN__POINTER(attn_args, key),
    ATTN__POINTER(attn_args, value),
    ATTN__POINTER(attn_args, output),
    ATTN__POINTER(attn_args, query_strides),
    ATTN__POINTER(attn_args, key_strides),
    ATTN__POINTER(attn_args, value_strides),
    ATTN__POINTER(attn_args, output_strides),
    ATTN__POINTER(attn_args, weights),
    ATTN__POINTER(attn_args, weights_strides),
    ATTN__POINTER(attn_args, lse),
    ATTN__POINTER(attn_args, lse_strides),
    ATTN__POINTER(attn_args, scores),
    ATTN__POINTER(attn_args, scores_strides),
    ATTN__POINTER(attn_args, bias),
    ATTN__POINTER(attn_args, bias_strides),
    ATTN__POINTER(attn_args, alibi_slopes),
    ATTN__POINTER(attn_args, mask_strides),
    ATTN__POINTER(attn_args, offsets),
    ATTN__POINTER(attn_args, lengths_q),
    ATTN__POINTER(attn_args, lengths_k),
    ATTN__POINTER(attn_args, starts_q),
    ATTN__POINTER(attn_args, starts_k),
    ATTN__POINTER(attn_args, sinks),
    ATTN__POINTER(attn_args, centers),
    ATTN__POINTER(attn_args, centers_strides),
    ATTN__POINTER(attn_args, predict_matrix),
    ATTN__POINTER(attn_args, predict_vector),
    ATTN__POINTER(attn_args, score_weight),
    ATTN__POINTER(attn_args, residual),
    ATTN__POINTER(attn_args, residual_strides),
    ATTN__POINTER(attn_args, norm_gain),
    ATTN__POINTER(attn_args, norm_shift),
};

static const attn__pointer self_pointers[] = {
    ATTN__POINTER(attn_self_args, x),          ATTN__POINTER(attn_self_args, x_strides),
    ATTN__POINTER(attn_self_args, output),     ATTN__POINTER(attn_self_args, output_strides),
    ATTN__POINTER(attn_self_args, weight_qkv), ATTN__POINTER(attn_self_args, weight_q),
    ATTN__POINTER(attn_self_args, weight_k),   ATTN__POINTER(attn_self_args, weight_v),
    ATTN__POINTER(attn_self_args, weight_o),   ATTN__POINTER(attn_self_args, bias_qkv),
    ATTN__POINTER(attn_self_args, bias_q),     ATTN__POINTER(attn_self_args, bias_k),
    ATTN__POINTER(attn_self_args, bias_v),     ATTN__POINTER(attn_self_args, bias_o),
};

static int32_t check_sizes(const attn__check *check, const attn_args *args) {
  if (!attn__check_range(check, "batch", args->batch, 0, INT64_MAX)) return 0;
  if (!attn__check_range(check, "heads_q", args->heads_q, 0, INT64_MAX)) return 0;
  if (!attn__check_range(check, "heads_kv", args->heads_kv, 0, INT64_MAX)) return 0;
  if (!attn__check_range(check, "len_q", args->len_q, 0, INT64_MAX)) return 0;
  if (!attn__check_range(check, "len_k", args->len_k, 0, INT64_MAX)) return 0;
  if (!attn__check_range(check, "dim", args->dim, 1, LARGEST_DIM)) return 0;
  if (!attn__check_range(check, "dim_v", args->dim_v, 0, LARGEST_DIM)) return 0;
  if (args->heads_kv && args->heads_q % args->heads_kv)
    return attn__check_fail(check,
                            "heads_q: expected a multiple of heads_kv, which is %" PRId64 ", got %" PRId64,
                            args->heads_kv, args->heads_q);
  return 1;
}

static int32_t check_window(const attn__check *check, const attn_args *args) {
  if (!attn__check_range(check, "has_window", args->has_window, 0, 1)) return 0;
  if (!args->has_window &&
      (args->window_left || args->window_right || args->window_prefix || args->window_dilation))
    return attn__check_fail(check, "has_window: expected 1 where a field of the window is set, got 0");
  return attn__check_range(check, "window_left", args->window_left, -1, INT64_MAX) &&
         attn__check_range(check, "window_right", args->window_right, -1, INT64_MAX) &&
         attn__check_range(check, "window_prefix", args->window_prefix, 0, INT64_MAX) &&
         attn__check_range(check, "window_dilation", args->window_dilation, 0, INT64_MAX);
}

static int32_t check_centers(const attn__check *check, const attn_args *args) {
  const int32_t predicted = args->predict_matrix || args->predict_vector;
  if (!predicted && args->predict_dim != 0)
    return attn__check_fail(check, "predict_dim: expected 0 where predict_matrix is NULL, got %" PRId64,
                            args->predict_dim);
  if (predicted && !attn__check_range(check, "predict_dim", args->predict_dim, 1, LARGEST_DIM)) return 0;
  if (!args->predict_matrix != !args->predict_vector)
    return attn__check_fail(check, "%s: expected a pointer to an array, got NULL",
                            args->predict_matrix ? "predict_vector" : "predict_matrix");
  if (args->centers && predicted)
    return attn__check_fail(check, "centers: expected NULL where predict_matrix is given, got a pointer");
  if (!(args->sigma >= 0) || isinf(args->sigma))
    return attn__check_fail(check, "sigma: expected a finite number of at least 0, got %g",
                            (double)args->sigma);
  if (!args->centers && !predicted)
    return args->sigma == 0
               ? 1
               : attn__check_fail(check,
                                  "sigma: expected 0 where centers are neither given nor predicted, got %g",
                                  (double)args->sigma);
  if (!args->has_window)
    return attn__check_fail(check, "has_window: expected 1 where centers are used, got 0");
  if (args->sigma == 0 && args->window_left < 1)
    return attn__check_fail(check, "sigma: expected a number above 0 where window_left is below 1, got 0");
  return args->window_dilation < 2 ||
         attn__check_fail(check, "window_dilation: expected 0 or 1 where centers are used, got %" PRId64,
                          args->window_dilation);
}

static int32_t check_score_function(const attn__check *check, const attn_args *args) {
  if (!attn__check_range(check, "score_function", args->score_function, ATTN_SCORE_DOT,
                         ATTN_SCORE_ADDITIVE))
    return 0;
  if (args->score_function == ATTN_SCORE_DOT && args->score_weight)
    return attn__check_fail(check, "score_weight: expected NULL for the dot score, got a pointer");
  if (args->score_function != ATTN_SCORE_DOT && !args->score_weight)
    return attn__check_fail(check, "score_weight: expected a pointer to an array, got NULL");
  return 1;
}

static int32_t check_norm(const attn__check *check, const attn_args *args) {
  if (!attn__check_range(check, "norm", args->norm, ATTN_NORM_NONE, ATTN_NORM_LAYER)) return 0;
  if (!(args->norm_epsilon >= 0) || isinf(args->norm_epsilon))
    return attn__check_fail(check, "norm_epsilon: expected a finite number of at least 0, got %g",
                            (double)args->norm_epsilon);
  return 1;
}

static int32_t check_flags(const attn__check *check, const attn_args *args) {
  if (!attn__check_scale(check, args->has_scale, args->scale)) return 0;
  if (!attn__check_range(check, "causal", args->causal, 0, 1)) return 0;
  if (!attn__check_range(check, "scores_stage", args->scores_stage, 0, 2)) return 0;
  if (!(args->softcap >= 0) || isinf(args->softcap))
    return attn__check_fail(check, "softcap: expected a finite number of at least 0, got %g",
                            (double)args->softcap);
  if (args->offset && args->offsets)
    return attn__check_fail(check, "offset: expected 0 where offsets are given, got %" PRId64,
                            args->offset);
  return check_window(check, args) && check_centers(check, args) && check_score_function(check, args) &&
         check_norm(check, args);
}

/* Every one of count numbers is from 0 to most. */
static int32_t check_lengths(const attn__check *check, const char *name, const int64_t *lengths,
                             int64_t count, int64_t most) {
  for (int64_t b = 0; lengths && b < count; b++)
    if (lengths[b] < 0 || lengths[b] > most)
      return attn__check_fail(check,
                              "%s: expected 0 to %" PRId64 ", got %" PRId64 " for batch entry %" PRId64,
                              name, most, lengths[b], b);
  return 1;
}

/* count + 1 numbers from 0 on that rise by at most most. */
static int32_t check_starts(const attn__check *check, const char *name, const int64_t *starts,
                            int64_t count, int64_t most) {
  if (starts && starts[0] < 0)
    return attn__check_fail(check, "%s: expected at least 0, got %" PRId64 " at first", name, starts[0]);
  for (int64_t b = 0; starts && b < count; b++)
    if (starts[b + 1] < starts[b] || starts[b + 1] - starts[b] > most)
      return attn__check_fail(check,
                              "%s: expected steps of 0 to %" PRId64 ", got %" PRId64 " after %" PRId64
                              " at batch entry %" PRId64,
                              name, most, starts[b + 1], starts[b], b);
  return 1;
}

/* What has a number for each batch entry is no longer than memory is. */
static int32_t check_batch(const attn__check *check, const attn_args *args) {
  const int32_t listed =
      args->offsets || args->lengths_q || args->lengths_k || args->starts_q || args->starts_k;
  return !listed || attn__check_range(check, "batch", args->batch, 0, INT64_MAX / 64);
}

/* The shape of the arrays that have a row for each query, or for each key: (batch, heads, rows), or all
 * rows of packed sequences in one. */
typedef struct row_shape {
  int64_t batch, heads, rows;
} row_shape;

static row_shape shape_of(int64_t batch, int64_t heads, int64_t rows, const int64_t *starts) {
  if (starts) return (row_shape){batch > 0, heads, starts[batch]};
  return (row_shape){batch, heads, rows};
}

static int32_t check_input(const attn__check *check, const char *name, row_shape shape, int64_t width,
                           const int64_t *strides, attn__input *input) {
  const attn__array array = {name, input->data, strides, shape.batch, shape.heads, shape.rows, width, 0};
  return attn__check_array(check, &array, &input->strides);
}

static int32_t check_output(const attn__check *check, const char *name, row_shape shape, int64_t width,
                            const int64_t *strides, attn__output *output) {
  const attn__array array = {name, output->data, strides, shape.batch, shape.heads, shape.rows, width, 1};
  return attn__check_array(check, &array, &output->strides);
}

/* Checks the arrays, and sets where each is. */
static int32_t resolve_arrays(const attn__check *check, const attn_args *args, attn__problem *problem) {
  const int32_t none = problem->batch == 0 || problem->heads_q == 0 || problem->len_q == 0;
  const int64_t len_k = none ? 0 : problem->len_k;
  const row_shape padded = {problem->batch, problem->heads_q, problem->len_q};
  const row_shape rows_q = shape_of(problem->batch, problem->heads_q, problem->len_q, args->starts_q);
  row_shape rows_k = shape_of(problem->batch, problem->heads_kv, len_k, args->starts_k);
  if (none) rows_k.rows = 0;
  problem->query.data = args->query;
  problem->key.data = args->key;
  problem->value.data = args->value;
  problem->output.data = args->output;
  problem->weights.data = args->weights;
  problem->lse.data = args->lse;
  problem->scores.data = args->scores;
  problem->centers.data = args->centers;
  problem->residual.data = args->residual;
  return check_input(check, "query", rows_q, problem->dim, args->query_strides, &problem->query) &&
         check_input(check, "key", rows_k, problem->dim, args->key_strides, &problem->key) &&
         check_input(check, "value", rows_k, problem->dim_v, args->value_strides, &problem->value) &&
         check_output(check, "output", rows_q, problem->dim_v, args->output_strides, &problem->output) &&
         (!args->residual || check_input(check, "residual", rows_q, problem->dim_v, args->residual_strides,
                                         &problem->residual)) &&
         (!args->weights ||
          check_output(check, "weights", padded, len_k, args->weights_strides, &problem->weights)) &&
         (!args->lse || check_output(check, "lse", padded, 1, args->lse_strides, &problem->lse)) &&
         (!args->centers ||
          check_input(check, "centers", padded, 1, args->centers_strides, &problem->centers)) &&
         (!args->scores ||
          check_output(check, "scores", padded, len_k, args->scores_strides, &problem->scores));
}

/* One number for each row of each head, padded as in the LSE, can be counted even where no array is of that
 * shape. */
static int32_t check_rows(const attn__check *check, const attn__problem *problem) {
  if (problem->batch == 0 || problem->heads_q == 0 || problem->len_q == 0) return 1;
  const int64_t most = INT64_MAX / 8 / problem->batch / problem->heads_q;
  return attn__check_range(check, "len_q", problem->len_q, 0, most);
}

/* What is read for single scores. */
static int32_t resolve_score_arrays(const attn__check *check, const attn_args *args,
                                    attn__problem *problem) {
  const attn__array bias = {"bias",           args->bias,     NULL,           problem->batch,
                            problem->heads_q, problem->len_q, problem->len_k, 0};
  attn__array mask = bias;
  mask.name = "mask";
  mask.data = args->mask;
  problem->bias = args->bias;
  problem->mask = args->mask;
  return (!args->bias ||
          attn__check_score_array(check, &bias, args->bias_strides, &problem->bias_strides)) &&
         (!args->mask || attn__check_score_array(check, &mask, args->mask_strides, &problem->mask_strides));
}

static void resolve_rules(const attn_args *args, attn__problem *problem) {
  const int64_t dilation = args->window_dilation > 1 ? args->window_dilation : 1;
  const int32_t left = args->has_window && args->window_left >= 0;
  const int32_t right = args->has_window && args->window_right >= 0;
  problem->window_left = problem->window_right = ATTN__UNBOUNDED;
  if (left && !attn__multiply(args->window_left, dilation, &problem->window_left))
    problem->window_left = ATTN__UNBOUNDED;
  if (right && !attn__multiply(args->window_right, dilation, &problem->window_right))
    problem->window_right = ATTN__UNBOUNDED;
  problem->window_prefix = args->window_prefix;
  problem->window_dilation = dilation;
  problem->sigma = args->sigma > 0 ? args->sigma : (float)args->window_left / 2;
  problem->predict_matrix = args->predict_matrix;
  problem->predict_vector = args->predict_vector;
  problem->predict_dim = args->predict_dim;
}

static attn__norm resolve_norm(const attn_args *args) {
  return (attn__norm){.active = args->norm || args->norm_gain || args->norm_shift || args->residual,
                      .kind = args->norm,
                      .epsilon = args->norm_epsilon > 0 ? args->norm_epsilon : 1e-5f,
                      .gain = args->norm_gain,
                      .shift = args->norm_shift};
}

/* A number by which dot scores are scaled unless another is given; the others are not. */
static float resolve_scale(const attn_args *args) {
  if (args->has_scale) return args->scale;
  return args->score_function == ATTN_SCORE_DOT ? (float)(1 / sqrt((double)args->dim)) : 1;
}

int32_t attn__resolve_args(const attn__check *check, const attn_args *given, attn__problem *problem) {
  attn_args args;
  if (!attn__check_struct(check, "args", given, &args, sizeof args)) return 0;
  if (!attn__check_pointers(check, &args, args_pointers, sizeof args_pointers / sizeof *args_pointers))
    return 0;
  if (!check_sizes(check, &args) || !check_flags(check, &args) || !check_batch(check, &args) ||
      !check_starts(check, "starts_q", args.starts_q, args.batch, args.len_q) ||
      !check_starts(check, "starts_k", args.starts_k, args.batch, args.len_k))
    return 0;
  *problem = (attn__problem){.batch = args.batch,
                             .heads_q = args.heads_q,
                             .len_q = args.len_q,
                             .len_k = args.len_k,
                             .dim = args.dim,
                             .softcap = args.softcap,
                             .causal = args.causal,
                             .has_window = args.has_window,
                             .offset = args.offset,
                             .offsets = args.offsets,
                             .lengths_q = args.lengths_q,
                             .lengths_k = args.lengths_k,
                             .starts_q = args.starts_q,
                             .starts_k = args.starts_k,
                             .alibi_slopes = args.alibi_slopes,
                             .sinks = args.sinks,
                             .score_function = args.score_function,
                             .score_weight = args.score_weight,
                             .scores_stage = args.scores_stage};
  problem->heads_kv = args.heads_kv ? args.heads_kv : args.heads_q;
  problem->group = problem->heads_kv ? problem->heads_q / problem->heads_kv : 1;
  problem->dim_v = args.dim_v ? args.dim_v : args.dim;
  problem->scale = resolve_scale(&args);
  problem->norm = resolve_norm(&args);
  resolve_rules(&args, problem);
  return resolve_arrays(check, &args, problem) && resolve_score_arrays(check, &args, problem) &&
         check_rows(check, problem) &&
         check_lengths(check, "lengths_q", args.lengths_q, args.batch, args.len_q) &&
         check_lengths(check, "lengths_k", args.lengths_k, args.batch, args.len_k);
}

/* The attention of a layer: the caller's options, with arrays that stand for those to come. */
static int32_t resolve_attention(const attn__check *check, const attn_self_args *args,
                                 attn__self_problem *self) {
  static const float nothing[1];
  attn_args attention;
  if (!attn__check_struct(check, "attention", args->attention, &attention, sizeof attention)) return 0;
  if (attention.query || attention.key || attention.value || attention.output || attention.query_strides ||
      attention.key_strides || attention.value_strides || attention.output_strides || attention.starts_q ||
      attention.starts_k)
    return attn__check_fail(check,
                            "attention: expected NULL for query, key, value, output, their strides and "
                            "starts, which are the layer's own, got a pointer");
  if (attention.len_q != attention.len_k)
    return attn__check_fail(check, "attention: expected len_k to be len_q, %" PRId64 ", got %" PRId64,
                            attention.len_q, attention.len_k);
  if (!check_norm(check, &attention)) return 0;
  self->norm = resolve_norm(&attention);
  self->residual.data = attention.residual;
  attention.query = attention.key = attention.value = nothing;
  attention.output = args->output;
  attention.residual = attention.norm_gain = attention.norm_shift = NULL;
  attention.norm = ATTN_NORM_NONE;
  attention.size = sizeof attention;
  return attn__resolve_args(check, &attention, &self->attention);
}

/* The heads of a row side by side are as wide as the product engines take. */
static int32_t check_widths(const attn__check *check, const attn__problem *attention) {
  const int64_t most = INT32_MAX / attn__max(attention->dim, attention->dim_v);
  return attn__check_range(check, "heads_q", attention->heads_q, 0, most) &&
         attn__check_range(check, "heads_kv", attention->heads_kv, 0, most);
}

/* One projection: packed (rows from first on) or its own. */
static attn__projection projection_of(const attn_self_args *args, int64_t first, const float *weight,
                                      const float *bias) {
  if (!args->weight_qkv) return (attn__projection){weight, bias};
  return (attn__projection){args->weight_qkv + first * args->dim_model,
                            args->bias_qkv ? args->bias_qkv + first : NULL};
}

static int32_t resolve_projections(const attn__check *check, const attn_self_args *args,
                                   attn__self_problem *self) {
  const attn__problem *attention = &self->attention;
  const int32_t single =
      args->weight_q || args->weight_k || args->weight_v || args->bias_q || args->bias_k || args->bias_v;
  if (args->weight_qkv && single)
    return attn__check_fail(
        check, "weight_qkv: expected NULL where weights or biases are given one by one, got a pointer");
  if (!args->weight_qkv && args->bias_qkv)
    return attn__check_fail(check, "bias_qkv: expected NULL where weight_qkv is NULL, got a pointer");
  if (!args->weight_qkv && (!args->weight_q || !args->weight_k || !args->weight_v))
    return attn__check_fail(check, "weight_%s: expected a pointer to an array, got NULL",
                            !args->weight_q   ? "q"
                            : !args->weight_k ? "k"
                                              : "v");
  if (args->bias_o && !args->weight_o)
    return attn__check_fail(check, "bias_o: expected NULL where weight_o is NULL, got a pointer");
  const int64_t width_q = attention->heads_q * attention->dim,
                width_k = attention->heads_kv * attention->dim,
                width_v = attention->heads_kv * attention->dim_v;
  attn__input packed = {args->weight_qkv, {0}};
  if (packed.data && !check_input(check, "weight_qkv", (row_shape){1, 1, width_q + width_k + width_v},
                                  args->dim_model, NULL, &packed))
    return 0;
  self->query = projection_of(args, 0, args->weight_q, args->bias_q);
  self->key = projection_of(args, width_q, args->weight_k, args->bias_k);
  self->value = projection_of(args, width_q + width_k, args->weight_v, args->bias_v);
  self->out = (attn__projection){args->weight_o, args->bias_o};
  return 1;
}

static int32_t resolve_rope(const attn__check *check, const attn_self_args *args,
                            attn__self_problem *self) {
  const int64_t dim = self->attention.dim;
  if (!attn__check_range(check, "rope", args->rope, ATTN_ROPE_NONE, ATTN_ROPE_INTERLEAVED)) return 0;
  if (!attn__check_range(check, "rope_dim", args->rope_dim, 0, args->rope ? dim : 0)) return 0;
  if (!(args->rope_base >= 0) || isinf(args->rope_base))
    return attn__check_fail(check, "rope_base: expected a finite number of at least 0, got %g",
                            (double)args->rope_base);
  self->rope = args->rope;
  self->rope_dim = args->rope_dim ? args->rope_dim : dim;
  self->rope_base = args->rope_base > 0 ? args->rope_base : 10000;
  if (args->rope && self->rope_dim % 2)
    return attn__check_fail(check, "rope_dim: expected an even number, got %" PRId64, self->rope_dim);
  return 1;
}

/* Strides of (batch, row) as those of an array with one head. */
static const int64_t *with_head(const int64_t *given, int64_t strides[3]) {
  if (!given) return NULL;
  strides[0] = given[0];
  strides[1] = 0;
  strides[2] = given[1];
  return strides;
}

/* x, the output and the residual. */
static int32_t resolve_rows(const attn__check *check, const attn_self_args *args,
                            attn__self_problem *self) {
  const row_shape rows = {self->attention.batch, 1, self->attention.len_q};
  const int64_t *residual_strides = NULL;
  int64_t x_strides[3], output_strides[3];
  attn_args attention = {0};
  attn__check_struct(check, "attention", args->attention, &attention, sizeof attention);
  residual_strides = attention.residual_strides;
  self->x.data = args->x;
  self->output.data = args->output;
  if (!check_input(check, "x", rows, self->dim_model, with_head(args->x_strides, x_strides), &self->x) ||
      !check_output(check, "output", rows, self->dim_output,
                    with_head(args->output_strides, output_strides), &self->output) ||
      (attention.residual &&
       !check_input(check, "residual", rows, self->dim_output, residual_strides, &self->residual)))
    return 0;
  return rows.batch == 0 || rows.rows == 0 ||
         attn__check_range(check, "output_strides", self->output.strides.row, self->dim_output, INT32_MAX);
}

int32_t attn__resolve_self(const attn__check *check, const attn_self_args *given,
                           attn__self_problem *self) {
  attn_self_args args = {0};
  *self = (attn__self_problem){0};
  if (!attn__check_struct(check, "args", given, &args, sizeof args)) return 0;
  if (!attn__check_pointers(check, &args, self_pointers, sizeof self_pointers / sizeof *self_pointers))
    return 0;
  if (!attn__check_range(check, "dim_model", args.dim_model, 1, INT32_MAX)) return 0;
  if (!attn__check_range(check, "dim_output", args.dim_output, 0, INT32_MAX)) return 0;
  if (!resolve_attention(check, &args, self) || !check_widths(check, &self->attention)) return 0;
  self->dim_model = args.dim_model;
  self->dim_output = args.dim_output ? args.dim_output : args.dim_model;
  const int64_t heads = self->attention.heads_q * self->attention.dim_v;
  if (!args.weight_o && self->dim_output != heads)
    return attn__check_fail(
        check, "dim_output: expected heads_q * dim_v, %" PRId64 ", where weight_o is NULL, got %" PRId64,
        heads, self->dim_output);
  return resolve_projections(check, &args, self) && resolve_rope(check, &args, self) &&
         resolve_rows(check, &args, self);
}

/* 1 if none of so many arrays that is an output surely overlaps another one. */
static int32_t arrays_apart(const attn__check *check, const attn__array *arrays,
                            const attn__strides *const *strides, size_t count) {
  attn__span spans[MOST_ARRAYS];
  int32_t spans_count = 0;
  for (size_t i = 0; i < count; i++)
    spans_count = attn__check_span(spans, spans_count, &arrays[i], strides[i]);
  return attn__check_apart(check, spans, spans_count);
}

/* Rows of packed sequences may lie between others, so these arrays are left out. */
int32_t attn__resolve_apart(const attn__check *check, const attn__problem *problem) {
  const int64_t b = problem->batch, h = problem->heads_q, n = problem->len_q, m = problem->len_k;
  const int64_t rows_q = problem->starts_q ? 0 : n, rows_k = problem->starts_k ? 0 : m;
  const attn__array arrays[] = {
      {"output", problem->output.data, NULL, b, h, rows_q, problem->dim_v, 1},
      {"weights", problem->weights.data, NULL, b, h, n, m, 1},
      {"lse", problem->lse.data, NULL, b, h, n, 1, 1},
      {"scores", problem->scores.data, NULL, b, h, n, m, 1},
      {"query", problem->query.data, NULL, b, h, rows_q, problem->dim, 0},
      {"key", problem->key.data, NULL, b, problem->heads_kv, rows_k, problem->dim, 0},
      {"value", problem->value.data, NULL, b, problem->heads_kv, rows_k, problem->dim_v, 0},
      {"residual", problem->residual.data, NULL, b, h, rows_q, problem->dim_v, 0},
      {"centers", problem->centers.data, NULL, b, h, n, 1, 0}};
  const attn__strides *strides[] = {
      &problem->output.strides, &problem->weights.strides,  &problem->lse.strides,
      &problem->scores.strides, &problem->query.strides,    &problem->key.strides,
      &problem->value.strides,  &problem->residual.strides, &problem->centers.strides};
  return arrays_apart(check, arrays, strides, sizeof arrays / sizeof *arrays);
}

int32_t attn__resolve_self_apart(const attn__check *check, const attn__self_problem *self) {
  const attn__problem *attention = &self->attention;
  const int64_t b = attention->batch, h = attention->heads_q, n = attention->len_q;
  const attn__array arrays[] = {{"output", self->output.data, NULL, b, 1, n, self->dim_output, 1},
                                {"weights", attention->weights.data, NULL, b, h, n, n, 1},
                                {"lse", attention->lse.data, NULL, b, h, n, 1, 1},
                                {"scores", attention->scores.data, NULL, b, h, n, n, 1},
                                {"x", self->x.data, NULL, b, 1, n, self->dim_model, 0},
                                {"residual", self->residual.data, NULL, b, 1, n, self->dim_output, 0},
                                {"centers", attention->centers.data, NULL, b, h, n, 1, 0}};
  const attn__strides *strides[] = {&self->output.strides,      &attention->weights.strides,
                                    &attention->lse.strides,    &attention->scores.strides,
                                    &self->x.strides,           &self->residual.strides,
                                    &attention->centers.strides};
  return arrays_apart(check, arrays, strides, sizeof arrays / sizeof *arrays);
}
