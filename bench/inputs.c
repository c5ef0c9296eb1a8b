/* inputs.c - the arrays of a shape, filled and touched before anything is timed.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "inputs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { ALIGNMENT = 64 };

/* splitmix64 (Steele, Lea and Flood, 2014). */
static uint64_t next_bits(uint64_t *state) {
  uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

/* In (0, 1]. */
static float next_uniform(uint64_t *state) {
  return ((float)(next_bits(state) >> 40) + 1.0f) / 16777216.0f;
}

/* Box and Muller: two numbers at a time. */
static void fill_normal(float *array, size_t count, uint64_t seed) {
  const float turn = 6.2831853f;
  uint64_t state = seed;
  for (size_t n = 0; n < count; n += 2) {
    float radius = sqrtf(-2.0f * logf(next_uniform(&state)));
    float angle = turn * next_uniform(&state);
    array[n] = radius * cosf(angle);
    if (n + 1 < count) array[n + 1] = radius * sinf(angle);
  }
}

static float *allocate(size_t count) {
  size_t bytes = (count * sizeof(float) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  return aligned_alloc(ALIGNMENT, bytes);
}

int inputs_open(bench_inputs *inputs, const bench_shape *shape) {
  size_t query_floats = shape_query_floats(shape), key_floats = shape_key_floats(shape);
  *inputs = (bench_inputs){.query = allocate(query_floats),
                           .key = allocate(key_floats),
                           .value = allocate(key_floats),
                           .output = allocate(query_floats),
                           .reference = allocate(query_floats)};
  if (!inputs->query || !inputs->key || !inputs->value || !inputs->output || !inputs->reference)
    return bench_error(BENCH_LIBRARY, "no memory for the arrays of shape %s", shape->name);
  fill_normal(inputs->query, query_floats, 1);
  fill_normal(inputs->key, key_floats, 2);
  fill_normal(inputs->value, key_floats, 3);
  memset(inputs->output, 0, query_floats * sizeof(float));
  memset(inputs->reference, 0, query_floats * sizeof(float));
  return BENCH_OK;
}

double inputs_difference(const bench_inputs *inputs, size_t floats) {
  double largest = 0;
  for (size_t n = 0; n < floats; n++) {
    double apart = fabs((double)inputs->output[n] - (double)inputs->reference[n]);
    if (isnan(apart)) return apart;
    if (apart > largest) largest = apart;
  }
  return largest;
}

void inputs_close(bench_inputs *inputs) {
  free(inputs->query);
  free(inputs->key);
  free(inputs->value);
  free(inputs->output);
  free(inputs->reference);
}
