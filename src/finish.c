/* finish.c - from the states of rows to results.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "finish.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base.h"
#include "peaks.h"

enum { KEPT = 256 }; /* scores of a row that become weights together */

static void fill_zero(float *out, int64_t count) {
  memset(out, 0, (size_t)count * sizeof *out);
}

static void fill_hidden(float *out, int64_t count) {
  for (int64_t j = 0; j < count; j++) out[j] = -INFINITY;
}

/* Residual, norm, gain and shift, once the output is written. */
static void finish_output(const attn__problem *problem, const attn__tile *tile, int64_t r, float *output) {
  if (!problem->norm.active || attn__tile_padding(tile, r)) return;
  const float *residual = NULL;
  if (problem->residual.data)
    residual = attn__input_row(&problem->residual, tile->sequence.batch_q, attn__tile_head(tile, r),
                               tile->sequence.first_q + attn__tile_query(tile, r));
  attn__norm_row(&problem->norm, problem->dim_v, residual, output);
}

/* A row's output, weights and LSE where it sees no key. Packed sequences have no output past their length. */
static void write_unseeing_row(const attn__problem *problem, const attn__tile *tile, int64_t r,
                               float *output) {
  const float *sinks = attn__tile_padding(tile, r) ? NULL : problem->sinks;
  if (!problem->starts_q || !attn__tile_padding(tile, r)) fill_zero(output, problem->dim_v);
  finish_output(problem, tile, r, output);
  if (problem->weights.data) fill_zero(attn__tile_result(tile, &problem->weights, r), problem->len_k);
  if (problem->lse.data)
    *attn__tile_result(tile, &problem->lse, r) = sinks ? sinks[attn__tile_head(tile, r)] : -INFINITY;
}

/* The scores of keys that no query of the tile sees. */
static void write_unseen_scores(const attn__problem *problem, const attn__tile *tile, int64_t r) {
  if (!problem->scores.data) return;
  float *scores = attn__tile_result(tile, &problem->scores, r);
  fill_hidden(scores, tile->visible.begin);
  fill_hidden(scores + tile->visible.end, problem->len_k - tile->visible.end);
}

/* A NaN makes a row's visible weights NaN; masked ones are 0 all the same. */
static void clear_masked(const attn__problem *problem, const attn__tile *tile, int64_t r, float *weights) {
  for (int64_t j = tile->visible.begin; j < tile->visible.end; j++)
    if (!attn__score_sees(problem, tile->b, attn__tile_head(tile, r), attn__tile_query(tile, r), j))
      weights[j] = 0;
}

/* Kept scores of a row become exp(score - max), the largest of them sharpened. Returns their sum, which is another than
 * that of the tiles, where other scores may have been. */
static double weigh_kept(const attn__problem *problem, const attn__kernels *kernels,
                         const attn__score_tile *row, float max) {
  attn__score_tile piece = *row;
  double sum = 0;
  for (int64_t done = 0; done < row->keys; done += KEPT) {
    float shift = max;
    piece.scores = row->scores + done;
    piece.first_key = row->first_key + done;
    piece.keys = attn__min(KEPT, row->keys - done);
    if (fabsf(max) > ATTN__PEAKS_SIZE) shift = attn__peaks_sharpen(problem, kernels, &piece, 0, max);
    sum += (double)kernels->exp_sum(piece.keys, piece.scores, shift, piece.scores);
  }
  return sum;
}

/* What a sink adds to the sum of a row. */
static double sink_of(const attn__problem *problem, const attn__tile *tile, int64_t r) {
  if (!problem->sinks) return 0;
  return exp((double)problem->sinks[attn__tile_head(tile, r)] - (double)tile->state.maxima[r]);
}

/* out[j] = x[j] / sum, which a sink may have made too large for a float. */
static void divide(const attn__kernels *kernels, int64_t count, const float *x, double sum, float *out) {
  if (sum > (double)FLT_MAX)
    for (int64_t j = 0; j < count; j++) out[j] = (float)((double)x[j] / sum);
  else
    kernels->divide(count, x, (float)sum, out);
}

/* The weights of a row: its kept scores, made exp(score - max) / sum. */
static void finish_weights(const attn__problem *problem, const attn__kernels *kernels,
                           const attn__tile *tile, int64_t r) {
  const int64_t begin = tile->visible.begin, end = tile->visible.end;
  float *weights = attn__tile_result(tile, &problem->weights, r);
  const attn__score_tile row = {.scores = weights + begin,
                                .b = tile->b,
                                .first_head = attn__tile_head(tile, r),
                                .heads = 1,
                                .first_query = attn__tile_query(tile, r),
                                .queries = 1,
                                .first_key = begin,
                                .keys = end - begin};
  fill_zero(weights, begin);
  const double kept = weigh_kept(problem, kernels, &row, attn__tile_shift(tile->state.maxima[r]));
  const double sum = kept + sink_of(problem, tile, r);
  divide(kernels, end - begin, weights + begin, sum, weights + begin);
  fill_zero(weights + end, problem->len_k - end);
  attn__score_weigh(problem, kernels, &row);
  if (isnan(sum)) clear_masked(problem, tile, r, weights);
}

