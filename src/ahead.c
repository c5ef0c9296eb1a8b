/* ahead.c - which rows of the caller's arrays a strand will read or write next.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Nothing depends on it but speed: what is guessed wrongly is only asked for in vain.
 */
#include "ahead.h"

#include <stddef.h>

#include "base.h"
#include "score.h"

_Static_assert(ATTN__AHEAD_PIECES >= 3 + ATTN__PLAN_BLOCK_TILES, "each tile of a block has an output");

static void append(attn__ahead *ahead, attn__rows rows) {
  if (rows.count > 0) ahead->pieces[ahead->count++] = rows;
}

/* What is asked for of the next tile: all, or the stretch of keys that it begins with. */
static void append_tile(attn__ahead *ahead, const attn__problem *problem, const attn__plan *plan,
                        const attn__kv_tile *tile) {
  attn__kv_tile keys = *tile;
  if (plan->stretch_k > 0) keys.count = attn__min(tile->count, plan->stretch_k);
  append(ahead, attn__kv_key_rows(problem, &keys));
  if (plan->stretch_k == 0) append(ahead, attn__kv_value_rows(problem, tile));
}

/* What is asked for of the tile at hand: where keys are met in stretches, those of the others, and the values if they will
 * be read where they stand. */
static void append_rest(attn__ahead *ahead, const attn__problem *problem, const attn__plan *plan,
                        const attn__kv_tile *tile) {
  attn__kv_tile keys = *tile;
  keys.first += plan->stretch_k;
  keys.count -= plan->stretch_k;
  if (plan->stretch_k > 0) append(ahead, attn__kv_key_rows(problem, &keys));
  if (plan->direct) append(ahead, attn__kv_value_rows(problem, tile));
}

/* The queries of the block of a part, of the first of its heads, and the keys and values that they see first of its split,
 * but for those of the tile at hand. */
static void append_part(attn__ahead *ahead, const attn__problem *problem, const attn__plan *plan,
                        const attn__kv_tile *tile, int64_t part) {
  const int64_t n = part / plan->splits, split = part % plan->splits;
  const int64_t group = attn__plan_group(plan, n);
  const int64_t b = group / plan->kv_groups, h = attn__plan_kv_head(plan, group);
  const int64_t rows = attn__divide_up(plan->block_tiles, plan->head_parts) * plan->tile_q;
  const attn__sequence sequence = attn__sequence_of(problem, b);
  attn__score_tile block = {.b = b, .first_head = h * problem->group, .heads = 1};
  block.first_query = attn__plan_block(plan, n) * plan->block_tiles / plan->head_parts * plan->tile_q;
  block.queries = attn__min(rows, sequence.len_q - block.first_query);
  if (block.queries <= 0 || problem->centers.data)
    return; /* around centers it takes long to see which keys */
  const attn__key_range seen = attn__score_visible(problem, &block);
  const int64_t past = tile->first + tile->count, end = sequence.first_k + seen.end;
  const int64_t begin = attn__max(seen.begin, split * plan->split_k);
  attn__kv_tile keys = {.b = sequence.batch_k, .h = h, .first = sequence.first_k + begin};
  if (keys.b == tile->b && h == tile->h && tile->first <= keys.first && keys.first < past)
    keys.first = past;
  keys.count = attn__min(plan->tile_k, end - keys.first);
  keys.more = attn__plan_kv_heads(plan, problem, h) - 1;
  const float *query = attn__input_row(&problem->query, sequence.batch_q, block.first_head,
                                       sequence.first_q + block.first_query);
  if (!plan->direct)
    append(ahead, (attn__rows){query, problem->query.strides.row, block.queries, problem->dim});
  append_tile(ahead, problem, plan, &keys);
}

void attn__ahead_look(attn__ahead *ahead, const attn__problem *problem, const attn__plan *plan,
                      const attn__kv_tile *tile, int64_t end, int64_t next) {
  const int64_t first = tile->first + tile->count;
  const attn__kv_tile after = {tile->b, tile->h, first, attn__min(plan->tile_k, end - first), tile->more};
  ahead->count = ahead->piece = ahead->row = 0;
  ahead->at = ahead->end = NULL;
  ahead->pace = plan->ahead_pace;
  if (!plan->ahead) return;
  append_rest(ahead, problem, plan, tile);
  if (first < end)
    append_tile(ahead, problem, plan, &after);
  else if (next < plan->all_blocks * plan->splits)
    append_part(ahead, problem, plan, tile, next);
}

void attn__ahead_add_outputs(attn__ahead *ahead, const attn__problem *problem, const attn__tile *tiles,
                             int64_t count) {
  for (int64_t t = 0; t < count; t++) {
    const int64_t rows = attn__min(tiles[t].queries, tiles[t].sequence.len_q - tiles[t].first_query);
    if (rows <= 0) continue; /* there may be no array where they would be */
    append(ahead, (attn__rows){attn__tile_output(&tiles[t], &problem->output, 0),
                               problem->output.strides.row, rows, problem->dim_v});
  }
}
