/* ahead.h - which rows of the caller's arrays a strand will read or write next.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_AHEAD_H
#define ATTN_AHEAD_H

#include "kernels/kernels.h"
#include "kv.h"
#include "plan.h"
#include "tile.h"

/* Sets up what is to be asked for while a tile of keys, and then its values, are multiplied: with few queries what is left of
 * that tile, then the tile after it, if its rows end before end, or else the beginning of the part that will probably be next,
 * by its number: block * splits + split. */
void attn__ahead_look(attn__ahead *ahead, const attn__problem *problem, const attn__plan *plan,
                      const attn__kv_tile *tile, int64_t end, int64_t next);

/* Adds the output of so many tiles of queries, of one head each, that will soon have met all their keys: a line that is
 * to be written is fetched first. */
void attn__ahead_add_outputs(attn__ahead *ahead, const attn__problem *problem, const attn__tile *tiles,
                             int64_t count);

#endif
