/* score.c - what happens to scores between the two products.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "score.h"

#include <math.h>
#include <string.h>

#include "base.h"

/* So far from 0 that no sequence is as long. */
#define FAR ((int64_t)1 << 60)

/* What a row's position makes visible: the window, of which only every step-th key from its position, and
 * the prefix. Both within the causal rule and the length. */
typedef struct row_view {
  attn__key_range window;
  int64_t prefix_end;
  int64_t position, step;
} row_view;

static float center_of(const attn__problem *problem, int64_t b, int64_t h, int64_t i) {
  return *attn__input_row(&problem->centers, b, h, i);
}

/* The integers from center - left to center + right, as far as they are below end. Around a NaN: all, so that
 * it is not lost. */
static attn__key_range window_around(double center, double left, double right, int64_t end) {
  if (isnan(center)) return (attn__key_range){0, end};
  const double first = ceil(center - left), last = floor(center + right);
  attn__key_range window = {first > 0 ? (int64_t)fmin(first, (double)end) : 0, 0};
  window.end = last >= 0 ? (int64_t)fmin(last + 1, (double)end) : 0;
  window.end = attn__max(window.begin, window.end);
  return window;
}

/* The view of query i of head h of batch entry b, whose sequence is given; i is at most len_q. */
static row_view view_of(const attn__problem *problem, const attn__sequence *sequence, int64_t b, int64_t h,
                        int64_t i) {
  row_view view = {.position = attn__add_saturating(i, sequence->offset), .step = problem->window_dilation};
  if (i >= sequence->len_q) return view;
  const int64_t p = view.position, left = problem->window_left, right = problem->window_right;
  const int64_t end =
      problem->causal ? attn__clamp(attn__add_saturating(p, 1), 0, sequence->len_k) : sequence->len_k;
  view.prefix_end = attn__min(problem->window_prefix, end);
  if (problem->centers.data) {
    view.window = window_around((double)center_of(problem, b, h, i), (double)left, (double)right, end);
    return view;
  }
  view.window.end = end;
  if (left != ATTN__UNBOUNDED) view.window.begin = attn__clamp(attn__add_saturating(p, -left), 0, end);
  if (right != ATTN__UNBOUNDED)
    view.window.end =
        attn__clamp(attn__add_saturating(attn__add_saturating(p, right), 1), view.window.begin, end);
  return view;
}

/* 1 if key j is a multiple of steps away from the position; their difference may be too large for an integer. */
static int32_t on_step(const row_view *view, int64_t j) {
  const int64_t rest = view->position % view->step;
  return (rest < 0 ? rest + view->step : rest) == j % view->step;
}

static int32_t view_sees(const row_view *view, int64_t j) {
  if (j < view->prefix_end) return 1;
  if (j < view->window.begin || j >= view->window.end) return 0;
  return view->step == 1 || on_step(view, j);
}

/* The caller wants scores from before the masks. */
static int32_t wants_masked(const attn__problem *problem) {
  return problem->scores.data && problem->scores_stage < 2;
}

/* 1 if no rule bounds which keys of its sequence a row sees. */
static int32_t is_unbounded(const attn__problem *problem) {
  return !problem->causal && problem->window_left == ATTN__UNBOUNDED &&
         problem->window_right == ATTN__UNBOUNDED;
}

/* What the rows of a tile see together: the smallest range around their windows, and the longest prefix. */
typedef struct tile_view {
  attn__key_range windows; /* empty: begin == end */
  int64_t prefix_end;
} tile_view;

static void join(tile_view *all, const row_view *view) {
  all->prefix_end = attn__max(all->prefix_end, view->prefix_end);
  if (view->window.begin == view->window.end) return;
  if (all->windows.begin == all->windows.end) all->windows = view->window;
  all->windows.begin = attn__min(all->windows.begin, view->window.begin);
  all->windows.end = attn__max(all->windows.end, view->window.end);
}

/* Around centers, windows go anywhere: each row is looked at. */
static void join_rows(const attn__problem *problem, const attn__sequence *sequence,
                      const attn__score_tile *tile, int64_t end, tile_view *all) {
  for (int64_t h = tile->first_head; h < tile->first_head + tile->heads; h++)
    for (int64_t i = tile->first_query; i < end; i++) {
      const row_view view = view_of(problem, sequence, tile->b, h, i);
      join(all, &view);
    }
}

