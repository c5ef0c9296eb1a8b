/* thirds.c - the products of a strand in thirds, and by other means what these cannot hold.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "thirds.h"

#include <string.h>

#include "base.h"

void attn__thirds_take_queries(const attn__strand *s, attn__tile *tile, uint16_t *out) {
  const attn__problem *problem = s->job->problem;
  const attn__sequence *sequence = &tile->sequence;
  const int64_t queries = attn__clamp(sequence->len_q - tile->first_query, 0, tile->queries);
  tile->query_thirds = (attn__thirds_strips){out, attn__product_strip(problem->dim)};
  tile->held = 1;
  if (queries < tile->queries)
    memset(out, 0, (size_t)attn__product_thirds(tile->rows, problem->dim) * sizeof *out);
  for (int64_t head = 0; head < tile->heads && queries > 0; head++) {
    const attn__rows rows = {attn__input_row(&problem->query, sequence->batch_q, tile->first_head + head,
                                             sequence->first_q + tile->first_query),
                             problem->query.strides.row, queries, problem->dim};
    tile->held &= s->job->engine->thirds->left(&rows, 1, head * tile->queries, out);
  }
}

static void take_keys(const attn__strand *s, attn__key_step *step) {
  const attn__problem *problem = s->job->problem;
  const attn__kv_tile where = attn__strand_kv(s, step->first, step->count);
  const attn__rows keys = attn__kv_key_rows(problem, &where);
  if (step->thirds.keys.data) return;
  step->thirds.keys = (attn__thirds_strips){s->thirds.keys, attn__product_strip(problem->dim)};
  step->thirds.held = s->job->engine->thirds->right_transposed(&keys, problem->scale, s->thirds.keys);
}

/* 1 if a value can be held. */
static int32_t holds_value(float value) {
  const float size = value < 0 ? -value : value;
  return value == 0 || (size >= ATTN__THIRDS_LEAST && size < ATTN__THIRDS_MOST);
}

/* The values that cannot be held, as floats, but for those that are not finite. */
static void take_values_apart(const attn__strand *s, const attn__kv_tile *where, attn__key_step *step) {
  const attn__job *job = s->job;
  const int64_t floats = attn__product_floats(job->engine, where->count, job->problem->dim_v);
  step->finite = attn__kv_values_finite(job->problem, job->kernels, where);
  step->cleared = !step->finite;
  step->thirds.apart =
      attn__kv_values_cleared(job->problem, job->engine, job->kernels, where, s->thirds.apart);
  for (int64_t n = 0; n < floats; n++)
    if (holds_value(s->thirds.apart[n])) s->thirds.apart[n] = 0;
}

/* Steps of the product with weights begin at every 32nd key of the sequence, wherever tiles do: bits must not depend on
 * that. */
static void take_values(const attn__strand *s, attn__key_step *step) {
  const int64_t lead = step->first % ATTN__THIRDS_INNER;
  const attn__kv_tile where = attn__strand_kv(s, step->first, step->count);
  const attn__rows values = attn__kv_value_rows(s->job->problem, &where);
  if (step->thirds.values.data) return;
  step->thirds.values = (attn__thirds_strips){s->thirds.values, attn__product_strip(lead + step->count)};
  if (!s->job->engine->thirds->right(&values, lead, s->thirds.values)) take_values_apart(s, &where, step);
}

/* The scores of one query and some keys. */
static void mend(const attn__strand *s, const attn__rows *keys, float *scores) {
  const attn__product product = {.rows = 1,
                                 .cols = keys->count,
                                 .inner = keys->width,
                                 .a = s->thirds.query,
                                 .stride_a = keys->width,
                                 .b = {keys->data, keys->stride, 0},
                                 .c = scores,
                                 .stride_c = keys->count};
  s->job->kernels->multiply_transposed(&product);
}

/* Scores of queries and keys that cannot be held are made anew. */
static void mend_scores(const attn__strand *s, const attn__tile *tile, const attn__score_tile *scores) {
  const attn__problem *problem = s->job->problem;
  const attn__kv_tile where = attn__strand_kv(s, scores->first_key, scores->keys);
  const attn__rows keys = attn__kv_key_rows(problem, &where);
  int32_t held[ATTN__THIRDS_KEYS];
  for (int64_t j = 0; j < keys.count; j++)
    held[j] = attn__product_held(problem->dim, keys.data + j * keys.stride, problem->scale);
  for (int64_t r = 0; r < tile->rows; r++) {
    if (attn__tile_padding(tile, r)) continue;
    const float *query = attn__input_row(&problem->query, tile->sequence.batch_q, attn__tile_head(tile, r),
                                         tile->sequence.first_q + attn__tile_query(tile, r));
    float *row = scores->scores + r * scores->stride;
    s->job->kernels->scale(problem->dim, query, problem->scale, s->thirds.query);
    if (!attn__product_held(problem->dim, query, 1)) {
      mend(s, &keys, row);
      continue;
    }
    for (int64_t j = 0; j < keys.count; j++) {
      const attn__rows key = {keys.data + j * keys.stride, keys.stride, 1, keys.width};
      if (!held[j]) mend(s, &key, row + j);
    }
  }
}

