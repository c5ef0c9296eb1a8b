/* thirds_case.h - the kernel tables that have thirds, and operands in thirds as tests read them.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_THIRDS_CASE_H
#define ATTN_THIRDS_CASE_H

#include "attn/attn.h"
#include "product.h"
#include "support.h"
#include "tables.h"

typedef void (*thirds_check)(const attn__kernels *kernels);

/* Calls check for each table that has thirds; while its tiles may be used. */
void thirds_for_each(thirds_check check);
void thirds_for_each_begun(thirds_check check);

/* A context over a table that has thirds, of whose products those since thirds_count_from_zero are counted. One table at a
 * time. */
attn_context *thirds_context(const attn__kernels *kernels, int32_t threads);
void thirds_count_from_zero(void);
int thirds_counted(void);
int thirds_counted_beside(void); /* those with weights made beside them */

/* Says why on standard output if no table has thirds, and returns SUPPORT_SKIPPED; else prints which do and returns 0.
 * For the start of main. */
int thirds_skip_missing(void);

/* An operand: rows of a left one, columns of a right one, flush with an unreadable page. */
typedef struct operand {
  guarded memory;
  int right;
  int64_t lines, inner, strip;
  uint16_t *data;
} operand;

/* None of its bits is 0. */
operand operand_make(int right, int64_t lines, int64_t inner);
void operand_free(operand *o);

/* The smallest bfloat16: numbers are held to below it, which is all of them but for what is as small. */
#define OPERAND_LEAST 0x1p-133

/* Number n of a line: the sum of its thirds, which double holds. */
double operand_number(const operand *o, int64_t line, int64_t n);

/* 1 if all thirds of it are 0, of either sign, or are as operand_make left them. */
int operand_is_zero(const operand *o, int64_t line, int64_t n);
int operand_is_untouched(const operand *o, int64_t line, int64_t n);

#endif