/* Around positions, windows and prefixes move right from query to query: of the rows whose windows reach the
 * keys, the first and the last tell all, and the last row of all has the longest prefix. */
static void join_ends(const attn__problem *problem, const attn__sequence *sequence,
                      const attn__score_tile *tile, int64_t end, tile_view *all) {
  const int64_t right = problem->causal ? 0 : problem->window_right, left = problem->window_left;
  const int64_t to_row = sequence->offset == INT64_MIN ? INT64_MAX : -sequence->offset;
  int64_t first = tile->first_query, last = end - 1;
  const row_view bottom = view_of(problem, sequence, tile->b, tile->first_head, last);
  if (right != ATTN__UNBOUNDED) first = attn__max(first, attn__add_saturating(to_row, -right));
  if (left != ATTN__UNBOUNDED)
    last = attn__min(last, attn__add_saturating(to_row, attn__add_saturating(left, sequence->len_k - 1)));
  join(all, &bottom);
  if (first > last) return;
  const row_view ends[2] = {view_of(problem, sequence, tile->b, tile->first_head, first),
                            view_of(problem, sequence, tile->b, tile->first_head, last)};
  join(all, &ends[0]);
  join(all, &ends[1]);
}

static tile_view view_of_tile(const attn__problem *problem, const attn__score_tile *tile) {
  const attn__sequence sequence = attn__sequence_of(problem, tile->b);
  const int64_t end = attn__min(tile->first_query + tile->queries, sequence.len_q);
  tile_view all = {0};
  if (tile->first_query >= end) return all;
  if (problem->centers.data)
    join_rows(problem, &sequence, tile, end, &all);
  else
    join_ends(problem, &sequence, tile, end, &all);
  return all;
}

attn__key_range attn__score_visible(const attn__problem *problem, const attn__score_tile *tile) {
  const attn__sequence sequence = attn__sequence_of(problem, tile->b);
  if (is_unbounded(problem) || wants_masked(problem))
    return (attn__key_range){0, tile->first_query < sequence.len_q ? sequence.len_k : 0};
  const tile_view all = view_of_tile(problem, tile);
  attn__key_range range = all.windows;
  if (all.prefix_end > 0) range = (attn__key_range){0, attn__max(range.end, all.prefix_end)};
  return range;
}

int32_t attn__score_hidden(const attn__problem *problem, const attn__score_tile *tile) {
  if (problem->window_prefix == 0 || wants_masked(problem)) return 0; /* there are no holes in the range */
  const tile_view all = view_of_tile(problem, tile);
  return tile->first_key >= all.prefix_end &&
         (tile->first_key + tile->keys <= all.windows.begin || tile->first_key >= all.windows.end);
}

static const float *bias_at(const attn__problem *problem, int64_t b, int64_t h, int64_t i, int64_t j) {
  const attn__score_strides *s = &problem->bias_strides;
  return problem->bias + b * s->batch + h * s->head + i * s->query + j * s->key;
}

static const uint8_t *mask_at(const attn__problem *problem, int64_t b, int64_t h, int64_t i, int64_t j) {
  const attn__score_strides *s = &problem->mask_strides;
  return problem->mask + b * s->batch + h * s->head + i * s->query + j * s->key;
}

int32_t attn__score_sees(const attn__problem *problem, int64_t b, int64_t h, int64_t i, int64_t j) {
  const attn__sequence sequence = attn__sequence_of(problem, b);
  const row_view view = view_of(problem, &sequence, b, h, i);
  if (!view_sees(&view, j)) return 0;
  if (problem->mask && !*mask_at(problem, b, h, i, j)) return 0;
  return !problem->bias || *bias_at(problem, b, h, i, j) != -INFINITY;
}

/* One row of a tile. */
typedef struct score_row {
  float *scores; /* count of them */
  int64_t b, h, i, first_key, count;
} score_row;

static void add_bias(const attn__problem *problem, const attn__kernels *kernels, const score_row *row) {
  const float *bias = bias_at(problem, row->b, row->h, row->i, row->first_key);
  const int64_t step = problem->bias_strides.key;
  if (step == 1)
    kernels->add_bias(row->count, row->scores, bias);
  else
    for (int64_t c = 0; c < row->count; c++) kernels->add_bias(1, row->scores + c, bias + c * step);
}

