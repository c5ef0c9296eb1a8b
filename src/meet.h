/* meet.h - a tile of keys meets the tiles of queries of a block.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_MEET_H
#define ATTN_MEET_H

#include "strand.h"

/* The keys and values of the strand's step meet its block, as far as its queries can see them. */
void attn__meet_step(attn__strand *s);

#endif
