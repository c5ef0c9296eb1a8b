/* finish.h - from the states of rows to results.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_FINISH_H
#define ATTN_FINISH_H

#include "kernels/kernels.h"
#include "tile.h"

/* Writes every result of a tile's rows: outputs are divided by the sums, which sinks join. */
void attn__finish_tile(const attn__problem *problem, const attn__kernels *kernels, const attn__tile *tile);

/* Writes the results of a problem whose queries see no key. */
void attn__finish_unseeing(const attn__problem *problem);

/* The total of rows that have seen nothing. */
void attn__finish_clear(const attn__total *total, int64_t rows, int64_t dim_v);

/* The total becomes that of the same rows over the state's keys too. */
void attn__finish_join(const attn__total *total, const attn__state *state, int64_t rows, int64_t dim_v);

/* The state becomes what the total is. */
void attn__finish_total(const attn__state *state, const attn__total *total, int64_t rows, int64_t dim_v);

#endif