static void apply_mask(const attn__problem *problem, const attn__kernels *kernels, const score_row *row) {
  const uint8_t *visible = mask_at(problem, row->b, row->h, row->i, row->first_key);
  const int64_t step = problem->mask_strides.key;
  if (step == 1)
    kernels->mask(row->count, row->scores, visible);
  else
    for (int64_t c = 0; c < row->count; c++) kernels->mask(1, row->scores + c, visible + c * step);
}

static void hide(float *scores, int64_t begin, int64_t end) {
  for (int64_t c = begin; c < end; c++) scores[c] = -INFINITY;
}

/* Hides what the row's position does not see; returns 1 if that is anything. */
static int32_t apply_view(const row_view *view, const score_row *row) {
  const int64_t count = row->count;
  const int64_t prefix = attn__clamp(view->prefix_end - row->first_key, 0, count);
  const int64_t begin = attn__clamp(view->window.begin - row->first_key, prefix, count);
  const int64_t end = attn__clamp(view->window.end - row->first_key, begin, count);
  hide(row->scores, prefix, begin);
  hide(row->scores, end, count);
  if (view->step > 1)
    for (int64_t c = begin; c < end; c++)
      if (!view_sees(view, row->first_key + c)) row->scores[c] = -INFINITY;
  return prefix < begin || end < count || view->step > 1;
}

/* Copies a row's scores out if the caller wants them of this stage. */
static void keep(const attn__problem *problem, const score_row *row, int32_t stage) {
  if (!problem->scores.data || problem->scores_stage != stage) return;
  memcpy(attn__output_row(&problem->scores, row->b, row->h, row->i) + row->first_key, row->scores,
         (size_t)row->count * sizeof(float));
}

/* What changes a score here does so in attn__score_exact. */
static int32_t edit_row(const attn__problem *problem, const attn__kernels *kernels, const row_view *view,
                        const score_row *row) {
  keep(problem, row, 0);
  if (problem->softcap > 0) kernels->softcap(row->count, row->scores, problem->softcap);
  keep(problem, row, 1);
  if (problem->bias) add_bias(problem, kernels, row);
  if (problem->alibi_slopes)
    kernels->add_distance(row->count, row->scores, problem->alibi_slopes[row->h],
                          (float)((double)row->first_key - (double)view->position));
  int32_t masked = apply_view(view, row) || problem->bias || problem->mask;
  if (problem->mask) apply_mask(problem, kernels, row);
  keep(problem, row, 2);
  return masked;
}

double attn__score_exact(const attn__problem *problem, int64_t b, int64_t h, int64_t i, int64_t j,
                         double dot) {
  const double cap = (double)problem->softcap;
  double score = (double)problem->scale * dot;
  if (cap > 0) score = cap * tanh(score / cap);
  if (problem->bias) score += (double)*bias_at(problem, b, h, i, j);
  if (problem->alibi_slopes) {
    const int64_t position = attn__add_saturating(i, attn__sequence_of(problem, b).offset);
    score -= (double)problem->alibi_slopes[h] * fabs((double)position - (double)j);
  }
  return score;
}

int32_t attn__score_whole(const attn__problem *problem, const attn__score_tile *tile) {
  const attn__sequence sequence = attn__sequence_of(problem, tile->b);
  const int64_t b = tile->b, h = tile->first_head, last = tile->first_query + tile->queries - 1;
  const int64_t end = tile->first_key + tile->keys;
  if (problem->centers.data || last >= sequence.len_q) return 0;
  if (is_unbounded(problem) && problem->window_dilation == 1) return end <= sequence.len_k;
  const row_view top = view_of(problem, &sequence, b, h, tile->first_query);
  const row_view bottom = view_of(problem, &sequence, b, h, last);
  if (end <= top.prefix_end) return 1;
  return problem->window_dilation == 1 && bottom.window.begin <= tile->first_key && end <= top.window.end;
}

/* 1 if all that happens to scores is that some keys are hidden from positions. */
static int32_t hides_only(const attn__problem *problem) {
  return !(problem->softcap > 0) && !problem->bias && !problem->mask && !problem->alibi_slopes &&
         !problem->scores.data;
}

/* 1 if each row of the tile is a query that sees a window and no more, the next query's one key further on. No
 * position is so far away that sums with it overflow. */
