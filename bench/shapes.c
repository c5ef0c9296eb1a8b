/* shapes.c - the shapes that are timed, named or given in numbers.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "shapes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* For growth with N: one causal head, and eight with a window of 256 keys before each query. */
#define PLAIN(n)                                                                                           \
  { "G" #n, "1:1:1:" #n ":" #n ":64:1" }
#define LOCAL(n)                                                                                           \
  { "L" #n, "1:8:8:" #n ":" #n ":64:1:256:-1" }

const shape_name named_shapes[] = {
    {"S1", "1:12:12:128:128:64:0"},
    {"S2", "1:12:12:512:512:64:0"},
    {"S3", "1:16:16:2048:2048:64:0"},
    {"S4", "1:32:8:2048:2048:128:1"},
    {"S5", "1:8:8:8192:8192:64:1"},
    {"S6", "1:32:8:1:4096:128:0"},
    {"S7", "1:32:8:1:32768:128:0"},
    {"S8", "16:32:8:1:2048:128:0"},
    {"S9", "1:8:8:16384:16384:64:1:256:-1"},
    {"S10", "8:12:12:197:197:64:0"},
    {"T0", "1:1:1:1:1:1:0"},
    {"T1", "1:1:1:16:16:64:0"},
    {"T2", "1:12:12:32:32:64:0"},
    {"D15", "1:8:8:1024:1024:15:0"},
    {"D80", "1:8:8:1024:1024:80:0"},
    {"D96", "1:8:8:1024:1024:96:0"},
    {"D256", "1:8:8:1024:1024:256:0"},
    {"N1000", "1:8:8:1000:1000:64:0"},
    PLAIN(128),
    PLAIN(256),
    PLAIN(512),
    PLAIN(1024),
    PLAIN(2048),
    PLAIN(4096),
    PLAIN(8192),
    PLAIN(16384),
    PLAIN(32768),
    PLAIN(65536),
    PLAIN(131072),
    LOCAL(128),
    LOCAL(256),
    LOCAL(512),
    LOCAL(1024),
    LOCAL(2048),
    LOCAL(4096),
    LOCAL(8192),
    LOCAL(16384),
    LOCAL(32768),
    LOCAL(65536),
    LOCAL(131072),
};
const size_t named_shape_count = sizeof named_shapes / sizeof named_shapes[0];

enum { NUMBERS = 10, NUMBERS_PLAIN = 7, NUMBERS_WINDOW = 9, DIGITS_MAX = 9 };
static const double floats_max = 1e11; /* of one array or one score matrix */
static const double kv_bytes_min = 1 << 20;
static const int64_t rows_per_key_max = 8;

/* One number of one to nine digits, with a minus if it may, and what follows it; NULL if there is none. */
static const char *parse_number(const char *text, int may_be_negative, int64_t *number) {
  const char *digits = text + (may_be_negative && *text == '-');
  size_t count = strspn(digits, "0123456789");
  if (count == 0 || count > DIGITS_MAX) return NULL;
  *number = strtoll(text, NULL, 10);
  return digits + count;
}

/* Returns how many numbers there were; 0 if they are not such. */
static int parse_numbers(const char *text, int64_t numbers[NUMBERS]) {
  const char *at = text;
  for (int n = 0; n < NUMBERS; n++) {
    at = parse_number(at, n >= NUMBERS_PLAIN, &numbers[n]);
    if (at == NULL) return 0;
    if (*at == '\0') return n + 1;
    if (*at++ != ':') return 0;
  }
  return 0;
}

static int check_shape(const bench_shape *shape) {
  const char *name = shape->name;
  if (shape->batch == 0 || shape->heads_q == 0 || shape->heads_kv == 0 || shape->len_q == 0 ||
      shape->len_k == 0 || shape->dim == 0)
    return bench_error(BENCH_USAGE, "--shapes: '%s' has a size of 0", name);
  if (shape->heads_q % shape->heads_kv != 0)
    return bench_error(BENCH_USAGE, "--shapes: '%s' has query heads that are no multiple of its key heads",
                       name);
  if (shape->causal > 1) return bench_error(BENCH_USAGE, "--shapes: '%s' must have causal 0 or 1", name);
  if (shape->left < -1 || shape->right < -1)
    return bench_error(BENCH_USAGE, "--shapes: '%s' has a window below -1, which is unbounded", name);
  double heads = (double)shape->batch * (double)shape->heads_q * (double)shape->dim;
  double scores = (double)shape->len_q * (double)shape->len_k;
  if (heads * (double)shape->len_q > floats_max || heads * (double)shape->len_k > floats_max ||
      scores > floats_max)
    return bench_error(BENCH_USAGE, "--shapes: '%s' is too large", name);
  if (shape_flops(shape) == 0)
    return bench_error(BENCH_USAGE, "--shapes: in '%s' no query sees a key", name);
  return BENCH_OK;
}

int shape_parse(const char *name, const char *text, bench_shape *shape) {
  int64_t numbers[NUMBERS] = {[7] = -1, [8] = -1};
  int count = parse_numbers(text, numbers);
  if (count != NUMBERS_PLAIN && count != NUMBERS_WINDOW && count != NUMBERS)
    return bench_error(BENCH_USAGE,
                       "--shapes: '%s' is neither a known name nor B:Hq:Hkv:Nq:Nk:D:causal"
                       "[:left:right[:offset]]",
                       text);
  *shape = (bench_shape){.batch = numbers[0],
                         .heads_q = numbers[1],
                         .heads_kv = numbers[2],
                         .len_q = numbers[3],
                         .len_k = numbers[4],
                         .dim = numbers[5],
                         .causal = numbers[6] > 1 ? 2 : (int)numbers[6],
                         .has_window = numbers[7] >= 0 || numbers[8] >= 0,
                         .left = numbers[7],
                         .right = numbers[8],
                         .offset = numbers[9]};
  snprintf(shape->name, sizeof shape->name, "%s", name);
  return check_shape(shape);
}

void shape_write(const bench_shape *shape, char text[SHAPE_NAME_SIZE]) {
  snprintf(text, SHAPE_NAME_SIZE, "%d:%d:%d:%d:%d:%d:%d:%d:%d:%d", (int)shape->batch, (int)shape->heads_q,
           (int)shape->heads_kv, (int)shape->len_q, (int)shape->len_k, (int)shape->dim, shape->causal,
           (int)shape->left, (int)shape->right, (int)shape->offset);
}

shape_view shape_see(const bench_shape *shape, int64_t i) {
  int64_t position = i + shape->offset, first = 0, end = shape->len_k;
  if (shape->has_window && shape->left >= 0 && position - shape->left > first)
    first = position - shape->left;
  if (shape->has_window && shape->right >= 0 && position + shape->right + 1 < end)
    end = position + shape->right + 1;
  if (shape->causal && position + 1 < end) end = position + 1;
  return end > first ? (shape_view){first, end - first} : (shape_view){0, 0};
}

double shape_flops(const bench_shape *shape) {
  double pairs = 0;
  for (int64_t i = 0; i < shape->len_q; i++) pairs += (double)shape_see(shape, i).count;
  return 4 * pairs * (double)shape->batch * (double)shape->heads_q * (double)shape->dim;
}

double shape_kv_bytes(const bench_shape *shape) {
  int64_t first = shape->len_k, end = 0;
  for (int64_t i = 0; i < shape->len_q; i++) {
    shape_view view = shape_see(shape, i);
    if (view.count > 0 && view.first < first) first = view.first;
    if (view.first + view.count > end) end = view.first + view.count;
  }
  return 2.0 * sizeof(float) * (double)(shape->batch * shape->heads_kv * shape->dim) *
         (double)(end - first);
}

int shape_is_memory_bound(const bench_shape *shape) {
  int64_t rows_per_key = shape->heads_q / shape->heads_kv * shape->len_q;
  return rows_per_key <= rows_per_key_max && shape_kv_bytes(shape) >= kv_bytes_min;
}

size_t shape_query_floats(const bench_shape *shape) {
  return (size_t)(shape->batch * shape->heads_q * shape->len_q * shape->dim);
}

size_t shape_key_floats(const bench_shape *shape) {
  return (size_t)(shape->batch * shape->heads_kv * shape->len_k * shape->dim);
}

void shape_kv_strides(const bench_shape *shape, int64_t strides[3]) {
  strides[0] = shape->heads_kv * shape->len_k * shape->dim;
  strides[1] = shape->side_by_side ? shape->dim : shape->len_k * shape->dim;
  strides[2] = shape->side_by_side ? shape->heads_kv * shape->dim : shape->dim;
}

double shape_score_bytes(const bench_shape *shape) {
  return sizeof(float) * (double)(shape->batch * shape->heads_q) * (double)shape->len_q *
         (double)shape->len_k;
}
