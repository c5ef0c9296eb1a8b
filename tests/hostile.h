/* hostile.h - the fields of the public structs and the extreme values that each may be given.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_HOSTILE_H
#define ATTN_HOSTILE_H

#include "case.h"

typedef enum field_kind { FIELD_INT32, FIELD_INT64, FIELD_FLOAT, FIELD_KINDS } field_kind;

/* A number in a struct. */
typedef struct hostile_field {
  const char *name;
  size_t offset;
  field_kind kind;
} hostile_field;

/* A pointer in a struct to elements of an alignment; 0: to a struct, which may stand anywhere. */
typedef struct hostile_pointer {
  const char *name;
  size_t offset, alignment;
} hostile_pointer;

/* A struct that a caller fills in. */
typedef struct hostile_struct {
  const char *name; /* the word of its sentences: "args" */
  size_t size;
  const hostile_field *fields;
  size_t field_count;
  const hostile_pointer *pointers;
  size_t pointer_count;
} hostile_struct;

extern const hostile_struct hostile_args, hostile_self, hostile_merge, hostile_softmax, hostile_options;

/* How many extreme values a field has, and how to set one. */
int hostile_count(const hostile_field *field);
void hostile_set(void *structure, const hostile_field *field, int value);

enum { HOSTILE_APART = 10000 }; /* floats between two forbidden arrays */

/* Points every array of floats or bytes that a struct has to pages that may not be touched. What a call reads
 * to find its way (strides and lists) stays. */
void hostile_forbid(const hostile_struct *structure, void *args, float *forbidden);

/* 1 if that value of the field is no finite number of moderate size. */
int hostile_is_wild(const hostile_field *field, int value);

/* Asserts that a call was refused by a sentence about a field of one of the structs, or succeeded without
 * one; returns 1 if it succeeded. structs ends with NULL. */
int hostile_check(const attn_context *context, int32_t status, const hostile_struct *const *structs);

/* How many calls were made in all, for the report. */
extern int64_t hostile_calls;

/* 1 if ATTN_TEST_LONG asks for the long form. */
int hostile_long_form(void);

#endif
