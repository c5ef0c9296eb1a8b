/* library.h - opens libattn with the options that several commands share.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TOOL_LIBRARY_H
#define ATTN_TOOL_LIBRARY_H

#include <attn/attn.h>
#include <stdint.h>

enum { LIBRARY_MAX_THREADS = 1024 };

typedef struct library_options {
  int64_t threads; /* 0: the library's choice */
  int32_t engine;  /* ATTN_ENGINE_... */
  int32_t isa;     /* ATTN_ISA_... */
} library_options;

/* The words of --engine and --isa, in the order of their constants, ended by NULL. */
extern const char *const library_engines[];
extern const char *const library_isas[];

/* Makes a context and describes it. Returns EXIT_OK, or reports the error and returns EXIT_LIBRARY. */
int library_open(attn_context **context, attn_info *info, const library_options *options);

#endif
