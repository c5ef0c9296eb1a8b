/* npy.c - reads and writes NumPy arrays: .npy files of little-endian numbers in C order.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "npy.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
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
  FLOAT_BYTES = 4,
  MOST_BYTES = 8 /* of a number */
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
  if (take(at, "[") || take(at, "(")) return "its type is a structured one";
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

/* ---- types */

static uint64_t from_little_endian(const unsigned char *bytes, int count) {
  uint64_t number = 0;
  for (int i = count - 1; i >= 0; i--) number = number << 8 | bytes[i];
  return number;
}

static float float_at(const unsigned char *bytes) {
  uint32_t bits = (uint32_t)from_little_endian(bytes, FLOAT_BYTES);
  float number;
  memcpy(&number, &bits, FLOAT_BYTES);
  return number;
}

/* Converts bytes of a file to count numbers of an array. Returns the first number that cannot be one. */
typedef size_t conversion(const unsigned char *bytes, size_t count, void *numbers);

static size_t floats_from_f4(const unsigned char *bytes, size_t count, void *numbers) {
  float *floats = numbers;
  for (size_t i = 0; i < count; i++) floats[i] = float_at(bytes + i * FLOAT_BYTES);
  return count;
}

static size_t flags_from_bytes(const unsigned char *bytes, size_t count, void *numbers) {
  uint8_t *flags = numbers;
  for (size_t i = 0; i < count; i++) {
    if (bytes[i] > 1) return i;
    flags[i] = bytes[i];
  }
  return count;
}

static size_t integers_from_f4(const unsigned char *bytes, size_t count, void *numbers) {
  int64_t *integers = numbers;
  for (size_t i = 0; i < count; i++) {
    float number = float_at(bytes + i * FLOAT_BYTES);
    if (!(number >= -9223372036854775808.0f && number < 9223372036854775808.0f) || truncf(number) != number)
      return i;
    integers[i] = (int64_t)number;
  }
  return count;
}

static size_t integers_from_i4(const unsigned char *bytes, size_t count, void *numbers) {
  int64_t *integers = numbers;
  for (size_t i = 0; i < count; i++) integers[i] = (int32_t)(uint32_t)from_little_endian(bytes + i * 4, 4);
  return count;
}

static size_t integers_from_i8(const unsigned char *bytes, size_t count, void *numbers) {
  int64_t *integers = numbers;
  for (size_t i = 0; i < count; i++) integers[i] = (int64_t)from_little_endian(bytes + i * 8, 8);
  return count;
}

/* A type in a file, for an array of some kind. */
typedef struct file_type {
  npy_kind kind;
  const char *descr;
  int64_t bytes; /* of a number */
  conversion *convert;
} file_type;

static const file_type file_types[] = {
    {NPY_FLOATS, "<f4", 4, floats_from_f4},     {NPY_FLAGS, "|b1", 1, flags_from_bytes},
    {NPY_FLAGS, "|u1", 1, flags_from_bytes},    {NPY_INTEGERS, "<i4", 4, integers_from_i4},
    {NPY_INTEGERS, "<i8", 8, integers_from_i8}, {NPY_INTEGERS, "<f4", 4, integers_from_f4},
};

static const struct {
  const char *types;   /* what a file may have, for the message */
  const char *numbers; /* what each number must be, for the message */
  int64_t bytes;       /* of a number in memory */
} kinds[] = {
    [NPY_FLOATS] = {"little-endian float32 ('<f4')", "a number", sizeof(float)},
    [NPY_FLAGS] = {"bool ('|b1') or uint8 ('|u1')", "0 or 1", sizeof(uint8_t)},
    [NPY_INTEGERS] = {"little-endian int32, int64 or float32 ('<i4', '<i8' or '<f4')", "a whole number",
                      sizeof(int64_t)},
};

static const file_type *find_type(npy_kind kind, const char *descr) {
  for (size_t i = 0; i < sizeof file_types / sizeof file_types[0]; i++)
    if (file_types[i].kind == kind && strcmp(file_types[i].descr, descr) == 0) return &file_types[i];
  return NULL;
}

/* ---- shapes */

/* How many numbers; -1 if bytes enough for any kind cannot be counted. As in NumPy, a dimension of 0 does not excuse
 * the others. */
