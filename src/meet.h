/* meet.h - a tile of keys meets a tile of queries.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_MEET_H
#define ATTN_MEET_H

#include "strand.h"

/* One tile of keys meets one tile of queries of the strand's block, as far as these can see it. */
void attn__meet_tile(const attn__strand *s, attn__tile *tile, attn__key_step *step);

#endif