/* The log-sum-exp of a row that sees something; sum does not have its sink yet. */
static float row_lse(const attn__problem *problem, const attn__tile *tile, int64_t r, double sum) {
  const double lse = (double)tile->state.maxima[r] + log(sum);
  if (!problem->sinks) return (float)lse;
  const double sink = (double)problem->sinks[attn__tile_head(tile, r)];
  return (float)(fmax(lse, sink) + log1p(exp(-fabs(lse - sink))));
}

/* Divides by the sum, which a sink joins, and writes a row's results. The sum of exp(score - max) is 0 only
 * where no key was seen, else at least exp(-0.5). */
static void finish_row(const attn__problem *problem, const attn__kernels *kernels, const attn__tile *tile,
                       int64_t r, float *output) {
  double sum = tile->state.sums[r];
  if (sum == 0) {
    write_unseeing_row(problem, tile, r, output);
    return;
  }
  if (problem->lse.data) *attn__tile_result(tile, &problem->lse, r) = row_lse(problem, tile, r, sum);
  sum += sink_of(problem, tile, r);
  divide(kernels, problem->dim_v, tile->state.outputs + r * problem->dim_v, sum, output);
  finish_output(problem, tile, r, output);
  if (problem->weights.data) finish_weights(problem, kernels, tile, r);
}

void attn__finish_tile(const attn__problem *problem, const attn__kernels *kernels, const attn__tile *tile) {
  for (int64_t first = 0; first < tile->rows; first += tile->queries) { /* the rows of a head */
    float *output = attn__tile_output(tile, &problem->output, first);
    for (int64_t r = first; r < first + tile->queries; r++, output += problem->output.strides.row) {
      write_unseen_scores(problem, tile, r);
      finish_row(problem, kernels, tile, r, output);
    }
  }
}

/* The first state that is joined is to stay as it is, and -0 + -0 is -0. */
void attn__finish_clear(const attn__total *total, int64_t rows, int64_t dim_v) {
  for (int64_t n = 0; n < rows * dim_v; n++) total->outputs[n] = -0.0;
  for (int64_t r = 0; r < rows; r++) {
    total->maxima[r] = -INFINITY;
    total->sums[r] = 0;
  }
}

static void join_row(const attn__total *total, const attn__state *state, int64_t r, int64_t dim_v) {
  const float max = fmaxf(total->maxima[r], state->maxima[r]);
  const double before = exp((double)total->maxima[r] - (double)max);
  const double added = exp((double)state->maxima[r] - (double)max);
  double *sums = total->outputs + r * dim_v;
  const float *outputs = state->outputs + r * dim_v;
  for (int64_t d = 0; d < dim_v; d++) sums[d] = sums[d] * before + (double)outputs[d] * added;
  total->maxima[r] = max;
  total->sums[r] = total->sums[r] * before + state->sums[r] * added;
}

void attn__finish_join(const attn__total *total, const attn__state *state, int64_t rows, int64_t dim_v) {
  for (int64_t r = 0; r < rows; r++)
    if (state->sums[r] != 0) join_row(total, state, r, dim_v);
}

void attn__finish_total(const attn__state *state, const attn__total *total, int64_t rows, int64_t dim_v) {
  for (int64_t n = 0; n < rows * dim_v; n++) state->outputs[n] = (float)total->outputs[n];
  memcpy(state->maxima, total->maxima, (size_t)rows * sizeof *state->maxima);
  memcpy(state->sums, total->sums, (size_t)rows * sizeof *state->sums);
}

void attn__finish_unseeing(const attn__problem *problem) {
  if (problem->batch == 0 || problem->heads_q == 0 || problem->len_q == 0) return;
  for (int64_t b = 0; b < problem->batch; b++)
    for (int64_t h = 0; h < problem->heads_q; h++) {
      attn__tile head = {
          .sequence = attn__sequence_of(problem, b), .b = b, .first_head = h, .queries = problem->len_q};
      for (int64_t i = 0; i < problem->len_q; i++) {
        write_unseeing_row(problem, &head, i, attn__tile_output(&head, &problem->output, i));
        write_unseen_scores(problem, &head, i);
      }
    }
}
