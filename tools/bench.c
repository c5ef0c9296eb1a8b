/* bench.c - attn bench: becomes attn-bench, which is another program.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "refuse.h"

/* Runs the one beside this program, or else the one in PATH. arguments[-1] is the command's name. */
int bench_command(char **arguments) {
  static char name[] = "attn-bench";
  char path[PATH_MAX];
  char **all = arguments - 1;
  all[0] = name;
  ssize_t length = readlink("/proc/self/exe", path, sizeof path - sizeof name);
  if (length > 0) {
    path[length] = '\0';
    strcpy(strrchr(path, '/') + 1, name);
    execv(path, all);
  }
  execvp(name, all);
  return refuse(EXIT_FILE, "%s: cannot be run: %s", name, strerror(errno));
}
