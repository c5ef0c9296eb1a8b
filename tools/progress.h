/* progress.h - a progress bar on stderr for people who wait.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TOOL_PROGRESS_H
#define ATTN_TOOL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* Whether somebody could see a bar: stderr is a terminal. */
bool progress_is_visible(void);

/* Draws the bar over the last one. */
void progress_draw(int64_t done, int64_t total, double seconds);

/* Wipes the bar. */
void progress_clear(void);

#endif
