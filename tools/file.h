/* file.h - files that are read whole, and files that appear whole or not at all.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Functions that return int return EXIT_OK, or report the error and return its exit code. */
#ifndef ATTN_TOOL_FILE_H
#define ATTN_TOOL_FILE_H

#include <stdint.h>
#include <stdio.h>

/* Opens a regular file for reading; *size is its size in bytes. */
int file_open(const char *path, FILE **file, int64_t *size);

/* Reads a regular file of at most limit bytes. *bytes ends with a '\0' that *size does not count; the
 * caller frees it. */
int file_read(const char *path, int64_t limit, char **bytes, int64_t *size);

/* A file being written. A regular file is written under a temporary name in the same folder and gets
 * its own name when it is complete; anything else (a device, a pipe, standard output) is written
 * directly. An interrupt removes the temporary file. One at a time. */
typedef struct file_output {
  FILE *stream; /* write here */
  const char *path;
  char *target;    /* path, with links resolved; NULL: written directly */
  char *temporary; /* NULL: written directly */
} file_output;

int file_create(file_output *output, const char *path);

/* Completes the file: to be called once after file_create succeeded, whatever happened in between. On
 * an error, one of the stream included, no file is left behind. */
int file_commit(file_output *output);

/* Gives the file up. */
void file_abandon(file_output *output);

/* Says whether file_create(path) would work, so that long work is not done in vain. */
int file_check(const char *path);

#endif
