/* cells.h - one matrix of weights as coloured cells.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TOOL_CELLS_H
#define ATTN_TOOL_CELLS_H

#include <stdint.h>
#include <stdio.h>

enum { CELLS_MAX = 512 }; /* along a side; more positions than that share cells, which show the largest */

/* How many positions share a cell along a side of len positions. */
int64_t cells_pooled(int64_t len);

/* Draws weights (len_q x len_k, at least 0 or NaN) with one unit for each position; top, above 0, is the
 * weight of the brightest colour, which all above share. */
void cells_draw(FILE *file, const float *weights, int64_t len_q, int64_t len_k, float top);

#endif
