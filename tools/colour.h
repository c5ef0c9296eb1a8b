/* colour.h - the viridis colour map: equal steps in value look like equal steps in brightness.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TOOL_COLOUR_H
#define ATTN_TOOL_COLOUR_H

#include <stdint.h>

/* The colour of a value in [0, 1] as 0xRRGGBB. */
uint32_t colour_of(double value);

#endif
