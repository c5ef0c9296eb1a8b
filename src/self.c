/* self.c - the self-attention layer: projections, heads, attention, output projection.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "self.h"

#include <math.h>
#include <string.h>

#include "attn/attn.h"
#include "base.h"
#include "linear.h"

static int64_t width_q(const attn__self_problem *problem) {
  return problem->attention.heads_q * problem->attention.dim;
}

static int64_t width_k(const attn__self_problem *problem) {
  return problem->attention.heads_kv * problem->attention.dim;
}

static int64_t width_v(const attn__self_problem *problem) {
  return problem->attention.heads_kv * problem->attention.dim_v;
}

static int64_t width_heads(const attn__self_problem *problem) {
  return problem->attention.heads_q * problem->attention.dim_v;
}

/* Appends a piece of so many bytes for each of rows, and sets where it begins; 0 if that cannot be counted. */
static int32_t append(int64_t *bytes, int64_t rows, int64_t row_bytes, int64_t *begin) {
  int64_t size;
  *begin = *bytes;
  return attn__multiply(rows, row_bytes, &size) && size <= INT64_MAX - ATTN_CACHE_LINE &&
         attn__add(*bytes, attn__round_up(size, ATTN_CACHE_LINE), bytes);
}

int32_t attn__self_lay_out(const attn__self_problem *problem, uint64_t strands_bytes,
                           attn__self_layout *layout) {
  const int64_t size = sizeof(float), batch = problem->attention.batch;
  int64_t rows, *bytes = &layout->bytes;
  *layout = (attn__self_layout){0};
  return attn__multiply(batch, problem->attention.len_q, &rows) &&
         append(bytes, rows, size * width_q(problem), &layout->query) &&
         append(bytes, rows, size * width_k(problem), &layout->key) &&
         append(bytes, rows, size * width_v(problem), &layout->value) &&
         append(bytes, rows, size * width_heads(problem), &layout->heads) &&
         append(bytes, batch, sizeof(int64_t), &layout->lengths) &&
         append(bytes, 1, (int64_t)strands_bytes, &layout->strands);
}

/* Rows of (heads, dim) for each query of each batch entry, as an array of (batch, head, row, dim). What overflows wraps,
 * and the layout is refused. */
static attn__strides head_strides(const attn__self_problem *problem, int64_t heads, int64_t dim) {
  const uint64_t row = (uint64_t)heads * (uint64_t)dim, batch = (uint64_t)problem->attention.len_q * row;
  return (attn__strides){(int64_t)batch, dim, (int64_t)row};
}

void attn__self_arrange(attn__self_problem *problem) {
  attn__problem *attention = &problem->attention;
  attention->query.strides = head_strides(problem, attention->heads_q, attention->dim);
  attention->key.strides = head_strides(problem, attention->heads_kv, attention->dim);
  attention->value.strides = head_strides(problem, attention->heads_kv, attention->dim_v);
  attention->output.strides = head_strides(problem, attention->heads_q, attention->dim_v);
}

/* Rotates the two elements of pair n, in each of heads heads of a row that are dim apart. */
static void rotate_pair(const attn__self_problem *problem, int64_t n, double angle, float *row,
                        int64_t heads) {
  const int64_t first = problem->rope == ATTN_ROPE_HALF ? n : 2 * n;
  const int64_t second = problem->rope == ATTN_ROPE_HALF ? n + problem->rope_dim / 2 : 2 * n + 1;
  const double c = cos(angle), s = sin(angle);
  for (int64_t h = 0; h < heads; h++) {
    float *head = row + h * problem->attention.dim;
    const double x = (double)head[first], y = (double)head[second];
    head[first] = (float)(x * c - y * s);
    head[second] = (float)(y * c + x * s);
  }
}

/* Rows of q and k to rotate, shared out evenly between strands. */
typedef struct rotation {
  const attn__self_problem *problem;
  float *query, *key;
  int64_t strands;
} rotation;

/* Rotates pair n of rope_dim / 2 by position * base^(-2 n / rope_dim). */
static void rotate_row(const rotation *job, int64_t row) {
  const attn__self_problem *problem = job->problem;
  const attn__problem *attention = &problem->attention;
  const attn__sequence sequence = attn__sequence_of(attention, row / attention->len_q);
  if (row % attention->len_q >= attn__max(sequence.len_q, sequence.len_k)) return; /* not projected */
  const double position = (double)attn__add_saturating(row % attention->len_q, sequence.offset);
  for (int64_t n = 0; n < problem->rope_dim / 2; n++) {
    const double angle =
        position * pow((double)problem->rope_base, -2.0 * (double)n / (double)problem->rope_dim);
    rotate_pair(problem, n, angle, job->query + row * width_q(problem), attention->heads_q);
    rotate_pair(problem, n, angle, job->key + row * width_k(problem), attention->heads_kv);
  }
}

