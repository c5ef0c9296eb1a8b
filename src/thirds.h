/* thirds.h - the products of a strand in thirds (kernels/bfloat.h), and by other means what these cannot hold.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * What cannot be held is rare in what models compute, but it may not cost a number its meaning: an infinity, values
 * that are denormal. Which way a number goes depends on it alone, so that the bits of others do not depend on it.
 */
#ifndef ATTN_THIRDS_H
#define ATTN_THIRDS_H

#include "strand.h"

/* The queries of a tile become its left operand, in out. */
void attn__thirds_take_queries(const attn__strand *s, attn__tile *tile, uint16_t *out);

/* Makes the scores of a tile, whose first key may become an earlier one. */
void attn__thirds_scores(const attn__strand *s, const attn__tile *tile, attn__key_step *step,
                         attn__score_tile *scores);

/* Scores become weights: exp(score - shift). They take the place of the scores too if values that cannot be held or a Gaussian
 * are to meet them. */
void attn__thirds_weigh(const attn__strand *s, const attn__tile *tile, const attn__score_tile *scores,
                        attn__key_step *step, attn__exponents *exponents);

/* outputs += weights x values, but for those that are not finite; after attn__thirds_weigh. */
void attn__thirds_outputs(const attn__strand *s, const attn__tile *tile, const attn__score_tile *scores,
                          const attn__key_step *step);

#endif
