/* strand.h - a call under way, and what each of the threads that share it works with.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_STRAND_H
#define ATTN_STRAND_H

#include "kernels/kernels.h"
#include "kv.h"
#include "plan.h"
#include "product.h"
#include "queue.h"
#include "tile.h"

typedef struct attn__strand attn__strand;

typedef struct attn__job {
  const attn__problem *problem;
  const attn__plan *plan;
  const attn__kernels *kernels;
  const attn__engine *engine;
  char *scratch; /* that of the strands, then the states of parts */
  void (*run_task)(attn__strand *s, int64_t task);
  attn__queue *queue;
} attn__job;

/* A tile of keys and values that meets the query tiles of a block: keys [first, first + count) of a key head of a batch
 * entry. */
typedef struct attn__key_step {
  int64_t b, kv_head, first, count;
  attn__matrix keys, values; /* data NULL: nobody has needed them yet */
  int32_t finite;            /* are all values? -1: nobody has looked yet */
  int32_t cleared;           /* values has 0 for those that are not */
  struct {
    attn__thirds_strips keys, values; /* the same in thirds */
    int32_t held;                     /* by those of the keys: every number */
    attn__matrix apart;               /* values that are not held, with 0 for the others; data NULL: none */
  } thirds;
} attn__key_step;

/* The pieces of scratch of a strand and the block it is at. */
struct attn__strand {
  const attn__job *job;
  float *queries, *raw, *weight, *scores, *keys, *values;
  struct {
    uint16_t *queries, *keys, *weights, *values;
    float *query, *apart;
  } thirds;          /* in place of these, where the plan says so */
  attn__state state; /* of the block's rows */
  attn__total total; /* of the same rows, over several splits */
  int64_t b, tiles;
  int64_t kv_head, kv_heads; /* the first key head of its rows, and how many there are */
  int64_t lane;              /* of the queue, where it takes its tasks */
  int64_t next;              /* the number of the block that comes after it in its run; -1: none */
  attn__sequence sequence;
  attn__tile *tile;    /* ATTN__PLAN_BLOCK_TILES of them */
  attn__key_step step; /* at hand */
  attn__ahead *ahead;  /* what products ask for meanwhile */
};

/* Where keys [first, first + count) of the strand's sequence are. */
static inline attn__kv_tile attn__strand_kv(const attn__strand *s, int64_t first, int64_t count) {
  return (attn__kv_tile){s->sequence.batch_k, s->kv_head, s->sequence.first_k + first, count,
                         s->kv_heads - 1};
}

/* Rows of a tile that are of one key head. */
static inline int64_t attn__strand_rows(const attn__strand *s, const attn__tile *tile) {
  return tile->rows / s->kv_heads;
}

/* Of the rows of a tile: what is subtracted from their scores, and the sums of exp(score - shift). */
typedef struct attn__exponents {
  float shifts[ATTN__PLAN_TILE_ROWS], sums[ATTN__PLAN_TILE_ROWS];
} attn__exponents;

/* A tile of queries, or a part of one, meets a tile of keys: its scores, which become weights. */
typedef struct attn__meeting {
  float *room;       /* in the scratch, for its scores */
  uint16_t *weights; /* the same, for its weights in thirds */
  attn__tile tile;
  attn__score_tile scores;
  int32_t masked; /* some score may be */
  attn__exponents exponents;
  attn__thirds_weighing weighing; /* in thirds: what of the weights is to be made yet */
} attn__meeting;

#endif
