/* commands.h - the subcommands. Each gets the arguments after its name, ended by NULL, and returns the
 * exit code; each has its help text in the same file.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TOOL_COMMANDS_H
#define ATTN_TOOL_COMMANDS_H

int run_command(char **arguments);
int map_command(char **arguments);
int info_command(char **arguments);

extern const char run_help[];
extern const char map_help[];
extern const char info_help[];

#endif
