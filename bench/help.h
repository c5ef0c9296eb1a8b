/* help.h - what attn-bench --help prints.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_HELP_H
#define BENCH_HELP_H

void help_print(void);

#endif
