/* fuzz_command.c - any command line of attn, over small arrays and one file of any bytes, in a scratch folder.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "input.h"

int attn_main(int argc, char **argv); /* that of the command */
const char *__asan_default_options(void);

enum { MOST_WORDS = 32, LONGEST = 2048 };

/* A shape that asks for more memory than this gets none. */
const char *__asan_default_options(void) {
  return "allocator_may_return_null=1:max_allocation_size_mb=256";
}

static char folder[] = "/dev/shm/attn-fuzz-XXXXXX";

/* Empties the folder. */
static void clear(void) {
  DIR *here = opendir(".");
  for (struct dirent *entry = here ? readdir(here) : NULL; entry; entry = readdir(here))
    if (entry->d_name[0] != '.' || strncmp(entry->d_name, ".attn", 5) == 0) unlink(entry->d_name);
  if (here) closedir(here);
}

static void leave(void) {
  clear();
  if (chdir("/") == 0) rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  if (!mkdtemp(folder) || chdir(folder) != 0) return 1;
  return atexit(leave);
}

static void put(const char *name, const void *bytes, size_t size) {
  FILE *out = fopen(name, "wb");
  if (!out || fwrite(bytes, 1, size, out) != size || fclose(out) != 0) abort();
}

/* An array of (2, 3, 4), or three of them. */
static void put_array(const char *name, const char *shape, size_t count) {
  char file[128 + 72 * sizeof(float)] = "\x93NUMPY\x01\0\x76\0";
  char text[118];
  snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", shape);
  snprintf(file + 10, 118, "%-116s\n", text);
  file[127] = '\n';
  for (size_t n = 0; n < count; n++) {
    const float number = (float)n / 8 - 2;
    memcpy(file + 128 + n * sizeof number, &number, sizeof number);
  }
  put(name, file, 128 + count * sizeof(float));
}

/* Not what could write outside the folder, start threads by the hundred, or become another program. */
static int is_tame(const char *word) {
  return !strchr(word, '/') && !strstr(word, "thr") && strcmp(word, "bench") != 0;
}

/* Words, one a line, until an empty line; then the bytes of the file "any". */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char text[LONGEST + 1], *words[MOST_WORDS + 2] = {(char[]){"attn"}};
  int count = 1;
  const uint8_t *end = memmem(data, size, "\n\n", 2);
  const size_t length = end ? (size_t)(end - data) : size;
  if (length > LONGEST) return 0;
  if (length > 0) memcpy(text, data, length);
  text[length] = '\0';
  for (char *rest = text, *word; (word = strsep(&rest, "\n")) && count <= MOST_WORDS;) {
    if (!is_tame(word)) return 0;
    words[count++] = word;
  }
  clear();
  put("any", end ? end + 2 : data, end ? size - length - 2 : 0);
  put_array("q", "2, 3, 4", 24);
  put_array("qkv", "3, 2, 3, 4", 72);
  attn_main(count, words);
  return 0;
}
