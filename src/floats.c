/* floats.c - the products of a strand in floats.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "floats.h"

#include "attn/attn.h"
#include "base.h"

/* scores: tile rows x keys, the scaled products of queries and keys. */
static attn__product dot_product(const attn__strand *s, const attn__tile *tile,
                                 const attn__score_tile *scores, attn__matrix keys) {
  return (attn__product){.rows = tile->rows,
                         .cols = scores->keys,
                         .inner = s->job->problem->dim,
                         .a = tile->query,
                         .stride_a = s->job->problem->dim,
                         .b = keys,
                         .c = scores->scores,
                         .stride_c = scores->stride,
                         .ahead = s->ahead};
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

void attn__floats_scores(const attn__strand *s, attn__meeting *m, attn__key_step *step) {
  const attn__job *job = s->job;
  if (job->plan->direct) {
    const attn__kv_tile where = attn__strand_kv(s, m->scores.first_key, m->scores.keys);
    const attn__product product =
        dot_product(s, &m->tile, &m->scores, attn__kv_keys_in_place(job->problem, &where));
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

/* The layout of operands for products of few rows: as rows stand. */
static const attn__engine in_place = {.name = "in place"};

void attn__floats_outputs(const attn__strand *s, const attn__meeting *m, attn__key_step *step) {
  const attn__job *job = s->job;
  const int64_t dim_v = job->problem->dim_v;
  const attn__kv_tile where = attn__strand_kv(s, step->first, step->count);
  if (m->masked && step->finite < 0)
    step->finite = attn__kv_values_finite(job->problem, job->kernels, &where);
  if (m->masked && !step->finite && !step->cleared) {
    const attn__engine *layout = job->plan->direct ? &in_place : job->engine;
    step->values = attn__kv_values_cleared(job->problem, layout, job->kernels, &where, s->values);
    step->cleared = 1;
  }
  if (!step->values.data)
    step->values = job->plan->values_in_place
                       ? attn__kv_values_in_place(job->problem, job->engine, &where)
                       : attn__kv_values(job->problem, job->engine, job->kernels, &where, s->values);
  attn__product product = {.rows = m->tile.rows,
                           .cols = dim_v,
                           .inner = m->scores.keys,
                           .a = m->scores.scores,
                           .stride_a = m->scores.stride,
                           .b = step->values,
                           .c = m->tile.state.outputs,
                           .stride_c = dim_v,
                           .accumulate = m->tile.started,
                           .whole = 1,
                           .ahead = s->ahead};
  product.b.data += (m->scores.first_key - step->first) * step->values.stride;
  (job->plan->direct ? job->kernels->multiply_in_place : job->engine->multiply)(&product);
}
