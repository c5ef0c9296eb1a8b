/* plot.h - has attn-plot draw the rows.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_PLOT_H
#define BENCH_PLOT_H

#include "options.h"

/* plot_prepare - makes the folder that --plot names, and lets the rows go into it if no other file is
 * named. Returns a BENCH_ code. */
int plot_prepare(bench_options *options);

/* plot_draw - runs attn-plot, the one beside this program or else the one in PATH. Returns a BENCH_ code. */
int plot_draw(const bench_options *options);

#endif
