/* cpu.h - what this CPU can do.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_CPU_H
#define ATTN_CPU_H

#include <stdint.h>

enum { ATTN__CPU_NAME_SIZE = 64 };

/* The highest ATTN_ISA_ level that CPU and operating system support. */
int32_t attn__cpu_isa(void);

/* Asks the operating system to let this process use the tile registers of ATTN_ISA_AMX; 1 if it may. */
int32_t attn__cpu_allow_tiles(void);

/* The word for an ATTN_ISA_ level: "reference", "avx2", "avx512", "neon", "amx". */
const char *attn__cpu_isa_name(int32_t isa);

/* The ATTN_ISA_ level of a word; 0 if it is none. */
int32_t attn__cpu_isa_from_name(const char *name);

/* Writes the CPU's name for itself; "" where it has none. */
void attn__cpu_name(char name[ATTN__CPU_NAME_SIZE]);

/* 1 if a core that reads rows one after another fetches far ahead by itself (Intel's do): to be asked for more then
 * keeps the few requests that it can have under way from what it reads. */
int32_t attn__cpu_leads_ahead(void);

/* How many CPUs this process may run on, at least 1. */
int32_t attn__cpu_count(void);

#endif
