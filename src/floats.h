/* floats.h - the products of a strand in floats.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_FLOATS_H
#define ATTN_FLOATS_H

#include "strand.h"

/* Makes the scores of a meeting, whose first key may become an earlier one. */
void attn__floats_scores(const attn__strand *s, attn__meeting *m, attn__key_step *step);

/* outputs += weights x values. Sums over keys are whole: where parts would be cut depends on where a block's keys begin,
 * which bits must not. A masked weight is 0, but 0 * NaN is NaN: where some scores are masked,
 * values that are not finite are kept out of the product. */
void attn__floats_outputs(const attn__strand *s, const attn__meeting *m, attn__key_step *step);

#endif
