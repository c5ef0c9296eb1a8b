/* commands.h - the subcommands. Each gets the arguments after its name, ended by NULL, and returns the
 * exit code; each has its help in the same file, in pieces that NULL ends.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TOOL_COMMANDS_H
#define ATTN_TOOL_COMMANDS_H

int run_command(char **arguments);
int self_command(char **arguments);
int map_command(char **arguments);
int info_command(char **arguments);
int bench_command(char **arguments);

extern const char *const run_help[];
extern const char *const self_help[];
extern const char *const map_help[];
extern const char *const info_help[];

#endif
