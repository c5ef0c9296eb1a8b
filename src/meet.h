/* meet.h - a tile of keys meets the tiles of queries of a block.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_MEET_H
#define ATTN_MEET_H

#include "strand.h"

/* One tile of keys and their values meets the strand's block, as far as its queries can see it. */
void attn__meet_step(const attn__strand *s, attn__key_step *step);

#endif