static void rotate_strand(void *argument, int64_t index) {
  const rotation *job = argument;
  const int64_t all = job->problem->attention.batch * job->problem->attention.len_q;
  const int64_t rows = attn__divide_up(all, job->strands), end = attn__min((index + 1) * rows, all);
  for (int64_t row = index * rows; row < end; row++) rotate_row(job, row);
}

static void rotate(attn_context *context, const attn__self_problem *problem, float *query, float *key) {
  rotation job = {.problem = problem, .query = query, .key = key, .strands = context->options.threads};
  attn__context_run(context, job.strands, rotate_strand, &job);
}

/* One projection of x into y, an array of (batch, row, width); layer has what all projections share. */
static void project(attn_context *context, attn__linear layer, const attn__projection *projection,
                    int64_t width, float *y, void *scratch) {
  layer.dim_out = width;
  layer.weight = projection->weight;
  layer.bias = projection->bias;
  layer.y = (attn__output){y, {layer.rows * width, 0, width}};
  attn__linear_run(context, &layer, scratch);
}

void attn__self_project(attn_context *context, attn__self_problem *problem, const attn__self_layout *layout,
                        char *scratch) {
  attn__problem *attention = &problem->attention;
  float *query = (float *)(void *)(scratch + layout->query),
        *key = (float *)(void *)(scratch + layout->key);
  float *value = (float *)(void *)(scratch + layout->value),
        *heads = (float *)(void *)(scratch + layout->heads);
  int64_t *lengths = (int64_t *)(void *)(scratch + layout->lengths);
  void *strands = scratch + layout->strands;
  for (int64_t b = 0; b < attention->batch; b++) {
    const attn__sequence sequence = attn__sequence_of(attention, b);
    lengths[b] = attn__max(sequence.len_q, sequence.len_k);
  }
  const attn__linear layer = {.batch = attention->batch,
                              .rows = attention->len_q,
                              .dim_in = problem->dim_model,
                              .lengths = lengths,
                              .x = problem->x};
  project(context, layer, &problem->query, width_q(problem), query, strands);
  project(context, layer, &problem->key, width_k(problem), key, strands);
  project(context, layer, &problem->value, width_v(problem), value, strands);
  if (problem->rope != ATTN_ROPE_NONE) rotate(context, problem, query, key);
  attention->query.data = query;
  attention->key.data = key;
  attention->value.data = value;
  attention->output.data = heads;
}

enum { FLOATS_PER_STRAND = 1 << 14 }; /* of output, at least: less is done before another thread wakes up */

/* Rows of the output to finish, shared out evenly between strands. */
typedef struct finishing {
  const attn__self_problem *problem;
  const float *heads; /* (batch, len_q, width) */
  int64_t strands;
} finishing;

static void finish_row(const attn__self_problem *problem, const float *heads, int64_t b, int64_t i) {
  float *output = attn__output_row(&problem->output, b, 0, i);
  if (i >= attn__sequence_of(&problem->attention, b).len_q) { /* there is no such row */
    memset(output, 0, (size_t)problem->dim_output * sizeof *output);
    return;
  }
  if (!problem->out.weight) memcpy(output, heads, (size_t)problem->dim_output * sizeof *heads);
  if (!problem->norm.active) return;
  const float *residual = problem->residual.data ? attn__input_row(&problem->residual, b, 0, i) : NULL;
  attn__norm_row(&problem->norm, problem->dim_output, residual, output);
}

static void finish_strand(void *argument, int64_t index) {
  const finishing *job = argument;
  const int64_t len = job->problem->attention.len_q, all = job->problem->attention.batch * len;
  const int64_t rows = attn__divide_up(all, job->strands), end = attn__min((index + 1) * rows, all);
  for (int64_t row = index * rows; row < end; row++)
    finish_row(job->problem, job->heads + row * width_heads(job->problem), row / len, row % len);
}

void attn__self_finish(attn_context *context, const attn__self_problem *problem,
                       const attn__self_layout *layout, char *scratch) {
  const int64_t len = problem->attention.len_q, width = width_heads(problem);
  const float *heads = (const float *)(void *)(scratch + layout->heads);
  if (problem->out.weight) {
    const attn__linear layer = {.batch = problem->attention.batch,
                                .rows = len,
                                .dim_in = width,
                                .dim_out = problem->dim_output,
                                .x = {heads, {len * width, 0, width}},
                                .weight = problem->out.weight,
                                .bias = problem->out.bias,
                                .y = problem->output};
    attn__linear_run(context, &layer, scratch + layout->strands);
  }
  const double wanted =
      (double)problem->attention.batch * (double)len * (double)problem->dim_output / FLOATS_PER_STRAND;
  finishing job = {.problem = problem, .heads = heads, .strands = context->options.threads};
  if (wanted < (double)job.strands) job.strands = attn__max((int64_t)wanted, 1);
  attn__context_run(context, job.strands, finish_strand, &job);
}
