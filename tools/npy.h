/* npy.h - reads and writes NumPy arrays: .npy files of little-endian numbers in C order.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Functions that return int return EXIT_OK, or report the error and return its exit code. */
#ifndef ATTN_TOOL_NPY_H
#define ATTN_TOOL_NPY_H

#include <stdint.h>

enum { NPY_MAX_RANK = 8, NPY_SHAPE_TEXT = NPY_MAX_RANK * 24 };

/* What an array holds here, and which types it may have in a file. */
typedef enum npy_kind {
  NPY_FLOATS,  /* float32 */
  NPY_FLAGS,   /* 0 or 1; bool or uint8 */
  NPY_INTEGERS /* int32, int64, or float32 with whole numbers */
} npy_kind;

typedef struct npy_array {
  npy_kind kind;
  int rank;
  int64_t shape[NPY_MAX_RANK];
  int64_t count; /* how many numbers */
  union {        /* by kind; never NULL in an array that was made or read */
    void *data;
    float *floats;
    uint8_t *flags;
    int64_t *integers;
  };
} npy_array;

/* The shape of an array that may not exist yet. */
typedef struct npy_shape {
  int rank;
  int64_t lengths[NPY_MAX_RANK];
} npy_shape;

/* Makes an array of floats of that shape, its numbers not set. name is for the message: "the output". */
int npy_make(npy_array *array, const char *name, int rank, const int64_t *shape);

/* Reads an array of that kind. Versions 1, 2 and 3 of the format; nothing is allocated before the header
 * has been checked against the size of the file. On an error the array is empty. */
int npy_read(npy_array *array, npy_kind kind, const char *path);

/* Writes an array of floats, whole or not at all (file.h). */
int npy_write(const npy_array *array, const char *path);

/* Checks the shape of an array that came from path; what is for the message: "the result's shape". */
int npy_expect(const npy_array *array, const char *path, const char *what, int rank, const int64_t *shape);

void npy_free(npy_array *array);

/* The shape in words, "8 x 40 x 15"; "a single number" where there is no dimension. Returns text. */
const char *npy_shape_text(char text[NPY_SHAPE_TEXT], int rank, const int64_t *shape);

/* Prints a line of a report: the name and the shape. */
void npy_print_shape(const char *name, const npy_array *array);

/* Prints the shape as a field of a JSON object. */
void npy_json_shape(const char *name, const npy_array *array);

#endif
