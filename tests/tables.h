/* tables.h - the kernel tables that can run here.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TABLES_H
#define ATTN_TABLES_H

#include "kernels/kernels.h"

enum { MOST_TABLES = 6 };

/* Fills tables with those that this CPU can run, reference first; returns how many. AVX-512 and AMX are there as
 * emulations too, named avx512_emulated and amx_emulated, where the build could make them; AMX itself where Linux
 * permits it. */
int tables_here(const attn__kernels *tables[MOST_TABLES]);

/* The table of that name among them; NULL if it is not here. */
const attn__kernels *tables_named(const char *name);

#endif
