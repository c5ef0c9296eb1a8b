/* options.c - reads a command line: a table of options, each with the variable that it sets.
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

bool options_integer(const char *text, int64_t low, int64_t high, int64_t *number) {
  if (!isdigit((unsigned char)text[text[0] == '-' || text[0] == '+'])) return false;
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (errno != 0 || *end != '\0' || value < low || value > high) return false;
  *number = value;
  return true;
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

static int set_option(const option *row, const char *text) {
  char list[128];
  switch (row->kind) {
  case OPTION_FLAG:
    *(bool *)row->variable = true;
    break;
  case OPTION_TEXT:
    *(const char **)row->variable = text;
    break;
  case OPTION_WORD:
    if (read_word(text, row->words, row->variable)) break;
    list_words(row->words, list, sizeof list);
    return refuse(EXIT_USAGE, "%s: expected one of %s, got '%s'", row->name, list, text);
  case OPTION_INTEGER:
    if (options_integer(text, row->low, row->high, row->variable)) break;
    return refuse(EXIT_USAGE, "%s: expected a whole number from %lld to %lld, got '%s'", row->name,
                  (long long)row->low, (long long)row->high, text);
  case OPTION_NUMBER:
    if (read_number(text, -(double)FLT_MAX, row->variable)) break;
    return refuse(EXIT_USAGE, "%s: expected a finite number, got '%s'", row->name, text);
  case OPTION_MAGNITUDE:
    if (read_number(text, 0.0, row->variable)) break;
    return refuse(EXIT_USAGE, "%s: expected a finite number of at least 0, got '%s'", row->name, text);
  }
  if (row->given != NULL) *row->given = true;
  return EXIT_OK;
}

/* Finds "--name", "--name=value" or "-n". */
static const option *find_option(const option *table, const char *text) {
  size_t length = strcspn(text, "=");
  for (const option *row = table; row->name != NULL; row++) {
    if (strlen(row->name) == length && strncmp(row->name, text, length) == 0) return row;
    if (row->brief != NULL && strcmp(row->brief, text) == 0) return row;
  }
  return NULL;
}

/* Reads the option at *at and moves *at past it. */
static int read_option(const option *table, char ***at) {
  const char *text = *(*at)++;
  const option *row = find_option(table, text);
  if (row == NULL) return refuse(EXIT_USAGE, "%s: no such option; see 'attn help'", text);
  const char *value = strchr(text, '=');
  if (row->kind == OPTION_FLAG && value != NULL)
    return refuse(EXIT_USAGE, "%s: expected no value, got '%s'", row->name, value + 1);
  if (row->kind == OPTION_FLAG) return set_option(row, NULL);
  if (value != NULL) return set_option(row, value + 1);
  if (**at == NULL) return refuse(EXIT_USAGE, "%s: expected a value, got nothing", text);
  return set_option(row, *(*at)++);
}

int options_read(const option *table, char **arguments, const char **operand) {
  bool only_operands = false;
  bool have_operand = operand == NULL;
  while (*arguments != NULL) {
    const char *text = *arguments;
    if (!only_operands && strcmp(text, "--") == 0) {
      only_operands = true;
      arguments++;
    } else if (!only_operands && text[0] == '-' && text[1] != '\0') {
      int code = read_option(table, &arguments);
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
