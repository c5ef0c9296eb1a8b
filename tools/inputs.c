/* inputs.c - query, key and value from files.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "inputs.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "refuse.h"

int inputs_check(const inputs *given) {
  bool any = given->query_path != NULL || given->key_path != NULL || given->value_path != NULL;
  bool all = given->query_path != NULL && given->key_path != NULL && given->value_path != NULL;
  if (given->packed_path != NULL && any)
    return refuse(EXIT_USAGE, "--qkv: expected no -q, -k or -v beside it");
  if (given->packed_path == NULL && !all)
    return refuse(EXIT_USAGE, "run: expected -q, -k and -v, or --qkv; see 'attn help run'");
  return EXIT_OK;
}

/* query, key and value as views into packed. */
static int unpack(inputs *given) {
  const npy_array *packed = &given->packed;
  char text[NPY_SHAPE_TEXT];
  if (packed->rank < 3 || packed->rank > 5 || packed->shape[0] != 3)
    return refuse(EXIT_FILE, "%s: expected 3 x (batch x heads x) N x D, got %s", given->packed_path,
                  npy_shape_text(text, packed->rank, packed->shape));
  npy_array *parts[] = {&given->query, &given->key, &given->value};
  for (int i = 0; i < 3; i++) {
    *parts[i] = (npy_array){.rank = packed->rank - 1, .count = packed->count / 3};
    parts[i]->floats = packed->floats + i * parts[i]->count;
    memcpy(parts[i]->shape, packed->shape + 1, (size_t)parts[i]->rank * sizeof packed->shape[0]);
  }
  return EXIT_OK;
}

/* A dimension counted from the last: 0 columns, 1 rows, 2 heads, 3 batch; 1 where there is none. */
static int64_t dimension(const npy_array *array, int from_last) {
  return from_last < array->rank ? array->shape[array->rank - 1 - from_last] : 1;
}

static int check_dimension(const char *path, const npy_array *array, int from_last, int64_t expected) {
  static const char *const names[] = {"a head size", "a length", "a number of heads", "a batch"};
  int64_t got = dimension(array, from_last);
  if (got == expected) return EXIT_OK;
  return refuse(EXIT_FILE, "%s: expected %s of %" PRId64 ", got %" PRId64, path, names[from_last], expected,
                got);
}

/* Checks what the library cannot see: that the arrays have the sizes that it is told once. */
static int check_shapes(const inputs *given) {
  const npy_array *query = &given->query;
  const npy_array *key = &given->key;
  const npy_array *value = &given->value;
  if (query->rank < 2 || query->rank > 4)
    return refuse(EXIT_FILE, "%s: expected 2, 3 or 4 dimensions, got %d", given->query_path, query->rank);
  if (key->rank != query->rank)
    return refuse(EXIT_FILE, "%s: expected %d dimensions, as the query has, got %d", given->key_path,
                  query->rank, key->rank);
  if (value->rank != query->rank)
    return refuse(EXIT_FILE, "%s: expected %d dimensions, as the query has, got %d", given->value_path,
                  query->rank, value->rank);
  if (dimension(key, 2) == 0 && dimension(query, 2) > 0)
    return refuse(EXIT_FILE, "%s: expected at least 1 head, got 0", given->key_path);
  int code = check_dimension(given->key_path, key, 3, dimension(query, 3));
  if (code == EXIT_OK) code = check_dimension(given->key_path, key, 0, dimension(query, 0));
  if (code == EXIT_OK) code = check_dimension(given->value_path, value, 3, dimension(query, 3));
  if (code == EXIT_OK) code = check_dimension(given->value_path, value, 2, dimension(key, 2));
  return code == EXIT_OK ? check_dimension(given->value_path, value, 1, dimension(key, 1)) : code;
}

int inputs_read(inputs *given) {
  if (given->packed_path != NULL) {
    int code = npy_read(&given->packed, NPY_FLOATS, given->packed_path);
    return code == EXIT_OK ? unpack(given) : code;
  }
  int code = npy_read(&given->query, NPY_FLOATS, given->query_path);
  if (code == EXIT_OK) code = npy_read(&given->key, NPY_FLOATS, given->key_path);
  if (code == EXIT_OK) code = npy_read(&given->value, NPY_FLOATS, given->value_path);
  return code == EXIT_OK ? check_shapes(given) : code;
}

attn_args inputs_args(const inputs *given) {
  return (attn_args){.size = sizeof(attn_args),
                     .batch = dimension(&given->query, 3),
                     .heads_q = dimension(&given->query, 2),
                     .heads_kv = dimension(&given->key, 2),
                     .len_q = dimension(&given->query, 1),
                     .len_k = dimension(&given->key, 1),
                     .dim = dimension(&given->query, 0),
                     .dim_v = dimension(&given->value, 0),
                     .query = given->query.floats,
                     .key = given->key.floats,
                     .value = given->value.floats};
}

npy_shape inputs_rows(const inputs *given) {
  npy_shape rows = {.rank = given->query.rank - 1};
  memcpy(rows.lengths, given->query.shape, sizeof rows.lengths);
  return rows;
}

npy_shape inputs_output(const inputs *given) {
  npy_shape output = inputs_rows(given);
  output.lengths[output.rank++] = dimension(&given->value, 0);
  return output;
}

void inputs_free(inputs *given) {
  npy_array *owned[] = {&given->packed, &given->query, &given->key, &given->value};
  for (int i = 0; i < (given->packed_path != NULL ? 1 : 4); i++) npy_free(owned[i]);
}
