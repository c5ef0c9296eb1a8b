/* shapes.h - the shapes that are timed, named or given in numbers.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_SHAPES_H
#define BENCH_SHAPES_H

#include <stddef.h>
#include <stdint.h>

enum { SHAPE_NAME_SIZE = 80 };

typedef struct bench_shape {
  char name[SHAPE_NAME_SIZE]; /* "S1", or the numbers as they were given */
  int64_t batch, heads_q, heads_kv, len_q, len_k, dim;
  int causal; /* 0 or 1; the offset is 0 */
} bench_shape;

/* The named shapes. */
extern const bench_shape named_shapes[];
extern const size_t named_shape_count;

/* shape_parse - reads a name, or B:Hq:Hkv:Nq:Nk:D:causal. Returns a BENCH_ code. */
int shape_parse(const char *text, bench_shape *shape);

/* shape_flops - 4 B Hq Nq Nk D, half if causal: a convention, as causal shapes have a diagonal. */
double shape_flops(const bench_shape *shape);

/* How many floats the query (and the output), the key (and the value) hold. */
size_t shape_query_floats(const bench_shape *shape);
size_t shape_key_floats(const bench_shape *shape);

#endif
