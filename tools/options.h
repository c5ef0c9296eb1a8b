/* options.h - reads a command line: a table of options, each with the variable that it sets.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TOOL_OPTIONS_H
#define ATTN_TOOL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum option_kind {
  OPTION_FLAG,     /* no value; variable: bool */
  OPTION_TEXT,     /* variable: const char * */
  OPTION_WORD,     /* one of words; variable: int32_t, the word's index */
  OPTION_INTEGER,  /* a whole number within [low, high]; variable: int64_t */
  OPTION_NUMBER,   /* a finite number within float's range; variable: double */
  OPTION_MAGNITUDE /* the same, at least 0 */
} option_kind;

/* Tables end with a row whose name is NULL. */
typedef struct option {
  const char *name;  /* "--scale" */
  const char *brief; /* "-q"; NULL: none */
  option_kind kind;
  void *variable;
  bool *given;              /* set to true if the option is there; NULL: nobody asks */
  int64_t low, high;        /* of OPTION_INTEGER */
  const char *const *words; /* of OPTION_WORD, ended by NULL */
} option;

/* Reads arguments (ended by NULL): options as "--name value" or "--name=value", and at most one operand,
 * "--" before it if it starts with a dash. operand NULL: the command takes none. An option given twice:
 * the last one holds. Returns EXIT_OK, or reports the error and returns EXIT_USAGE. */
int options_read(const option *table, char **arguments, const char **operand);

/* Reads a whole number within [low, high] that makes up all of text; false if it is none. */
bool options_integer(const char *text, int64_t low, int64_t high, int64_t *number);

#endif
