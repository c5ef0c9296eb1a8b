/* library.c - opens libattn with the options that several commands share.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "library.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "refuse.h"
#include "terminal.h"
#include "text.h"

static const char *const engines[] = {
    [ATTN_ENGINE_AUTO] = "auto",
    [ATTN_ENGINE_BLAS] = "blas",
    [ATTN_ENGINE_BUILTIN] = "builtin",
    NULL,
};
static const char *const isas[] = {
    [ATTN_ISA_AUTO] = "auto",
    [ATTN_ISA_REFERENCE] = "reference",
    [ATTN_ISA_AVX2] = "avx2",
    [ATTN_ISA_AVX512] = "avx512",
    [ATTN_ISA_NEON] = "neon",
    [ATTN_ISA_AMX] = "amx",
    NULL,
};

enum { MAX_THREADS = 1024 };

#define AT(member) offsetof(library_options, member)

const option library_table[] = {
    {.name = "--threads", .kind = OPTION_INTEGER, .field = AT(threads), .high = MAX_THREADS},
    {.name = "--engine", .kind = OPTION_WORD, .field = AT(engine), .words = engines},
    {.name = "--isa", .kind = OPTION_WORD, .field = AT(isa), .words = isas},
    {.name = NULL},
};

const char library_help[] = "\n"
                            "Library\n"
                            "  --threads N                0 to 1024 (default: 0, one for each CPU)\n"
                            "  --engine auto|blas|builtin who multiplies matrices\n"
                            "  --isa auto|reference|avx2|avx512|neon|amx\n"
                            "                             the highest instruction set to use\n";

int library_open(attn_context **context, attn_info *info, const library_options *options) {
  attn_options wanted = {.size = sizeof wanted,
                         .threads = (int32_t)options->threads,
                         .engine = options->engine,
                         .isa = options->isa};
  if (attn_create(context, &wanted) != ATTN_OK) return refuse(EXIT_LIBRARY, "%s", attn_last_error(NULL));
  *info = (attn_info){.size = sizeof *info};
  if (attn_describe(*context, info) == ATTN_OK) return EXIT_OK;
  attn_destroy(*context);
  return refuse(EXIT_LIBRARY, "the library cannot describe itself");
}

void library_warn(const attn_info *info) {
  if (info->warning[0] != '\0')
    printf("%swarning%s  %s\n", terminal_set(stdout, TERMINAL_YELLOW), terminal_set(stdout, TERMINAL_PLAIN),
           info->warning);
}

void library_report(const attn_info *info, const attn_plan *plan, double flops, double seconds) {
  if (strcmp(plan->engine, "blas") == 0)
    printf("engine   blas (%s, %s, %s)\n", info->blas, info->blas_flavor, info->blas_core);
  else
    printf("engine   %s\n", plan->engine);
  printf("isa      %s\n", info->isa);
  printf("threads  %" PRId64 "\n", info->threads);
  printf("plan     %s, tiles of %" PRId64 " x %" PRId64 ", %" PRId64 " tasks, %.1f KiB of scratch\n",
         plan->path, plan->tile_q, plan->tile_k, plan->tasks, (double)plan->scratch_bytes / 1024.0);
  printf("time     %.6f s\n", seconds);
  printf("speed    %.2f GFLOP/s\n", seconds > 0.0 ? flops / seconds * 1e-9 : 0.0);
  library_warn(info);
}

static void write_text(const char *key, const char *text) {
  printf(",\n  \"%s\": ", key);
  text_json(stdout, text);
}

void library_json(const attn_info *info, const attn_plan *plan, double flops, double seconds) {
  const char *const texts[][2] = {{"version", attn_version_text()},
                                  {"engine", plan->engine},
                                  {"isa", info->isa},
                                  {"blas", info->blas},
                                  {"blas_flavor", info->blas_flavor},
                                  {"blas_core", info->blas_core},
                                  {"path", plan->path},
                                  {"warning", info->warning}};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) write_text(texts[i][0], texts[i][1]);
  printf(",\n  \"threads\": %" PRId64 ",\n  \"tile_q\": %" PRId64 ",\n  \"tile_k\": %" PRId64
         ",\n  \"tasks\": %" PRId64 ",\n  \"scratch_bytes\": %" PRIu64,
         info->threads, plan->tile_q, plan->tile_k, plan->tasks, plan->scratch_bytes);
  printf(",\n  \"seconds\": %.9g,\n  \"gflops\": %.6g", seconds,
         seconds > 0.0 ? flops / seconds * 1e-9 : 0.0);
}
