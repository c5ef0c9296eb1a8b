/* library.h - opens libattn with the options that several commands share.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TOOL_LIBRARY_H
#define ATTN_TOOL_LIBRARY_H

#include <attn/attn.h>
#include <stdint.h>

#include "options.h"

typedef struct library_options {
  int64_t threads; /* 0: the library's choice */
  int32_t engine;  /* ATTN_ENGINE_... */
  int32_t isa;     /* ATTN_ISA_... */
} library_options;

/* The options for that struct, and their help. */
extern const option library_table[];
extern const char library_help[];

/* Makes a context and describes it. Returns EXIT_OK, or reports the error and returns EXIT_LIBRARY. */
int library_open(attn_context **context, attn_info *info, const library_options *options);

/* Prints the library's warning, if it has one. */
void library_warn(const attn_info *info);

/* Prints who did work of so many floating-point operations, by which plan, and how fast. */
void library_report(const attn_info *info, const attn_plan *plan, double flops, double seconds);

/* The same as fields of a JSON object, a comma before each. */
void library_json(const attn_info *info, const attn_plan *plan, double flops, double seconds);

#endif
