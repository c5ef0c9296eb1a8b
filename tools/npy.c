/* npy.c - reads and writes NumPy arrays: .npy files of little-endian float32 in C order.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "npy.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "refuse.h"

/* The format, in short: "\x93NUMPY", two bytes of version, the header's length (2 bytes in version 1,
 * 4 bytes later, little-endian), the header (a Python dictionary as text), the numbers. */
static const char magic[] = {'\x93', 'N', 'U', 'M', 'P', 'Y'};
enum {
  MAGIC_SIZE = sizeof magic,
  HEADER_LIMIT = 65535, /* NumPy itself stops at 10000 */
  CHUNK = 16384,        /* numbers converted at a time */
  FLOAT_BYTES = 4
};

typedef struct npy_header {
  bool has_descr, has_order, has_shape;
  char descr[16];
  bool fortran_order;
  int rank;
  int64_t shape[NPY_MAX_RANK];
} npy_header;

/* ---- the header's text: each function moves *at, which ends with a '\0', and returns NULL, or what is
 * wrong. */

static const char not_dictionary[] =
    "the header is not a dictionary of 'descr', 'fortran_order' and 'shape'";

static bool take(const char **at, const char *token) {
  *at += strspn(*at, " \t\r\n");
  size_t length = strlen(token);
  if (strncmp(*at, token, length) != 0) return false;
  *at += length;
  return true;
}

static bool take_string(const char **at, char *text, size_t size) {
  if (!take(at, "'") && !take(at, "\"")) return false;
  const char quote = (*at)[-1];
  const char *end = strchr(*at, quote);
  if (end == NULL || (size_t)(end - *at) >= size) return false;
  memcpy(text, *at, (size_t)(end - *at));
  text[end - *at] = '\0';
  *at = end + 1;
  return true;
}

static const char *take_descr(const char **at, npy_header *header) {
  if (take(at, "[") || take(at, "(")) return "expected float32 ('<f4'), got a structured type";
  return take_string(at, header->descr, sizeof header->descr) ? NULL : "its 'descr' is not a type";
}

static const char *take_order(const char **at, npy_header *header) {
  header->fortran_order = take(at, "True");
  return header->fortran_order || take(at, "False") ? NULL
                                                    : "its 'fortran_order' is neither True nor False";
}

static const char *take_dimension(const char **at, int64_t *dimension) {
  *at += strspn(*at, " \t\r\n");
  if (**at == '-') return "a dimension is negative";
  if (**at < '0' || **at > '9') return "its 'shape' is not a tuple of whole numbers";
  char *end;
  errno = 0;
  long long number = strtoll(*at, &end, 10);
  if (errno != 0) return "a dimension is beyond 2^63 - 1";
  *at = end;
  *dimension = number;
  return NULL;
}

static const char *take_shape(const char **at, npy_header *header) {
  static const char not_tuple[] = "its 'shape' is not a tuple of whole numbers";
  if (!take(at, "(")) return not_tuple;
  bool comma = true;
  header->rank = 0;
  while (!take(at, ")")) {
    if (!comma) return not_tuple;
    if (header->rank == NPY_MAX_RANK) return "it has more than 8 dimensions";
    const char *wrong = take_dimension(at, &header->shape[header->rank]);
    if (wrong != NULL) return wrong;
    header->rank++;
    comma = take(at, ",");
  }
  return header->rank == 1 && !comma ? not_tuple : NULL; /* (3) is a number, (3,) a tuple */
}

static const char *take_entry(const char **at, npy_header *header) {
  char key[16];
  if (!take_string(at, key, sizeof key) || !take(at, ":")) return not_dictionary;
  bool *seen = strcmp(key, "descr") == 0           ? &header->has_descr
               : strcmp(key, "fortran_order") == 0 ? &header->has_order
               : strcmp(key, "shape") == 0         ? &header->has_shape
                                                   : NULL;
  if (seen == NULL || *seen) return not_dictionary;
  *seen = true;
  if (seen == &header->has_descr) return take_descr(at, header);
  return seen == &header->has_order ? take_order(at, header) : take_shape(at, header);
}

static const char *parse_header(const char *text, npy_header *header) {
  *header = (npy_header){0};
  if (!take(&text, "{")) return not_dictionary;
  bool comma = true;
  while (!take(&text, "}")) {
    if (!comma) return not_dictionary;
    const char *wrong = take_entry(&text, header);
    if (wrong != NULL) return wrong;
    comma = take(&text, ",");
  }
  take(&text, ""); /* the padding */
  bool complete = header->has_descr && header->has_order && header->has_shape;
  return complete && *text == '\0' ? NULL : not_dictionary;
}

