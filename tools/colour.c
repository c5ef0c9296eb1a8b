/* colour.c - the viridis colour map: equal steps in value look like equal steps in brightness.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "colour.h"

/* Viridis by S. van der Walt and N. Smith (CC0), at 16 equal steps. */
static const uint32_t anchors[] = {0x440154, 0x481a6c, 0x472f7d, 0x414487, 0x39568c, 0x31688e,
                                   0x2a788e, 0x23888e, 0x1f988b, 0x22a884, 0x35b779, 0x54c568,
                                   0x7ad151, 0xa5db36, 0xd2e21b, 0xfde725};
enum { STEPS = sizeof anchors / sizeof anchors[0] - 1 };

uint32_t colour_of(double value) {
  double place = value * STEPS;
  int below = place < STEPS ? (int)place : STEPS - 1;
  double part = place - below;
  uint32_t colour = 0;
  for (int shift = 16; shift >= 0; shift -= 8) {
    double low = anchors[below] >> shift & 255;
    double high = anchors[below + 1] >> shift & 255;
    colour |= (uint32_t)(low + part * (high - low) + 0.5) << shift;
  }
  return colour;
}