static int32_t has_plain_windows(const attn__problem *problem, const attn__sequence *sequence,
                                 const attn__score_tile *tile) {
  return !problem->centers.data && problem->window_prefix == 0 && problem->window_dilation == 1 &&
         tile->first_query + tile->queries <= sequence->len_q && sequence->offset > -FAR &&
         sequence->offset < FAR;
}

/* What apply_view does with the view of each row, without making one. */
static void hide_outside_windows(const attn__problem *problem, const attn__sequence *sequence,
                                 const attn__score_tile *tile) {
  const int64_t left = attn__min(problem->window_left, 4 * FAR), count = tile->keys;
  const int64_t right = problem->causal ? 0 : attn__min(problem->window_right, 4 * FAR);
  const int64_t first = tile->first_query + sequence->offset - tile->first_key;
  const int64_t length = attn__clamp(sequence->len_k - tile->first_key, 0, count);
  float *row = tile->scores;
  for (int64_t head = 0; head < tile->heads; head++)
    for (int64_t query = 0; query < tile->queries; query++, row += tile->stride) {
      const int64_t begin = attn__clamp(first + query - left, 0, length);
      hide(row, 0, begin);
      hide(row, attn__clamp(first + query + right + 1, begin, length), count);
    }
}

int32_t attn__score_edit(const attn__problem *problem, const attn__kernels *kernels,
                         const attn__score_tile *tile) {
  const attn__sequence sequence = attn__sequence_of(problem, tile->b);
  int32_t masked = 0;
  if (hides_only(problem)) {
    if (attn__score_whole(problem, tile)) return 0; /* the common case, decided without looking at rows */
    if (has_plain_windows(problem, &sequence, tile)) {
      hide_outside_windows(problem, &sequence, tile);
      return 1;
    }
  }
  for (int64_t head = 0; head < tile->heads; head++)
    for (int64_t query = 0; query < tile->queries; query++) {
      const row_view view =
          view_of(problem, &sequence, tile->b, tile->first_head + head, tile->first_query + query);
      const score_row row = {tile->scores + (head * tile->queries + query) * tile->stride,
                             tile->b,
                             tile->first_head + head,
                             tile->first_query + query,
                             tile->first_key,
                             tile->keys};
      if (row.i < sequence.len_q) {
        masked |= edit_row(problem, kernels, &view, &row);
        continue;
      }
      hide(row.scores, 0, row.count); /* there is no such query */
      keep(problem, &row, problem->scores_stage);
      masked = 1;
    }
  return masked;
}

/* The weights around a center that is NaN: masked ones are 0 all the same. */
static void spread_nan(const attn__problem *problem, const score_row *row) {
  for (int64_t c = 0; c < row->count; c++)
    row->scores[c] = attn__score_sees(problem, row->b, row->h, row->i, row->first_key + c) ? NAN : 0;
}

/* Multiplies a row's weights by exp(-(j - center)^2 / (2 sigma^2)). */
static void weigh_row(const attn__problem *problem, const attn__kernels *kernels, const score_row *row) {
  const double center = (double)center_of(problem, row->b, row->h, row->i);
  const float steepness = 0.5f / (problem->sigma * problem->sigma);
  float factors[64];
  if (isnan(center)) {
    spread_nan(problem, row);
    return;
  }
  for (int64_t c = 0; c < row->count; c += 64) {
    const int64_t count = attn__min(64, row->count - c);
    for (int64_t k = 0; k < count; k++) {
      const float distance = (float)((double)(row->first_key + c + k) - center);
      factors[k] = -steepness * distance * distance;
    }
    kernels->exp_sum(count, factors, 0, factors);
    for (int64_t k = 0; k < count; k++) row->scores[c + k] *= factors[k];
  }
}

void attn__score_weigh(const attn__problem *problem, const attn__kernels *kernels,
                       const attn__score_tile *tile) {
  if (!problem->centers.data) return;
  const attn__sequence sequence = attn__sequence_of(problem, tile->b);
  for (int64_t r = 0; r < tile->heads * tile->queries; r++) {
    const score_row row = {
        tile->scores + r * tile->stride,       tile->b,         tile->first_head + r / tile->queries,
        tile->first_query + r % tile->queries, tile->first_key, tile->keys};
    if (row.i < sequence.len_q) weigh_row(problem, kernels, &row);
  }
}
