/* floats.c - the products of a strand in floats.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "floats.h"

#include <stddef.h>

#include "attn/attn.h"
#include "base.h"

/* What products are to ask for meanwhile; NULL: nothing. */
static attn__ahead *ahead_of(const attn__strand *s) {
  return s->ahead->count > 0 ? s->ahead : NULL;
}

/* scores: tile rows x keys, the scaled products of queries and keys. */
static attn__product dot_product(const attn__strand *s, const attn__tile *tile,
                                 const attn__score_tile *scores, attn__matrix keys) {
  return (attn__product){.rows = tile->rows,
                         .cols = scores->keys,
                         .inner = s->job->problem->dim,
                         .a = tile->query,
                         .stride_a = s->job->plan->query_stride,
                         .b = keys,
                         .c = scores->scores,
                         .stride_c = scores->stride,
                         .ahead = ahead_of(s)};
}

/* scores: tile rows x keys, scale * v . tanh(q + k): never more of q + k at once than a vector. */
static void additive_scores(const attn__strand *s, const attn__tile *tile, const attn__score_tile *scores,
                            attn__matrix keys) {
  const attn__problem *problem = s->job->problem;
  const int64_t panel = s->job->engine->panel ? s->job->engine->panel : scores->keys;
  for (int64_t r = 0; r < tile->rows; r++) {
    attn__additive operands = {problem->dim, tile->query + r * problem->dim, problem->score_weight,
                               keys.data, keys.stride};
    float *row = scores->scores + r * scores->stride;
    for (int64_t j = 0; j < scores->keys; j += panel, operands.keys += keys.step)
      s->job->kernels->additive(&operands, attn__min(panel, scores->keys - j), row + j);
    if (problem->scale != 1) s->job->kernels->scale(scores->keys, row, problem->scale, row);
  }
}

/* The packed keys of a step from the scores' first one on, which may become an earlier one. */
static attn__matrix packed_keys(const attn__strand *s, attn__key_step *step, attn__score_tile *scores) {
  const attn__job *job = s->job;
  const attn__kv_tile where = attn__strand_kv(s, step->first, step->count);
  const int64_t end = scores->first_key + scores->keys;
  int64_t left_out;
  if (!step->keys.data)
    step->keys = attn__kv_keys(job->problem, job->engine, job->kernels, &where, s->keys);
  const attn__matrix keys =
      attn__product_past(job->engine, step->keys, scores->first_key - step->first, &left_out);
  scores->first_key = step->first + left_out;
  scores->keys = end - scores->first_key;
  return keys;
}

/* The product of the rows of a tile becomes those of its key heads, whose keys or values are so many numbers apart. */
static void part_by_key_heads(const attn__strand *s, const attn__tile *tile, int64_t distance,
                              attn__product *product) {
  product->rows = attn__strand_rows(s, tile);
  product->more = s->kv_heads - 1;
  product->step_a = product->rows * product->stride_a;
  product->step_b = distance;
  product->step_c = product->rows * product->stride_c;
  product->stretch = s->job->plan->stretch_k;
}

void attn__floats_scores(const attn__strand *s, attn__meeting *m, attn__key_step *step) {
  const attn__job *job = s->job;
  if (job->plan->direct) {
    const attn__kv_tile where = attn__strand_kv(s, m->scores.first_key, m->scores.keys);
    attn__product product =
        dot_product(s, &m->tile, &m->scores, attn__kv_keys_in_place(job->problem, &where));
    part_by_key_heads(s, &m->tile, job->problem->key.strides.head, &product);
    job->kernels->multiply_transposed(&product);
    return;
  }
  const attn__matrix keys = packed_keys(s, step, &m->scores);
  if (job->problem->score_function == ATTN_SCORE_ADDITIVE) {
    additive_scores(s, &m->tile, &m->scores, keys);
    return;
  }
  const attn__product product = dot_product(s, &m->tile, &m->scores, keys);
  job->engine->multiply(&product);
}

/* outputs: tile rows x dim_v, += the product of weights and values. */
static attn__product weighted_values(const attn__strand *s, const attn__meeting *m, attn__matrix values) {
  const int64_t dim_v = s->job->problem->dim_v;
  return (attn__product){.rows = m->tile.rows,
                         .cols = dim_v,
                         .inner = m->scores.keys,
                         .a = m->scores.scores,
                         .stride_a = m->scores.stride,
                         .b = values,
                         .c = m->tile.state.outputs,
                         .stride_c = dim_v,
                         .accumulate = m->tile.started,
                         .whole = 1,
                         .ahead = ahead_of(s)};
}

/* 1 if values that are not finite are to be kept out of the product. */
static int32_t must_clear(const attn__strand *s, const attn__meeting *m, attn__key_step *step) {
  const attn__kv_tile where = attn__strand_kv(s, step->first, step->count);
  if (m->masked && step->finite < 0)
    step->finite = attn__kv_values_finite(s->job->problem, s->job->kernels, &where);
  return m->masked && !step->finite;
}

/* The layout of operands for products of few rows: as rows stand. */
static const attn__engine in_place = {.name = "in place"};

/* There is room to clear the values of one key head. */
static void outputs_in_place(const attn__strand *s, const attn__meeting *m, attn__key_step *step) {
  const attn__job *job = s->job;
  attn__kv_tile where = attn__strand_kv(s, m->scores.first_key, m->scores.keys);
  attn__product product =
      weighted_values(s, m, attn__kv_values_in_place(job->problem, job->engine, &where));
  part_by_key_heads(s, &m->tile, job->problem->value.strides.head, &product);
  step->cleared = must_clear(s, m, step);
  if (!step->cleared) {
    job->kernels->multiply_in_place(&product);
    return;
  }
  for (where.more = product.more = 0; where.h < s->kv_head + s->kv_heads; where.h++) {
    product.b = attn__kv_values_cleared(job->problem, &in_place, job->kernels, &where, s->values);
    job->kernels->multiply_in_place(&product);
    product.a += product.step_a;
    product.c += product.step_c;
  }
}

void attn__floats_outputs(const attn__strand *s, const attn__meeting *m, attn__key_step *step) {
  const attn__job *job = s->job;
  if (job->plan->direct) {
    outputs_in_place(s, m, step);
    return;
  }
  const attn__kv_tile where = attn__strand_kv(s, step->first, step->count);
  if (must_clear(s, m, step) && !step->cleared) {
    step->values = attn__kv_values_cleared(job->problem, job->engine, job->kernels, &where, s->values);
    step->cleared = 1;
  }
  if (!step->values.data)
    step->values = job->plan->values_in_place
                       ? attn__kv_values_in_place(job->problem, job->engine, &where)
                       : attn__kv_values(job->problem, job->engine, job->kernels, &where, s->values);
  attn__product product = weighted_values(s, m, step->values);
  product.b.data += (m->scores.first_key - step->first) * step->values.stride;
  job->engine->multiply(&product);
}