/* ---- shapes */

/* How many numbers; -1 if their bytes cannot be counted. As in NumPy, a dimension of 0 does not excuse
 * the others. */
static int64_t count_numbers(int rank, const int64_t *shape) {
  int64_t product = FLOAT_BYTES;
  bool empty = false;
  for (int i = 0; i < rank; i++) {
    if (shape[i] == 0)
      empty = true;
    else if (__builtin_mul_overflow(product, shape[i], &product))
      return -1;
  }
  return empty ? 0 : product / FLOAT_BYTES;
}

/* Fortran order is C order where at most one dimension is above 1, or one is 0. */
static bool orders_agree(int rank, const int64_t *shape) {
  int long_dimensions = 0;
  for (int i = 0; i < rank; i++) {
    if (shape[i] == 0) return true;
    long_dimensions += shape[i] > 1;
  }
  return long_dimensions <= 1;
}

const char *npy_shape_text(char text[NPY_SHAPE_TEXT], int rank, const int64_t *shape) {
  if (rank == 0) return "a single number";
  size_t used = 0;
  for (int i = 0; i < rank; i++)
    used += (size_t)snprintf(text + used, NPY_SHAPE_TEXT - used, "%s%lld", i == 0 ? "" : " x ",
                             (long long)shape[i]);
  return text;
}

int npy_make(npy_array *array, const char *name, int rank, const int64_t *shape) {
  char text[NPY_SHAPE_TEXT];
  *array = (npy_array){.rank = rank, .count = count_numbers(rank, shape)};
  memcpy(array->shape, shape, (size_t)rank * sizeof *shape);
  if (array->count >= 0) array->data = malloc(array->count == 0 ? 1 : (size_t)array->count * FLOAT_BYTES);
  if (array->data != NULL) return EXIT_OK;
  *array = (npy_array){0};
  return refuse(EXIT_LIBRARY, "not enough memory for %s of %s numbers", name,
                npy_shape_text(text, rank, shape));
}

void npy_free(npy_array *array) {
  free(array->data);
  *array = (npy_array){0};
}

/* ---- files */

static int not_npy(const char *path, const char *why) {
  return refuse(EXIT_FILE, "%s: not a valid .npy file: %s", path, why);
}

static uint32_t from_little_endian(const unsigned char *bytes, int count) {
  uint32_t number = 0;
  for (int i = count - 1; i >= 0; i--) number = number << 8 | bytes[i];
  return number;
}

/* Reads magic and header; *remaining is the size of the file, and then of what follows the header. */
static int read_header(FILE *file, const char *path, npy_header *header, int64_t *remaining) {
  unsigned char start[MAGIC_SIZE + 2 + 4];
  if (fread(start, 1, MAGIC_SIZE + 2, file) != MAGIC_SIZE + 2 || memcmp(start, magic, MAGIC_SIZE) != 0)
    return not_npy(path, "it does not start with NumPy's signature");
  int version = start[MAGIC_SIZE];
  if (version < 1 || version > 3 || start[MAGIC_SIZE + 1] != 0)
    return refuse(EXIT_FILE, "%s: expected version 1.0, 2.0 or 3.0 of the .npy format, got %d.%d", path,
                  version, start[MAGIC_SIZE + 1]);
  int width = version == 1 ? 2 : 4;
  unsigned char *bytes = start + MAGIC_SIZE + 2;
  *remaining -= MAGIC_SIZE + 2 + width;
  if (fread(bytes, 1, (size_t)width, file) != (size_t)width)
    return not_npy(path, "it ends inside its header");
  int64_t length = from_little_endian(bytes, width);
  if (length > *remaining) return not_npy(path, "it ends inside its header");
  if (length > HEADER_LIMIT) return not_npy(path, "its header is longer than 65535 bytes");
  *remaining -= length;
  char *text = calloc((size_t)length + 1, 1);
  if (text == NULL) return refuse(EXIT_LIBRARY, "%s: not enough memory for its header", path);
  size_t got = fread(text, 1, (size_t)length, file);
  const char *wrong = got == (size_t)length ? parse_header(text, header) : "it ends inside its header";
  if (wrong == NULL && strlen(text) != got) wrong = not_dictionary;
  free(text);
  return wrong == NULL ? EXIT_OK : not_npy(path, wrong);
}