static int64_t count_numbers(int rank, const int64_t *shape) {
  int64_t product = MOST_BYTES;
  bool empty = false;
  for (int i = 0; i < rank; i++) {
    if (shape[i] == 0)
      empty = true;
    else if (__builtin_mul_overflow(product, shape[i], &product))
      return -1;
  }
  return empty ? 0 : product / MOST_BYTES;
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

static int make(npy_array *array, npy_kind kind, const char *name, int rank, const int64_t *shape) {
  char text[NPY_SHAPE_TEXT];
  *array = (npy_array){.kind = kind, .rank = rank, .count = count_numbers(rank, shape)};
  memcpy(array->shape, shape, (size_t)rank * sizeof *shape);
  int64_t bytes = array->count * kinds[kind].bytes;
  if (array->count >= 0) array->data = malloc(bytes == 0 ? 1 : (size_t)bytes);
  if (array->data != NULL) return EXIT_OK;
  *array = (npy_array){0};
  return refuse(EXIT_LIBRARY, "not enough memory for %s of %s numbers", name,
                npy_shape_text(text, rank, shape));
}

int npy_make(npy_array *array, const char *name, int rank, const int64_t *shape) {
  return make(array, NPY_FLOATS, name, rank, shape);
}

void npy_free(npy_array *array) {
  free(array->data);
  *array = (npy_array){0};
}

/* ---- files */

static int not_npy(const char *path, const char *why) {
  return refuse(EXIT_FILE, "%s: not a valid .npy file: %s", path, why);
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
  int64_t length = (int64_t)from_little_endian(bytes, width);
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

/* Checks the header; *type is how the numbers are to be read. */
static int check_header(const char *path, const npy_header *header, npy_kind kind, int64_t remaining,
                        const file_type **type) {
  char text[NPY_SHAPE_TEXT];
  *type = find_type(kind, header->descr);
  if (*type == NULL)
    return refuse(EXIT_FILE, "%s: expected %s, got '%s'", path, kinds[kind].types, header->descr);
  if (header->fortran_order && !orders_agree(header->rank, header->shape))
    return refuse(EXIT_FILE, "%s: expected numbers in C order, got Fortran order", path);
  int64_t count = count_numbers(header->rank, header->shape);
  npy_shape_text(text, header->rank, header->shape);
  if (count < 0)
    return refuse(EXIT_FILE, "%s: its shape %s has more numbers than can be counted", path, text);
  if (count * (*type)->bytes != remaining)
    return refuse(EXIT_FILE, "%s: expected %lld bytes of numbers, as its header promises, got %lld", path,
                  (long long)(count * (*type)->bytes), (long long)remaining);
  return EXIT_OK;
}

static int read_numbers(FILE *file, const char *path, const file_type *type, npy_array *array) {
  unsigned char bytes[CHUNK * MOST_BYTES];
  for (int64_t done = 0; done < array->count; done += CHUNK) {
    size_t step = array->count - done < CHUNK ? (size_t)(array->count - done) : CHUNK;
    if (fread(bytes, (size_t)type->bytes, step, file) != step)
      return refuse(EXIT_FILE, "%s: cannot be read: %s", path,
                    ferror(file) ? strerror(errno) : "it ended early");
    char *numbers = (char *)array->data + done * kinds[type->kind].bytes;
    size_t converted = type->convert(bytes, step, numbers);
    if (converted < step)
      return refuse(EXIT_FILE, "%s: expected %s everywhere, got another number at index %lld", path,
                    kinds[type->kind].numbers, (long long)done + (long long)converted);
  }
  return EXIT_OK;
}

static int read_array(npy_array *array, npy_kind kind, FILE *file, int64_t size, const char *path) {
  npy_header header;
  const file_type *type = NULL;
  int code = read_header(file, path, &header, &size);
  if (code == EXIT_OK) code = check_header(path, &header, kind, size, &type);
  if (code == EXIT_OK) code = make(array, kind, path, header.rank, header.shape);
  return code == EXIT_OK && type != NULL ? read_numbers(file, path, type, array) : code;
}

int npy_read(npy_array *array, npy_kind kind, const char *path) {
  *array = (npy_array){0};
  FILE *file;
  int64_t size;
  int code = file_open(path, &file, &size);
  if (code != EXIT_OK) return code;
  code = read_array(array, kind, file, size, path);
  fclose(file);
  if (code != EXIT_OK) npy_free(array);
  return code;
}

int npy_expect(const npy_array *array, const char *path, const char *what, int rank, const int64_t *shape) {
  if (array->rank == rank && memcmp(array->shape, shape, (size_t)rank * sizeof *shape) == 0) return EXIT_OK;
  char expected[NPY_SHAPE_TEXT];
  char got[NPY_SHAPE_TEXT];
  const char *expected_text = npy_shape_text(expected, rank, shape);
  return refuse(EXIT_FILE, "%s: expected %s %s, got %s", path, what, expected_text,
                npy_shape_text(got, array->rank, array->shape));
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
  write_numbers(output.stream, array->floats, array->count);
  return file_commit(&output);
}

void npy_json_shape(const char *name, const npy_array *array) {
  printf("\"%s\": [", name);
  for (int i = 0; i < array->rank; i++) printf("%s%" PRId64, i == 0 ? "" : ", ", array->shape[i]);
  printf("]");
}

void npy_print_shape(const char *name, const npy_array *array) {
  char text[NPY_SHAPE_TEXT];
  printf("%-8s %s\n", name, npy_shape_text(text, array->rank, array->shape));
}
