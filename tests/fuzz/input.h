/* input.h - the bytes that a fuzzer gives, taken one after the other; what is not there is zero.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_FUZZ_INPUT_H
#define ATTN_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What libFuzzer calls. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct input {
  const uint8_t *data;
  size_t left;
} input;

static inline void input_copy(input *in, void *out, size_t bytes) {
  const size_t there = in->left < bytes ? in->left : bytes;
  memset(out, 0, bytes);
  if (there > 0) memcpy(out, in->data, there);
  in->data += there;
  in->left -= there;
}

static inline uint64_t input_number(input *in, size_t bytes) {
  uint64_t number = 0;
  input_copy(in, &number, bytes);
  return number;
}

/* low <= number <= high, from one byte. */
static inline int64_t input_between(input *in, int64_t low, int64_t high) {
  return low + (int64_t)(input_number(in, 1) % (uint64_t)(high - low + 1));
}

#endif
