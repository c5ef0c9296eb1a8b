/* info.c - attn info: what the library is made of on this machine.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "commands.h"
#include "library.h"
#include "options.h"
#include "refuse.h"
#include "text.h"

static const char usage[] =
    "Usage: attn info [options]\n"
    "\n"
    "Says what the library is made of on this machine: version, CPU and its instruction sets, who\n"
    "multiplies matrices, threads, and what makes it slow here, if anything.\n"
    "\n"
    "  --json                     the same as a JSON object\n";

static const char examples[] = "\n"
                               "Examples\n"
                               "  attn info --json | python3 -m json.tool\n"
                               "  attn info --engine blas\n";

const char *const info_help[] = {usage, library_help, examples, NULL};

static void print_text(const attn_info *info) {
  printf("version  %s\n", attn_version_text());
  printf("cpu      %s\n", info->cpu[0] != '\0' ? info->cpu : "unknown");
  printf("cpu has  %s\n", info->cpu_isa);
  printf("in use   %s\n", info->isa);
  printf("engine   %s\n", info->engine);
  printf("blas     %s\n", info->blas);
  printf("flavor   %s\n", info->blas_flavor);
  printf("core     %s\n", info->blas_core);
  printf("threads  %" PRId64 "\n", info->threads);
  library_warn(info);
}

static void print_json(const attn_info *info) {
  const char *const fields[][2] = {{"version", attn_version_text()},   {"cpu", info->cpu},
                                   {"cpu_isa", info->cpu_isa},         {"isa", info->isa},
                                   {"engine", info->engine},           {"blas", info->blas},
                                   {"blas_flavor", info->blas_flavor}, {"blas_core", info->blas_core},
                                   {"warning", info->warning}};
  printf("{");
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
    printf("\n  \"%s\": ", fields[i][0]);
    text_json(stdout, fields[i][1]);
    printf(",");
  }
  printf("\n  \"threads\": %" PRId64 "\n}\n", info->threads);
}

typedef struct info_options {
  library_options library;
  bool json;
} info_options;

static const option options_table[] = {
    {.name = "--json", .kind = OPTION_FLAG, .field = offsetof(info_options, json)},
    {.table = library_table, .field = offsetof(info_options, library)},
    {.name = NULL},
};

int info_command(char **arguments) {
  info_options options = {0};
  int code = options_read(options_table, &options, arguments, NULL);
  if (code != EXIT_OK) return code;
  attn_context *context;
  attn_info info;
  code = library_open(&context, &info, &options.library);
  if (code != EXIT_OK) return code;
  if (options.json)
    print_json(&info);
  else
    print_text(&info);
  attn_destroy(context);
  return EXIT_OK;
}
