/* options.c - reads a command line: a table of options, each with the field that it sets.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "refuse.h"

/* Reads a whole number at *at and moves *at past it. */
static bool take_integer(const char **at, int64_t low, int64_t high, int64_t *number) {
  const char *text = *at;
  if (!isdigit((unsigned char)text[text[0] == '-' || text[0] == '+'])) return false;
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (errno != 0 || value < low || value > high) return false;
  *number = value;
  *at = end;
  return true;
}

int options_integers(const char *text, int64_t low, int64_t high, int64_t *list, int limit) {
  for (int count = 0; count < limit; text++) {
    if (!take_integer(&text, low, high, &list[count])) return 0;
    count++;
    if (*text == '\0') return count;
    if (*text != ',') return 0;
  }
  return limit + 1;
}

static bool read_number(const char *text, double low, double *number) {
  if (text[0] == '\0' || isspace((unsigned char)text[0])) return false;
  char *end;
  double value = strtod(text, &end);
  if (*end != '\0' || !(fabs(value) <= (double)FLT_MAX) || value < low) return false;
  *number = value;
  return true;
}

static bool read_word(const char *text, const char *const *words, int32_t *index) {
  for (int32_t i = 0; words[i] != NULL; i++)
    if (strcmp(text, words[i]) == 0) {
      *index = i;
      return true;
    }
  return false;
}

/* "auto, blas" */
static void list_words(const char *const *words, char *text, size_t size) {
  size_t used = 0;
  for (int i = 0; words[i] != NULL && used < size; i++)
    used += (size_t)snprintf(text + used, size - used, "%s%s", i == 0 ? "" : ", ", words[i]);
}

static int set_whole_number(const option *row, int64_t *numbers, const char *text) {
  int count = row->kind == OPTION_PAIR ? 2 : 1;
  if (options_integers(text, row->low, row->high, numbers, count) == count) return EXIT_OK;
  return refuse(EXIT_USAGE, "%s: expected %s from %lld to %lld%s, got '%s'", row->name,
                count == 2 ? "two whole numbers" : "a whole number", (long long)row->low,
                (long long)row->high, count == 2 ? ", separated by a comma" : "", text);
}

static int set_number(const option *row, double *number, const char *text) {
  double low = row->kind == OPTION_NUMBER      ? -(double)FLT_MAX
               : row->kind == OPTION_MAGNITUDE ? 0.0
                                               : (double)FLT_TRUE_MIN;
  if (read_number(text, low, number)) return EXIT_OK;
  return refuse(EXIT_USAGE, "%s: expected a finite number%s, got '%s'", row->name,
                row->kind == OPTION_NUMBER      ? ""
                : row->kind == OPTION_MAGNITUDE ? " of at least 0"
                                                : " above 0",
                text);
}

static int set_word(const option *row, int32_t *index, const char *text) {
  char list[128];
  if (read_word(text, row->words, index)) return EXIT_OK;
  list_words(row->words, list, sizeof list);
  return refuse(EXIT_USAGE, "%s: expected one of %s, got '%s'", row->name, list, text);
}

/* text is NULL for a flag. */
static int set_option(const option *row, void *options, const char *text) {
  void *field = (char *)options + row->field;
  int code = EXIT_OK;
  switch (row->kind) {
  case OPTION_FLAG:
    *(bool *)field = true;
    break;
  case OPTION_TEXT:
    *(const char **)field = text;
    break;
  case OPTION_WORD:
    code = set_word(row, field, text);
    break;
  case OPTION_INTEGER:
  case OPTION_PAIR:
    code = set_whole_number(row, field, text);
    break;
  case OPTION_NUMBER:
  case OPTION_MAGNITUDE:
  case OPTION_POSITIVE:
    code = set_number(row, field, text);
    break;
  }
  if (row->given != 0) *(bool *)((char *)options + row->given) = true;
  return code;
}

static bool is_named(const option *row, const char *text) {
  size_t length = strcspn(text, "=");
  if (strlen(row->name) == length && strncmp(row->name, text, length) == 0) return true;
  return row->brief != NULL && strcmp(row->brief, text) == 0;
}

/* Finds "--name", "--name=value" or "-n"; *options becomes the struct of the table that it is in. */
static const option *find_option(const option *table, const char *text, void **options) {
  for (const option *row = table; row->name != NULL || row->table != NULL; row++) {
    if (row->name != NULL && is_named(row, text)) return row;
    void *inner = (char *)*options + row->field;
    const option *found = row->table != NULL ? find_option(row->table, text, &inner) : NULL;
    if (found == NULL) continue;
    *options = inner;
    return found;
  }
  return NULL;
}

/* Reads the option at *at and moves *at past it. */
static int read_option(const option *table, void *options, char ***at) {
  const char *text = *(*at)++;
  const option *row = find_option(table, text, &options);
  if (row == NULL) return refuse(EXIT_USAGE, "%s: no such option; see 'attn help'", text);
  const char *value = strchr(text, '=');
  if (row->kind == OPTION_FLAG && value != NULL)
    return refuse(EXIT_USAGE, "%s: expected no value, got '%s'", row->name, value + 1);
  if (row->kind == OPTION_FLAG) return set_option(row, options, NULL);
  if (value != NULL) return set_option(row, options, value + 1);
  if (**at == NULL) return refuse(EXIT_USAGE, "%s: expected a value, got nothing", text);
  return set_option(row, options, *(*at)++);
}

int options_read(const option *table, void *options, char **arguments, const char **operand) {
  bool only_operands = false;
  bool have_operand = operand == NULL;
  while (*arguments != NULL) {
    const char *text = *arguments;
    if (!only_operands && strcmp(text, "--") == 0) {
      only_operands = true;
      arguments++;
    } else if (!only_operands && text[0] == '-' && text[1] != '\0') {
      int code = read_option(table, options, &arguments);
      if (code != EXIT_OK) return code;
    } else {
      if (have_operand) return refuse(EXIT_USAGE, "'%s': expected no further argument", text);
      have_operand = true;
      *operand = text;
      arguments++;
    }
  }
  return EXIT_OK;
}

int options_agree(const option_rule *rules) {
  for (; rules->name != NULL; rules++)
    if (rules->is_broken)
      return refuse(EXIT_USAGE, "%s: expected %s beside it", rules->name, rules->beside);
  return EXIT_OK;
}
