/* shapes.c - the shapes that are timed, named or given in numbers.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "shapes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

const bench_shape named_shapes[] = {
    {"S1", 1, 12, 12, 128, 128, 64, 0},   {"S2", 1, 12, 12, 512, 512, 64, 0},
    {"S3", 1, 16, 16, 2048, 2048, 64, 0}, {"S4", 1, 32, 8, 2048, 2048, 128, 1},
    {"S5", 1, 8, 8, 8192, 8192, 64, 1},   {"S10", 8, 12, 12, 197, 197, 64, 0},
};
const size_t named_shape_count = sizeof named_shapes / sizeof named_shapes[0];

enum { NUMBERS = 7, DIGITS_MAX = 9 };
static const double floats_max = 1e11; /* of one array or one score matrix */

/* One number of one to nine digits, and what follows it; NULL if there is none. */
static const char *parse_number(const char *text, int64_t *number) {
  size_t digits = strspn(text, "0123456789");
  if (digits == 0 || digits > DIGITS_MAX) return NULL;
  *number = strtoll(text, NULL, 10);
  return text + digits;
}

static int parse_numbers(const char *text, int64_t numbers[NUMBERS]) {
  const char *at = text;
  for (int n = 0; n < NUMBERS; n++) {
    at = parse_number(at, &numbers[n]);
    if (at == NULL || *at != (n == NUMBERS - 1 ? '\0' : ':'))
      return bench_error(BENCH_USAGE, "--shapes: '%s' is neither a known name nor B:Hq:Hkv:Nq:Nk:D:causal",
                         text);
    at++;
  }
  return BENCH_OK;
}

static int check_shape(const bench_shape *shape) {
  const char *name = shape->name;
  if (shape->batch == 0 || shape->heads_q == 0 || shape->heads_kv == 0 || shape->len_q == 0 ||
      shape->len_k == 0 || shape->dim == 0)
    return bench_error(BENCH_USAGE, "--shapes: '%s' has a size of 0", name);
  if (shape->heads_q % shape->heads_kv != 0)
    return bench_error(BENCH_USAGE, "--shapes: '%s' has query heads that are no multiple of its key heads",
                       name);
  if (shape->causal > 1) return bench_error(BENCH_USAGE, "--shapes: '%s' must end in causal 0 or 1", name);
  double heads = (double)shape->batch * (double)shape->heads_q * (double)shape->dim;
  double scores = (double)shape->len_q * (double)shape->len_k;
  if (heads * (double)shape->len_q > floats_max || heads * (double)shape->len_k > floats_max ||
      scores > floats_max)
    return bench_error(BENCH_USAGE, "--shapes: '%s' is too large", name);
  return BENCH_OK;
}

int shape_parse(const char *text, bench_shape *shape) {
  for (size_t n = 0; n < named_shape_count; n++)
    if (strcmp(text, named_shapes[n].name) == 0) {
      *shape = named_shapes[n];
      return BENCH_OK;
    }
  int64_t numbers[NUMBERS];
  int code = parse_numbers(text, numbers);
  if (code != BENCH_OK) return code;
  *shape = (bench_shape){.batch = numbers[0],
                         .heads_q = numbers[1],
                         .heads_kv = numbers[2],
                         .len_q = numbers[3],
                         .len_k = numbers[4],
                         .dim = numbers[5],
                         .causal = numbers[6] > 1 ? 2 : (int)numbers[6]};
  snprintf(shape->name, sizeof shape->name, "%s", text);
  return check_shape(shape);
}

double shape_flops(const bench_shape *shape) {
  double flops = 4.0 * (double)shape->batch * (double)shape->heads_q * (double)shape->len_q *
                 (double)shape->len_k * (double)shape->dim;
  return shape->causal ? flops / 2 : flops;
}

size_t shape_query_floats(const bench_shape *shape) {
  return (size_t)(shape->batch * shape->heads_q * shape->len_q * shape->dim);
}

size_t shape_key_floats(const bench_shape *shape) {
  return (size_t)(shape->batch * shape->heads_kv * shape->len_k * shape->dim);
}
