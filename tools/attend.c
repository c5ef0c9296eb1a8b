/* attend.c - runs attention over dense arrays, timed, in slices where somebody watches.
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

/* The sum of max(0, first + i) over i in [0, count). */
static double sum_of_rising(double first, double count) {
  double last = first + count - 1;
  double below = first > 0 ? first - 1 : 0;
  return last > 0 ? (last * (last + 1) - below * (below + 1)) / 2 : 0;
}

/* How many (query, key) pairs of one head the causal rule leaves. */
static double visible_pairs(const attn_args *args) {
  double len_q = (double)args->len_q;
  double len_k = (double)args->len_k;
  if (!args->causal) return len_q * len_k;
  int64_t offset = args->causal_offset;
  if (offset < -args->len_q) offset = -args->len_q; /* beyond it nothing changes */
  if (offset > args->len_k) offset = args->len_k;
  double first = (double)offset + 1; /* keys that query 0 sees, were there keys on both sides */
  return sum_of_rising(first, len_q) - sum_of_rising(first - len_k, len_q);
}

double attend_flops(const attn_args *args) {
  double heads = (double)args->batch * (double)args->heads_q;
  return 2.0 * heads * visible_pairs(args) * ((double)args->dim + (double)args->dim_v);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int32_t attend_once(attn_context *context, const attn_args *args, double *seconds) {
  double start = now();
  int32_t status = attn_global(context, args);
  *seconds += now() - start;
  return status;
}

/* args with each (batch, key head) as a batch entry of its own: in dense arrays that is the same memory. */
static attn_args by_key_head(const attn_args *args) {
  attn_args flat = *args;
  flat.batch = args->batch * args->heads_kv;
  flat.heads_q = args->heads_q / args->heads_kv;
  flat.heads_kv = 1;
  return flat;
}

/* The batch entries [first, first + count) of flat. */
static attn_args slice_of(const attn_args *flat, int64_t first, int64_t count) {
  attn_args slice = *flat;
  int64_t rows_q = flat->heads_q * flat->len_q;
  slice.batch = count;
  slice.query += first * rows_q * flat->dim;
  slice.key += first * flat->len_k * flat->dim;
  slice.value += first * flat->len_k * flat->dim_v;
  slice.output += first * rows_q * flat->dim_v;
  if (slice.weights != NULL) slice.weights += first * rows_q * flat->len_k;
  if (slice.lse != NULL) slice.lse += first * rows_q;
  return slice;
}

static int32_t attend_slices(attn_context *context, const attn_args *flat, int64_t step, double *seconds) {
  double start = now();
  bool late = false;
  int32_t status = ATTN_OK;
  for (int64_t first = 0; first < flat->batch && status == ATTN_OK; first += step) {
    if (late) progress_draw(first, flat->batch, now() - start);
    int64_t rest = flat->batch - first;
    attn_args slice = slice_of(flat, first, rest < step ? rest : step);
    status = attend_once(context, &slice, seconds);
    late = now() - start > bar_after;
  }
  if (late) progress_clear();
  return status;
}

int attend(attn_context *context, const attn_args *args, bool show_progress, attn_plan *plan,
           double *seconds) {
  *seconds = 0.0;
  double flops = attend_flops(args);
  *plan = (attn_plan){.size = sizeof *plan};
  int32_t status = attn_explain(context, args, plan); /* refuses in the caller's sizes, not a slice's */
  if (status == ATTN_OK && (!show_progress || flops < long_flops)) {
    status = attend_once(context, args, seconds);
  } else if (status == ATTN_OK) {
    attn_args flat = by_key_head(args);
    int64_t step = (int64_t)(slice_flops * (double)flat.batch / flops) + 1;
    if (step < flat.batch / BAR_STEPS) step = flat.batch / BAR_STEPS;
    status = attend_slices(context, &flat, step, seconds);
  }
  return status == ATTN_OK ? EXIT_OK : refuse(EXIT_LIBRARY, "%s", attn_last_error(context));
}
