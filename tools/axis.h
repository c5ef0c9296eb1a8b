/* axis.h - the ticks and labels along a side of a heat map.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TOOL_AXIS_H
#define ATTN_TOOL_AXIS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct axis {
  int64_t len;    /* positions, at least 1 */
  double pixels;  /* from the first position's edge to the last one's */
  bool is_keys;   /* from left to right; else from top to bottom */
  char **labels;  /* one for each position; NULL: its number */
  int64_t step;   /* from one labelled position to the next */
  bool is_turned; /* labels run along their position, not along the axis */
  double room;    /* what ticks and labels take beside the axis, in pixels */
} axis;

/* Chooses how to label an axis. */
axis axis_plan(int64_t len, double pixels, bool is_keys, char **labels);

/* Draws ticks and labels outwards from y = 0 (keys) or x = 0 (queries). */
void axis_draw(FILE *file, const axis *side);

/* The smallest of 1, 2, 5, 10, 20, ... (and 0.5, 0.2, ...) that is at least rough, which is above 0. */
double axis_nice_step(double rough);

#endif
