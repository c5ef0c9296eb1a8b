/* plot.c - has attn-plot draw the rows.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _POSIX_C_SOURCE 200809L
#include "plot.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

extern char **environ;

int plot_prepare(bench_options *options) {
  static char rows[PATH_MAX];
  if (options->plot == NULL) return BENCH_OK;
  if (mkdir(options->plot, 0777) != 0 && errno != EEXIST)
    return bench_error(BENCH_FILE, "cannot make the folder '%s': %s", options->plot, strerror(errno));
  if (options->json != NULL) return BENCH_OK;
  if (snprintf(rows, sizeof rows, "%s/rows.json", options->plot) >= (int)sizeof rows)
    return bench_error(BENCH_USAGE, "--plot: '%s' is too long", options->plot);
  options->json = rows;
  return BENCH_OK;
}

/* Where attn-plot is: a path, or its name to be looked up in PATH. */
static const char *find_plot(char *path, size_t size) {
  static const char name[] = "attn-plot";
  ssize_t length = readlink("/proc/self/exe", path, size - sizeof name);
  if (length <= 0) return name;
  path[length] = '\0';
  strcpy(strrchr(path, '/') + 1, name);
  return access(path, X_OK) == 0 ? path : name;
}

int plot_draw(const bench_options *options) {
  char path[PATH_MAX];
  const char *program = find_plot(path, sizeof path);
  char *const arguments[] = {"attn-plot", (char *)options->plot, (char *)options->json, NULL};
  pid_t process;
  int status;
  int error = posix_spawnp(&process, program, NULL, NULL, arguments, environ);
  if (error != 0) return bench_error(BENCH_FILE, "cannot run %s: %s", program, strerror(error));
  while (waitpid(process, &status, 0) < 0)
    if (errno != EINTR) return bench_error(BENCH_LIBRARY, "%s is lost: %s", program, strerror(errno));
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? BENCH_OK : BENCH_FILE;
}