static int check_header(const char *path, const npy_header *header, int64_t remaining) {
  char text[NPY_SHAPE_TEXT];
  if (strcmp(header->descr, "<f4") != 0)
    return refuse(EXIT_FILE, "%s: expected little-endian float32 ('<f4'), got '%s'", path, header->descr);
  if (header->fortran_order && !orders_agree(header->rank, header->shape))
    return refuse(EXIT_FILE, "%s: expected numbers in C order, got Fortran order", path);
  int64_t count = count_numbers(header->rank, header->shape);
  npy_shape_text(text, header->rank, header->shape);
  if (count < 0)
    return refuse(EXIT_FILE, "%s: its shape %s has more numbers than can be counted", path, text);
  if (count * FLOAT_BYTES != remaining)
    return refuse(EXIT_FILE, "%s: expected %lld bytes of numbers, as its header promises, got %lld", path,
                  (long long)count * FLOAT_BYTES, (long long)remaining);
  return EXIT_OK;
}

static bool read_numbers(FILE *file, float *data, int64_t count) {
  unsigned char bytes[CHUNK * FLOAT_BYTES];
  for (int64_t done = 0; done < count; done += CHUNK) {
    size_t step = count - done < CHUNK ? (size_t)(count - done) : CHUNK;
    if (fread(bytes, FLOAT_BYTES, step, file) != step) return false;
    for (size_t i = 0; i < step; i++) {
      uint32_t bits = from_little_endian(bytes + i * FLOAT_BYTES, FLOAT_BYTES);
      memcpy(data + done + (int64_t)i, &bits, FLOAT_BYTES);
    }
  }
  return true;
}

static int read_array(npy_array *array, FILE *file, int64_t size, const char *path) {
  npy_header header;
  int code = read_header(file, path, &header, &size);
  if (code == EXIT_OK) code = check_header(path, &header, size);
  if (code == EXIT_OK) code = npy_make(array, path, header.rank, header.shape);
  if (code != EXIT_OK || read_numbers(file, array->data, array->count)) return code;
  return refuse(EXIT_FILE, "%s: cannot be read: %s", path,
                ferror(file) ? strerror(errno) : "it ended early");
}

int npy_read(npy_array *array, const char *path) {
  *array = (npy_array){0};
  FILE *file;
  int64_t size;
  int code = file_open(path, &file, &size);
  if (code != EXIT_OK) return code;
  code = read_array(array, file, size, path);
  fclose(file);
  if (code != EXIT_OK) npy_free(array);
  return code;
}

static void write_header(FILE *file, const npy_array *array) {
  char shape[NPY_SHAPE_TEXT] = "";
  size_t used = 0;
  for (int i = 0; i < array->rank; i++)
    used += (size_t)snprintf(shape + used, sizeof shape - used, "%lld, ", (long long)array->shape[i]);
  char text[NPY_SHAPE_TEXT + 64];
  int length =
      snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", shape);
  int total = (MAGIC_SIZE + 4 + length + 1 + 63) / 64 * 64; /* the numbers start at a multiple of 64 */
  int padded = total - MAGIC_SIZE - 4;
  const unsigned char rest[] = {1, 0, (unsigned char)(padded & 255), (unsigned char)(padded >> 8)};
  fwrite(magic, 1, MAGIC_SIZE, file);
  fwrite(rest, 1, sizeof rest, file);
  fprintf(file, "%-*s\n", padded - 1, text);
}

static void write_numbers(FILE *file, const float *data, int64_t count) {
  unsigned char bytes[CHUNK * FLOAT_BYTES];
  for (int64_t done = 0; done < count && !ferror(file); done += CHUNK) {
    size_t step = count - done < CHUNK ? (size_t)(count - done) : CHUNK;
    for (size_t i = 0; i < step; i++) {
      uint32_t bits;
      memcpy(&bits, data + done + (int64_t)i, FLOAT_BYTES);
      for (size_t k = 0; k < FLOAT_BYTES; k++) bytes[i * FLOAT_BYTES + k] = (unsigned char)(bits >> 8 * k);
    }
    fwrite(bytes, FLOAT_BYTES, step, file);
  }
}

int npy_write(const npy_array *array, const char *path) {
  file_output output;
  int code = file_create(&output, path);
  if (code != EXIT_OK) return code;
  write_header(output.stream, array);
  write_numbers(output.stream, array->data, array->count);
  return file_commit(&output);
}