void attn__thirds_scores(const attn__strand *s, attn__meeting *m, attn__key_step *step,
                         attn__meeting *before) {
  const attn__job *job = s->job;
  attn__score_tile *scores = &m->scores;
  const int64_t strips = (scores->first_key - step->first) / ATTN__THIRDS_STRIP;
  const int64_t end = scores->first_key + scores->keys;
  take_keys(s, step);
  scores->first_key = step->first + strips * ATTN__THIRDS_STRIP;
  scores->keys = end - scores->first_key;
  const attn__thirds_strips *keys = &step->thirds.keys;
  const attn__thirds_product product = {.rows = m->tile.rows,
                                        .cols = scores->keys,
                                        .steps = attn__divide_up(job->problem->dim, ATTN__THIRDS_INNER),
                                        .left = m->tile.query_thirds,
                                        .right = {keys->data + strips * keys->strip, keys->strip},
                                        .c = scores->scores,
                                        .stride_c = scores->stride,
                                        .factor = 1,
                                        .ahead = s->ahead,
                                        .beside = before ? &before->weighing : NULL,
                                        .beside_steps =
                                            before ? attn__thirds_steps_left(&before->weighing) : 0};
  job->engine->thirds->multiply(&product);
  if (!m->tile.held || !step->thirds.held) mend_scores(s, &m->tile, scores);
}

void attn__thirds_begin_weights(const attn__strand *s, attn__meeting *m, attn__key_step *step) {
  const attn__score_tile *scores = &m->scores;
  take_values(s, step);
  const int32_t as_floats = step->thirds.apart.data || s->job->problem->centers.data;
  m->weighing =
      (attn__thirds_weighing){.scores = {scores->scores, scores->stride, m->tile.rows, scores->keys},
                              .lead = scores->first_key % ATTN__THIRDS_INNER,
                              .shifts = m->exponents.shifts,
                              .sums = m->exponents.sums,
                              .weights = as_floats ? scores->scores : NULL,
                              .out = m->weights};
}

void attn__thirds_end_weights(const attn__strand *s, attn__meeting *m) {
  s->job->engine->thirds->weigh(&m->weighing);
}

/* outputs += weights x values that thirds do not hold. */
static void add_apart(const attn__strand *s, const attn__tile *tile, const attn__score_tile *scores,
                      const attn__key_step *step) {
  attn__product product = {.rows = tile->rows,
                           .cols = s->job->problem->dim_v,
                           .inner = scores->keys,
                           .a = scores->scores,
                           .stride_a = scores->stride,
                           .b = step->thirds.apart,
                           .c = tile->state.outputs,
                           .stride_c = s->job->problem->dim_v,
                           .accumulate = 1,
                           .whole = 1};
  product.b.data += (scores->first_key - step->first) * product.b.stride;
  s->job->engine->multiply(&product);
}

void attn__thirds_outputs(const attn__strand *s, const attn__meeting *m, const attn__key_step *step,
                          attn__meeting *next, int32_t whole) {
  const attn__thirds_weighing *weighing = &m->weighing;
  const attn__thirds *thirds = s->job->engine->thirds;
  const int64_t dim_v = s->job->problem->dim_v, inner = weighing->lead + m->scores.keys;
  const int64_t steps = m->scores.first_key / ATTN__THIRDS_INNER - step->first / ATTN__THIRDS_INNER;
  const attn__thirds_strips *values = &step->thirds.values;
  attn__thirds_weighing again = {.scores = weighing->scores, .lead = weighing->lead, .out = weighing->out};
  if (s->job->problem->centers.data) thirds->weigh(&again); /* the Gaussian has changed them */
  const attn__thirds_product product = {
      .rows = m->tile.rows,
      .cols = dim_v,
      .steps = attn__divide_up(inner, ATTN__THIRDS_INNER),
      .left = {weighing->out, attn__product_strip(inner)},
      .right = {values->data + steps * ATTN__THIRDS_STEP, values->strip},
      .c = m->tile.state.outputs,
      .stride_c = dim_v,
      .accumulate = m->tile.started,
      .factor = 1 / ATTN__THIRDS_WEIGHT,
      .ahead = s->ahead,
      .beside = next ? &next->weighing : NULL,
      .beside_steps = next ? attn__thirds_steps_left(&next->weighing) / (whole ? 1 : 2) : 0};
  thirds->multiply(&product);
  if (step->thirds.apart.data) add_apart(s, &m->tile, &m->scores, step);
}
