/* plan.h - how a problem will be computed: path, tile sizes, tasks, scratch.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_PLAN_H
#define ATTN_PLAN_H

#include "problem.h"
#include "product.h"

enum {
  ATTN__PLAN_TILE_ROWS = 64,   /* the most rows of a tile: queries of several heads */
  ATTN__PLAN_BLOCK_TILES = 32, /* the most query tiles of a block */
  ATTN__PLAN_WEIGHT_COLS = 32, /* columns of the general score's weight that are packed at a time */
};

/* The query tiles of a head group: tile t covers query part t / head_parts, of tile_q queries, and head
 * part t % head_parts, of tile_heads heads. A tile has one head, unless all queries of several fit. Tile
 * sizes depend on the shape, the score function, the engine and whether heads lie side by side alone, so that results do too;
 * but for the heads of a tile of several key heads, which may be fewer for more threads. */
typedef struct attn__plan {
  int32_t empty; /* no query sees a key: nothing to multiply, and all below is 0 */
  int64_t tile_q, tile_heads, tile_k;
  int64_t kv_heads;  /* of a head group */
  int64_t kv_groups; /* head groups of a batch entry */
  int64_t
      stretch_k; /* so many keys of all heads of a tile are met before the next ones; 0: all of a head are */
  int64_t score_stride; /* from a row of scores of a tile to the next: whole cache lines, at least tile_k */
  int64_t edge_rows;    /* rows of a tile that meet the keys together where some see them and some do not */
  /* Tiles of one head in thirds: rows that meet the keys together, while weights are made of those before; else 0. */
  int64_t part_rows;
  int64_t query_parts, head_parts;
  int64_t block_tiles; /* tiles of a block, at most ATTN__PLAN_BLOCK_TILES */
  int64_t blocks;      /* of a head group */
  int64_t all_blocks;  /* of all head groups */
  int64_t task_blocks; /* of a task: a run of blocks, one after another */
  int32_t forward;     /* the first block of a head group comes first, not the last */
  int32_t direct;      /* few rows: keys and values are multiplied where they stand */
  int32_t thirds;      /* queries, keys, weights and values are multiplied in thirds (kernels/bfloat.h) */
  int32_t queries_in_place; /* queries are multiplied where they stand */
  int64_t query_stride;     /* from a row of queries, as they are multiplied, to the next */
  int32_t values_in_place;  /* so are values, direct or as panels; those that are not finite are packed */
  int32_t ahead;            /* what will be read next is asked for: all of it does not fit a cache */
  int32_t ahead_outputs;    /* so is the output, soon to be written; also where another core may have it */
  int64_t ahead_pace; /* few rows: of what is asked for, so many rows with each ATTN__AHEAD_STEP; else 0 */
  int64_t splits;     /* long keys, in pieces of split_k whose results are joined; else 1 */
  int64_t split_k;    /* a multiple of tile_k */
  int64_t tasks;      /* all_blocks in runs of task_blocks, or the parts */
  int64_t strands;    /* threads that share the tasks */
  /* The scratch of a strand: where each piece begins, and the whole, in bytes. */
  struct {
    int64_t queries; /* block rows x dim: scaled if direct; none if they are read where they stand */
    int64_t query;   /* dim: the one whose scores are made anew as thirds do not hold it */
    int64_t outputs; /* block rows x dim_v: not yet divided by the sum; of parts, below */
    int64_t raw;     /* tile rows x dim: queries before the weight of the general score */
    int64_t weight;  /* dim x ATTN__PLAN_WEIGHT_COLS: some columns of that, packed */
    int64_t scores;  /* tile rows, or those of two parts, x score_stride */
    int64_t keys;    /* dim x tile_k: transposed and packed */
    int64_t values;  /* tile_k x dim_v: packed, where they cannot be used in place */
    int64_t weights; /* as many rows x tile_k: in thirds */
    int64_t apart;   /* tile_k x dim_v: packed, those values that thirds do not hold */
    int64_t maxima;  /* block rows, float */
    int64_t sums;    /* block rows, double */
    /* As outputs, maxima and sums, over several splits; outputs are double too. */
    int64_t total_outputs, total_maxima, total_sums;
    int64_t bytes;
  } scratch;
  /* The states of parts, one for each split of each block, where splits are tasks of their own. */
  struct {
    int64_t count, outputs, maxima, sums, bytes;
  } part;
} attn__plan;

/* The plan for an engine and at most so many threads. It touches no data. */
attn__plan attn__plan_make(const attn__problem *problem, const attn__engine *engine, int64_t threads);

/* The head group of block number n of all, and which of its blocks. The last block comes first: under a causal mask it is
 * the longest, and long tasks must not come last. Beside short windows all are as long, and forward a block begins with the
 * keys that the one before it has met last, which are cut already. */
static inline int64_t attn__plan_group(const attn__plan *plan, int64_t n) {
  return n / plan->blocks;
}
static inline int64_t attn__plan_block(const attn__plan *plan, int64_t n) {
  return plan->forward ? n % plan->blocks : plan->blocks - 1 - n % plan->blocks;
}

/* The first key head of a head group, and how many it has. */
static inline int64_t attn__plan_kv_head(const attn__plan *plan, int64_t group) {
  return group % plan->kv_groups * plan->kv_heads;
}
static inline int64_t attn__plan_kv_heads(const attn__plan *plan, const attn__problem *problem,
                                          int64_t kv_head) {
  return attn__min(plan->kv_heads, problem->heads_kv - kv_head);
}

/* The scratch that all strands need together, in bytes. */
uint64_t attn__plan_scratch(const attn__plan *plan);

#endif
