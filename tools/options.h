/* options.h - reads a command line: a table of options, each with the field that it sets.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TOOL_OPTIONS_H
#define ATTN_TOOL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum option_kind {
  OPTION_FLAG,      /* no value; field: bool */
  OPTION_TEXT,      /* field: const char * */
  OPTION_WORD,      /* one of words; field: int32_t, the word's index */
  OPTION_INTEGER,   /* a whole number within [low, high]; field: int64_t */
  OPTION_PAIR,      /* two of these, separated by a comma; field: int64_t[2] */
  OPTION_NUMBER,    /* a finite number within float's range; field: double */
  OPTION_MAGNITUDE, /* the same, at least 0 */
  OPTION_POSITIVE   /* the same, above 0 as a float too */
} option_kind;

/* Tables end with a row that has neither a name nor a table. */
typedef struct option {
  const char *name;  /* "--scale"; NULL: not an option but a table */
  const char *brief; /* "-q"; NULL: none */
  option_kind kind;
  size_t field;      /* its offset in the struct of all that is read */
  size_t given;      /* the offset of a bool that becomes true if the option is there; 0: nobody asks */
  int64_t low, high; /* of OPTION_INTEGER and OPTION_PAIR */
  const char *const *words;   /* of OPTION_WORD, ended by NULL */
  const struct option *table; /* more options, whose fields are in the struct that is at field */
} option;

/* Reads arguments (ended by NULL) into a struct: options as "--name value" or "--name=value", and at most
 * one operand, "--" before it if it starts with a dash. operand NULL: the command takes none. An option
 * given twice: the last one holds. Returns EXIT_OK, or reports the error and returns EXIT_USAGE. */
int options_read(const option *table, void *options, char **arguments, const char **operand);

/* Reads whole numbers within [low, high], separated by commas, that make up all of text; at most limit
 * of them are kept. Returns how many there are, limit + 1 for more than limit; 0 if text is no such list. */
int options_integers(const char *text, int64_t low, int64_t high, int64_t *list, int limit);

/* Something that options must have in common. */
typedef struct option_rule {
  bool is_broken;
  const char *name;   /* of an option that is there */
  const char *beside; /* what it needs, for the message: "--window", "no --alibi" */
} option_rule;

/* Checks rules, ended by one without a name. Returns EXIT_OK, or reports the first broken one and returns
 * EXIT_USAGE. */
int options_agree(const option_rule *rules);

#endif
