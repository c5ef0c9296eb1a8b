/* fuzz_npy.c - any bytes as a .npy file: an array as large as the file says, or a refusal.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "input.h"
#include "npy.h"
#include "refuse.h"

static int file;
static char path[32];

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  file = memfd_create("fuzz", 0);
  snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  return file < 0;
}

/* Every number is there to be read. */
static void read_all(const npy_array *array) {
  static const size_t sizes[] = {
      [NPY_FLOATS] = sizeof(float), [NPY_FLAGS] = 1, [NPY_INTEGERS] = sizeof(int64_t)};
  const unsigned char *bytes = array->data;
  char text[NPY_SHAPE_TEXT];
  unsigned char all = 0;
  for (size_t n = 0; n < (size_t)array->count * sizes[array->kind]; n++) all |= bytes[n];
  if (npy_shape_text(text, array->rank, array->shape)[0] == '\0' && all) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != (ssize_t)size) abort();
  for (npy_kind kind = NPY_FLOATS; kind <= NPY_INTEGERS; kind++) {
    npy_array array;
    const int code = npy_read(&array, kind, path);
    if (code == EXIT_OK)
      read_all(&array);
    else if (array.data)
      abort();
    npy_free(&array);
  }
  return 0;
}
