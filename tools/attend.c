/* attend.c - runs attention and layers over dense arrays, timed, in slices where somebody watches.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _POSIX_C_SOURCE 200809L
#include "attend.h"

#include <stddef.h>
#include <time.h>

#include "progress.h"
#include "refuse.h"

static const double long_flops = 1e10; /* about a second without AVX2 */
static const double slice_flops = 1e9; /* enough to keep every thread busy */
static const double bar_after = 0.5;   /* seconds */
enum { BAR_STEPS = 100 };

/* ---- what there is to do */

static int64_t clamp(int64_t number, int64_t low, int64_t high) {
  return number < low ? low : number > high ? high : number;
}

/* a + b, or the int64_t nearest to it. */
static int64_t add(int64_t a, int64_t b) {
  int64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) return b < 0 ? INT64_MIN : INT64_MAX;
  return sum;
}

/* How far a side of the window reaches. */
static int64_t reach(const attn_args *args, int64_t side) {
  int64_t distance;
  int64_t dilation = args->window_dilation > 1 ? args->window_dilation : 1;
  if (!args->has_window || side < 0 || __builtin_mul_overflow(side, dilation, &distance)) return INT64_MAX;
  return distance;
}

/* How many j in [begin, end) are at a distance of a multiple of step from position. */
static int64_t steps_within(int64_t begin, int64_t end, int64_t position, int64_t step) {
  if (begin >= end) return 0;
  int64_t gap = (position % step - begin % step) % step; /* from begin to the first such j */
  int64_t first = add(begin, gap < 0 ? gap + step : gap);
  return first < end ? (end - 1 - first) / step + 1 : 0;
}

/* How many of len_k keys a query at that position sees. */
static int64_t keys_seen(const attn_args *args, int64_t position, int64_t len_k) {
  int64_t end = args->causal ? clamp(add(position, 1), 0, len_k) : len_k;
  int64_t prefix = args->window_prefix < end ? args->window_prefix : end;
  int64_t left = reach(args, args->window_left);
  int64_t right = reach(args, args->window_right);
  if (args->centers != NULL || args->predict_matrix != NULL) {
    int64_t width = add(add(left, right), 1);
    return clamp(add(prefix, width), 0, end);
  }
  int64_t first = clamp(add(position, -left), prefix, end);
  int64_t last = clamp(add(add(position, right), 1), first, end);
  int64_t step = args->has_window && args->window_dilation > 1 ? args->window_dilation : 1;
  return prefix + steps_within(first, last, position, step);
}

/* How many (query, key) pairs the positions of one head of batch entry b leave. */
static double visible_pairs(const attn_args *args, int64_t b) {
  int64_t len_q = args->lengths_q != NULL ? args->lengths_q[b] : args->len_q;
  int64_t len_k = args->lengths_k != NULL ? args->lengths_k[b] : args->len_k;
  double pairs = 0.0;
  for (int64_t i = 0; i < len_q; i++) pairs += (double)keys_seen(args, add(args->offset, i), len_k);
  return pairs;
}

double attend_flops(const attn_args *args) {
  double pairs = 0.0;
  for (int64_t b = 0; b < args->batch; b++) pairs += visible_pairs(args, b);
  return 2.0 * (double)args->heads_q * pairs * ((double)args->dim + (double)args->dim_v);
}

/* ---- doing it */

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int32_t attend_once(attn_context *context, const attn_args *args, double *seconds) {
  double start = now();
  int32_t status = args->has_window ? attn_local(context, args) : attn_global(context, args);
  *seconds += now() - start;
  return status;
}

/* Some of the batch entries, and of these some of the key heads. */
typedef struct slice {
  int64_t first_batch, batch;
  int64_t first_head, heads; /* key heads */
} slice;

/* The strides of the dense arrays of the whole, which those of a slice have too. */
typedef struct whole_strides {
  int64_t query[3], key[3], value[3], output[3], scores[3], rows[3];
} whole_strides;

static void set_dense(int64_t strides[3], int64_t heads, int64_t rows, int64_t width) {
  strides[2] = width;
  strides[1] = rows * width;
  strides[0] = heads * rows * width;
}

static whole_strides strides_of(const attn_args *args) {
  whole_strides strides = {0};
  set_dense(strides.query, args->heads_q, args->len_q, args->dim);
  set_dense(strides.key, args->heads_kv, args->len_k, args->dim);
  set_dense(strides.value, args->heads_kv, args->len_k, args->dim_v);
  set_dense(strides.output, args->heads_q, args->len_q, args->dim_v);
  set_dense(strides.scores, args->heads_q, args->len_q, args->len_k);
  set_dense(strides.rows, args->heads_q, args->len_q, 1);
  return strides;
}

/* How many elements lie before those of a slice. */
static int64_t before(const slice *part, const int64_t *strides, int64_t group) {
  return part->first_batch * strides[0] + part->first_head * group * strides[1];
}

