/* npy.h - reads and writes NumPy arrays: .npy files of little-endian float32 in C order.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Functions that return int return EXIT_OK, or report the error and return its exit code. */
#ifndef ATTN_TOOL_NPY_H
#define ATTN_TOOL_NPY_H

#include <stdint.h>

enum { NPY_MAX_RANK = 8, NPY_SHAPE_TEXT = NPY_MAX_RANK * 24 };

typedef struct npy_array {
  int rank;
  int64_t shape[NPY_MAX_RANK];
  int64_t count; /* how many numbers */
  float *data;   /* never NULL in an array that was made or read */
} npy_array;

/* Makes an array of that shape, its numbers not set. name is for the message: "the output". */
int npy_make(npy_array *array, const char *name, int rank, const int64_t *shape);

/* Reads an array. Versions 1, 2 and 3 of the format; nothing is allocated before the header has been
 * checked against the size of the file. On an error the array is empty. */
int npy_read(npy_array *array, const char *path);

/* Writes an array, whole or not at all (file.h). */
int npy_write(const npy_array *array, const char *path);

void npy_free(npy_array *array);

/* The shape in words, "8 x 40 x 15"; "a single number" where there is no dimension. Returns text. */
const char *npy_shape_text(char text[NPY_SHAPE_TEXT], int rank, const int64_t *shape);

#endif
