/* file.c - files that are read whole, and files that appear whole or not at all.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _XOPEN_SOURCE 700
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "refuse.h"

int file_open(const char *path, FILE **file, int64_t *size) {
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* opening a FIFO would wait */
  if (descriptor < 0) return refuse(EXIT_FILE, "%s: cannot be opened: %s", path, strerror(errno));
  struct stat status;
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(descriptor);
    return refuse(EXIT_FILE, "%s: expected a regular file, got a folder, pipe or device", path);
  }
  *size = status.st_size;
  *file = fdopen(descriptor, "rb");
  if (*file != NULL) return EXIT_OK;
  close(descriptor);
  return refuse(EXIT_FILE, "%s: cannot be opened: %s", path, strerror(errno));
}

int file_read(const char *path, int64_t limit, char **bytes, int64_t *size) {
  FILE *file;
  int code = file_open(path, &file, size);
  if (code != EXIT_OK) return code;
  if (*size > limit) {
    fclose(file);
    return refuse(EXIT_FILE, "%s: expected at most %lld bytes, got %lld", path, (long long)limit,
                  (long long)*size);
  }
  *bytes = malloc((size_t)*size + 1);
  if (*bytes == NULL) {
    code = refuse(EXIT_LIBRARY, "%s: not enough memory for its %lld bytes", path, (long long)*size);
  } else if (fread(*bytes, 1, (size_t)*size, file) != (size_t)*size) {
    code = refuse(EXIT_FILE, "%s: cannot be read: %s", path,
                  ferror(file) ? strerror(errno) : "it ended early");
    free(*bytes);
  } else {
    (*bytes)[*size] = '\0';
  }
  fclose(file);
  return code;
}

static const int deadly_signals[] = {SIGHUP, SIGINT, SIGTERM};
enum { DEADLY_SIGNALS = sizeof deadly_signals / sizeof deadly_signals[0] };

static const char *volatile doomed; /* the temporary file that exists now */

static void remove_doomed(int number) {
  if (doomed != NULL) unlink(doomed);
  raise(number); /* SA_RESETHAND: the default action this time */
}

static void watch_signals(const char *temporary) {
  doomed = temporary;
  signal(SIGXFSZ, SIG_IGN); /* beyond a size limit, writing is to fail with a sentence */
  for (int i = 0; i < DEADLY_SIGNALS; i++) {
    struct sigaction action;
    if (sigaction(deadly_signals[i], NULL, &action) != 0 || action.sa_handler == SIG_IGN) continue;
    memset(&action, 0, sizeof action);
    action.sa_handler = remove_doomed;
    action.sa_flags = (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    sigaction(deadly_signals[i], &action, NULL);
  }
}

static int cannot_write(const char *path, int error) {
  return refuse(EXIT_FILE, "%s: cannot be written: %s", path, strerror(error));
}

/* "folder/.attn-XXXXXX" beside target; NULL without memory. */
static char *temporary_name(const char *target) {
  const char *slash = strrchr(target, '/');
  size_t folder = slash == NULL ? 0 : (size_t)(slash - target) + 1;
  static const char name[] = ".attn-XXXXXX";
  char *text = malloc(folder + sizeof name);
  if (text == NULL) return NULL;
  memcpy(text, target, folder);
  memcpy(text + folder, name, sizeof name);
  return text;
}

static int create_directly(file_output *output, bool is_stdout) {
  int descriptor = is_stdout ? dup(STDOUT_FILENO) : open(output->path, O_WRONLY | O_CLOEXEC);
  output->stream = descriptor < 0 ? NULL : fdopen(descriptor, "wb");
  if (output->stream != NULL) return EXIT_OK;
  int error = errno;
  if (descriptor >= 0) close(descriptor);
  return cannot_write(output->path, error);
}

static int create_temporary(file_output *output) {
  char *resolved = realpath(output->path, NULL); /* replace what a link points to, not the link */
  output->target = resolved != NULL ? resolved : strdup(output->path);
  if (output->target != NULL) output->temporary = temporary_name(output->target);
  int descriptor = output->temporary == NULL ? -1 : mkstemp(output->temporary);
  if (descriptor >= 0) {
    watch_signals(output->temporary);
    mode_t mask = umask(0);
    umask(mask);
    fchmod(descriptor, 0666 & ~mask); /* mkstemp made it private */
    output->stream = fdopen(descriptor, "wb");
    if (output->stream != NULL) return EXIT_OK;
  }
  int error = errno;
  if (descriptor >= 0) close(descriptor);
  file_abandon(output);
  return cannot_write(output->path, error);
}

static int create(file_output *output, const char *path) {
  struct stat status;
  struct stat out;
  if (stat(path, &status) != 0)
    return errno == ENOENT ? create_temporary(output) : cannot_write(path, errno);
  if (S_ISDIR(status.st_mode)) return cannot_write(path, EISDIR);
  bool is_stdout =
      fstat(STDOUT_FILENO, &out) == 0 && out.st_dev == status.st_dev && out.st_ino == status.st_ino;
  if (is_stdout || !S_ISREG(status.st_mode)) return create_directly(output, is_stdout);
  if (access(path, W_OK) != 0) return cannot_write(path, errno); /* a rename would not ask */
  return create_temporary(output);
}

int file_create(file_output *output, const char *path) {
  *output = (file_output){.path = path};
  int code = create(output, path);
  errno = 0;
  return code;
}

int file_commit(file_output *output) {
  int error = 0;
  if (ferror(output->stream)) error = errno != 0 ? errno : EIO; /* file_create cleared it */
  if (fflush(output->stream) != 0 && error == 0) error = errno;
  if (fclose(output->stream) != 0 && error == 0) error = errno;
  output->stream = NULL;
  if (error == 0 && output->temporary != NULL) {
    if (rename(output->temporary, output->target) == 0)
      doomed = NULL;
    else
      error = errno;
  }
  file_abandon(output);
  return error == 0 ? EXIT_OK : cannot_write(output->path, error);
}

void file_abandon(file_output *output) {
  if (output->stream != NULL) fclose(output->stream);
  if (doomed != NULL) unlink(doomed);
  doomed = NULL;
  free(output->temporary);
  free(output->target);
  *output = (file_output){.path = output->path};
}

int file_check(const char *path) {
  struct stat status;
  if (stat(path, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return EXIT_OK;
  file_output output;
  int code = file_create(&output, path);
  if (code == EXIT_OK) file_abandon(&output);
  return code;
}
