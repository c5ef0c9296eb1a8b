/* inputs.c - the arrays of a shape, filled and touched before anything is timed.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "inputs.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

static int allocate_all(bench_inputs *inputs, const bench_shape *shape) {
  size_t query_floats = shape_query_floats(shape), key_floats = shape_key_floats(shape);
  *inputs = (bench_inputs){.query = allocate(query_floats),
                           .key = allocate(key_floats),
                           .value = allocate(key_floats),
                           .output = allocate(query_floats),
                           .reference = allocate(query_floats),
                           .file = -1};
  if (!inputs->query || !inputs->key || !inputs->value || !inputs->output || !inputs->reference)
    return bench_error(BENCH_LIBRARY, "no memory for the arrays of shape %s", shape->name);
  memset(inputs->output, 0, query_floats * sizeof(float));
  memset(inputs->reference, 0, query_floats * sizeof(float));
  return BENCH_OK;
}

/* pread or pwrite, until all is there. */
static int transfer(int file, float *array, size_t floats, size_t offset, int is_write) {
  char *bytes = (char *)array;
  size_t left = floats * sizeof(float), at = offset * sizeof(float);
  while (left > 0) {
    ssize_t done = is_write ? pwrite(file, bytes, left, (off_t)at) : pread(file, bytes, left, (off_t)at);
    if (done <= 0) return bench_error(BENCH_FILE, "cannot share the arrays: %s", strerror(errno));
    bytes += done;
    at += (size_t)done;
    left -= (size_t)done;
  }
  return BENCH_OK;
}

static int transfer_all(const bench_inputs *inputs, const bench_shape *shape, int is_write) {
  size_t query_floats = shape_query_floats(shape), key_floats = shape_key_floats(shape);
  int code = transfer(inputs->file, inputs->query, query_floats, 0, is_write);
  if (code == BENCH_OK) code = transfer(inputs->file, inputs->key, key_floats, query_floats, is_write);
  if (code != BENCH_OK) return code;
  return transfer(inputs->file, inputs->value, key_floats, query_floats + key_floats, is_write);
}

int inputs_open(bench_inputs *inputs, const bench_shape *shape, int is_shared) {
  int code = allocate_all(inputs, shape);
  if (code != BENCH_OK) return code;
  fill_normal(inputs->query, shape_query_floats(shape), 1);
  fill_normal(inputs->key, shape_key_floats(shape), 2);
  fill_normal(inputs->value, shape_key_floats(shape), 3);
  if (!is_shared) return BENCH_OK;
  off_t bytes = (off_t)((2 * shape_query_floats(shape) + 2 * shape_key_floats(shape)) * sizeof(float));
  inputs->file = memfd_create("attn-bench", MFD_CLOEXEC);
  if (inputs->file < 0 || ftruncate(inputs->file, bytes) != 0)
    return bench_error(BENCH_FILE, "cannot share the arrays: %s", strerror(errno));
  return transfer_all(inputs, shape, 1);
}

int inputs_attach(bench_inputs *inputs, const bench_shape *shape, int file) {
  int code = allocate_all(inputs, shape);
  if (code != BENCH_OK) return code;
  inputs->file = file;
  return transfer_all(inputs, shape, 0);
}

static int transfer_output(const bench_inputs *inputs, const bench_shape *shape, int is_write) {
  size_t floats = shape_query_floats(shape);
  return transfer(inputs->file, inputs->output, floats, floats + 2 * shape_key_floats(shape), is_write);
}

int inputs_publish(const bench_inputs *inputs, const bench_shape *shape) {
  return transfer_output(inputs, shape, 1);
}

int inputs_fetch(const bench_inputs *inputs, const bench_shape *shape) {
  return transfer_output(inputs, shape, 0);
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
  if (inputs->file >= 0) close(inputs->file);
}
