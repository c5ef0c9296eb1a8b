/* attn.c - the attn command: finds the subcommand, prints help and version.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <attn/attn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "refuse.h"
#include "terminal.h"

static const char main_help[] =
    "Usage: attn COMMAND [options]\n"
    "\n"
    "Attention, softmax(scale * query key^T) value, on CPUs and on arrays in .npy files.\n"
    "\n"
    "  attn run                   computes attention, times it, compares it with what is expected\n"
    "  attn self                  computes a self-attention layer: projections, heads, attention\n"
    "  attn map                   draws attention weights as heat maps\n"
    "  attn bench                 measures speed: attn-bench(1)\n"
    "  attn info                  says what the library is made of on this machine\n"
    "  attn help COMMAND          says more about a command\n"
    "  attn --version             the library's version\n"
    "\n"
    "Exit codes\n"
    "  0  success\n"
    "  1  a comparison failed\n"
    "  2  the command line is wrong\n"
    "  3  a file cannot be read or written, or does not hold what was expected\n"
    "  4  the library refused or failed, or memory ran out\n"
    "\n"
    "Environment\n"
    "  ATTN_ENGINE                blas or builtin: who multiplies matrices where --engine says auto\n"
    "  ATTN_ISA                   reference, avx2, avx512, neon or amx: the highest instruction set, as\n"
    "                             --isa; amx asks Linux for the tile registers, a cap of avx512 does not\n"
    "  NO_COLOR                   if not empty, no colours; they are for terminals only anyway\n"
    "\n"
    "Examples\n"
    "  attn run --qkv block1_qkv.npy -o out.npy --weights w.npy\n"
    "  attn map w.npy -o w.svg --image line.png\n"
    "  attn bench --quick --shapes S1\n";

typedef struct command {
  const char *name;
  int (*run)(char **arguments);
  const char *const *help; /* NULL: it answers --help itself */
} command;

static const command commands[] = {
    {"run", run_command, run_help}, {"self", self_command, self_help}, {"map", map_command, map_help},
    {"bench", bench_command, NULL}, {"info", info_command, info_help},
};

static const command *find_command(const char *name) {
  for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
    if (strcmp(commands[i].name, name) == 0) return &commands[i];
  return NULL;
}

static bool is_help(const char *argument) {
  return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

static int no_such_command(const char *name) {
  return refuse(EXIT_USAGE, "'%s': expected run, self, map, bench, info or help", name);
}

static int print_pieces(const char *const *pieces) {
  for (; *pieces != NULL; pieces++) terminal_help(*pieces);
  return EXIT_OK;
}

static int print_help(char **arguments) {
  if (arguments[0] == NULL || is_help(arguments[0])) {
    terminal_help(main_help);
    return EXIT_OK;
  }
  const command *found = find_command(arguments[0]);
  if (found == NULL) return no_such_command(arguments[0]);
  static char *ask[] = {"bench", "--help", NULL};
  return found->help == NULL ? found->run(ask + 1) : print_pieces(found->help);
}

static int run_subcommand(const command *chosen, char **arguments) {
  for (char **argument = arguments; *argument != NULL; argument++)
    if (is_help(*argument) && chosen->help != NULL) return print_pieces(chosen->help);
  return chosen->run(arguments);
}

static int dispatch(char **arguments) {
  const char *name = arguments[0];
  if (name == NULL) return refuse(EXIT_USAGE, "expected a command; see 'attn help'");
  if (is_help(name) || strcmp(name, "help") == 0) return print_help(arguments + 1);
  if (strcmp(name, "--version") == 0) {
    printf("attn %s\n", attn_version_text());
    return EXIT_OK;
  }
  const command *found = find_command(name);
  return found == NULL ? no_such_command(name) : run_subcommand(found, arguments + 1);
}

int main(int argc, char **argv) {
  int code = dispatch(argv + (argc > 0));
  if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_OK)
    code = refuse(EXIT_FILE, "standard output: cannot be written: %s", strerror(errno));
  return code;
}
