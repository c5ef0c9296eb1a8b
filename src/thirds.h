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

/* Makes the scores of a meeting, whose first key may become an earlier one, and beside them what is left of the weights
 * of the one before, if any: most of it, or all. */
void attn__thirds_scores(const attn__strand *s, attn__meeting *m, attn__key_step *step,
                         attn__meeting *before);

/* Scores are to become weights, exp(score - shift): some beside products, the rest when these end. They take the place of the
 * scores too if values that cannot be held or a Gaussian are to meet them. */
void attn__thirds_begin_weights(const attn__strand *s, attn__meeting *m, attn__key_step *step);
void attn__thirds_end_weights(const attn__strand *s, attn__meeting *m);

/* outputs += weights x values, but for those that are not finite, once all weights are made; and beside that the weights
 * of the next meeting, if any, as a whole or by half. */
void attn__thirds_outputs(const attn__strand *s, const attn__meeting *m, const attn__key_step *step,
                          attn__meeting *next, int32_t whole);

#endif