/* args with a slice of its results. */
static attn_args slice_results(const attn_args *args, const slice *part, const whole_strides *strides) {
  attn_args sliced = *args;
  int64_t group = args->heads_q / args->heads_kv;
  sliced.output += before(part, strides->output, group);
  sliced.output_strides = strides->output;
  if (args->residual != NULL) sliced.residual += before(part, strides->output, group);
  sliced.residual_strides = strides->output;
  if (args->weights != NULL) sliced.weights += before(part, strides->scores, group);
  sliced.weights_strides = strides->scores;
  if (args->scores != NULL) sliced.scores += before(part, strides->scores, group);
  sliced.scores_strides = strides->scores;
  if (args->lse != NULL) sliced.lse += before(part, strides->rows, group);
  sliced.lse_strides = strides->rows;
  return sliced;
}

static attn_args slice_of(const attn_args *args, const slice *part, const whole_strides *strides) {
  attn_args sliced = slice_results(args, part, strides);
  int64_t group = args->heads_q / args->heads_kv;
  sliced.batch = part->batch;
  sliced.heads_kv = part->heads;
  sliced.heads_q = part->heads * group;
  sliced.query += before(part, strides->query, group);
  sliced.query_strides = strides->query;
  sliced.key += before(part, strides->key, 1);
  sliced.key_strides = strides->key;
  sliced.value += before(part, strides->value, 1);
  sliced.value_strides = strides->value;
  if (args->mask != NULL) sliced.mask += before(part, args->mask_strides, group);
  if (args->bias != NULL) sliced.bias += before(part, args->bias_strides, group);
  if (args->centers != NULL) sliced.centers += before(part, strides->rows, group);
  sliced.centers_strides = strides->rows;
  if (args->alibi_slopes != NULL) sliced.alibi_slopes += part->first_head * group;
  if (args->sinks != NULL) sliced.sinks += part->first_head * group;
  if (args->lengths_q != NULL) sliced.lengths_q += part->first_batch;
  if (args->lengths_k != NULL) sliced.lengths_k += part->first_batch;
  return sliced;
}

/* Whole batch entries where a slice has room for one, else key heads of one entry; moves *part on. */
static void next_slice(const attn_args *args, int64_t key_heads, slice *part) {
  part->first_head += part->heads;
  if (part->first_head == args->heads_kv) {
    part->first_head = 0;
    part->first_batch += part->batch;
  }
  int64_t entries = key_heads / args->heads_kv;
  part->batch = clamp(entries, 1, args->batch - part->first_batch);
  part->heads = clamp(key_heads, 1, args->heads_kv - part->first_head);
}

static int32_t attend_slices(attn_context *context, const attn_args *args, int64_t key_heads,
                             double *seconds) {
  double start = now();
  bool late = false;
  int32_t status = ATTN_OK;
  whole_strides strides = strides_of(args);
  slice part = {0};
  next_slice(args, key_heads, &part);
  while (part.first_batch < args->batch && status == ATTN_OK) {
    int64_t done = part.first_batch * args->heads_kv + part.first_head;
    if (late) progress_draw(done, args->batch * args->heads_kv, now() - start);
    attn_args sliced = slice_of(args, &part, &strides);
    status = attend_once(context, &sliced, seconds);
    late = now() - start > bar_after;
    next_slice(args, key_heads, &part);
  }
  if (late) progress_clear();
  return status;
}

int attend(attn_context *context, const attn_args *args, bool show_progress, attn_plan *plan,
           double *seconds) {
  *seconds = 0.0;
  *plan = (attn_plan){.size = sizeof *plan};
  int32_t status = attn_explain(context, args, plan); /* refuses in the caller's sizes, not a slice's */
  double flops = status == ATTN_OK && show_progress ? attend_flops(args) : 0.0;
  if (status == ATTN_OK && flops < long_flops) {
    status = attend_once(context, args, seconds);
  } else if (status == ATTN_OK) {
    int64_t key_heads = args->batch * args->heads_kv;
    int64_t step = (int64_t)(slice_flops * (double)key_heads / flops) + 1;
    if (step < key_heads / BAR_STEPS) step = key_heads / BAR_STEPS;
    status = attend_slices(context, args, step, seconds);
  }
  return status == ATTN_OK ? EXIT_OK : refuse(EXIT_LIBRARY, "%s", attn_last_error(context));
}

double attend_layer_flops(const attn_self_args *args) {
  const attn_args *attention = args->attention;
  double keys = (double)attention->heads_kv * ((double)attention->dim + (double)attention->dim_v);
  double projected = (double)attention->heads_q * (double)attention->dim + keys;
  double weights = projected * (double)args->dim_model;
  if (args->weight_o != NULL)
    weights += (double)args->dim_output * (double)attention->heads_q * (double)attention->dim_v;
  return 2.0 * weights * (double)attention->batch * (double)attention->len_q + attend_flops(attention);
}

int attend_layer(attn_context *context, const attn_self_args *args, attn_plan *plan, double *seconds) {
  *plan = (attn_plan){.size = sizeof *plan};
  int32_t status = attn_explain_self(context, args, plan);
  double start = now();
  if (status == ATTN_OK) status = attn_self(context, args);
  *seconds = now() - start;
  return status == ATTN_OK ? EXIT_OK : refuse(EXIT_LIBRARY, "%s", attn_last_error(context));
}
