/* shapes.h - the shapes that are timed, named or given in numbers.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_SHAPES_H
#define BENCH_SHAPES_H

#include <stddef.h>
#include <stdint.h>

enum { SHAPE_NAME_SIZE = 104 }; /* ten numbers of nine digits */

typedef struct bench_shape {
  char name[SHAPE_NAME_SIZE]; /* "S1", or the numbers as they were given */
  int64_t batch, heads_q, heads_kv, len_q, len_k, dim;
  int causal;          /* 0 or 1 */
  int has_window;      /* 0 or 1 */
  int64_t left, right; /* of the window; -1: unbounded */
  int64_t offset;      /* query i stands at key i + offset */
  int side_by_side;    /* 1: keys and values are (B, Nk, Hkv, D), not (B, Hkv, Nk, D) */
} bench_shape;

/* The keys that a query sees: [first, first + count). */
typedef struct shape_view {
  int64_t first, count;
} shape_view;

/* The named shapes, in the numbers of shape_parse. */
typedef struct shape_name {
  const char *name, *numbers;
} shape_name;
extern const shape_name named_shapes[];
extern const size_t named_shape_count;

/* shape_parse - reads B:Hq:Hkv:Nq:Nk:D:causal[:left:right[:offset]]. Returns a BENCH_ code. */
int shape_parse(const char *name, const char *text, bench_shape *shape);

/* shape_write - the numbers that shape_parse reads. */
void shape_write(const bench_shape *shape, char text[SHAPE_NAME_SIZE]);

/* shape_see - the keys that query i sees; a count of 0 if none. */
shape_view shape_see(const bench_shape *shape, int64_t i);

/* shape_flops - 4 D for each query of each head and each key that it sees. */
double shape_flops(const bench_shape *shape);

/* shape_kv_bytes - of the keys and values that some query sees, each counted once. */
double shape_kv_bytes(const bench_shape *shape);

/* shape_is_memory_bound - are keys and values so many, and used so few times each, that reading them
 * takes longer than the arithmetic on any CPU? At least 1 MiB, at most 8 query rows for each key head. */
int shape_is_memory_bound(const bench_shape *shape);

/* How many floats the query (and the output), the key (and the value) hold. */
size_t shape_query_floats(const bench_shape *shape);
size_t shape_key_floats(const bench_shape *shape);

/* shape_kv_strides - of the key and the value: batch, head, row. */
void shape_kv_strides(const bench_shape *shape, int64_t strides[3]);

/* shape_score_bytes - of all score matrices together. */
double shape_score_bytes(const bench_shape *shape);

#endif
