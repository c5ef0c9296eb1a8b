/* context.c - the handle: the only file that allocates or frees.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _DEFAULT_SOURCE /* explicit_bzero */
#include "context.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *default_allocate(void *user, uint64_t bytes, uint64_t alignment) {
  (void)user;
  return aligned_alloc((size_t)alignment, (size_t)attn__round_up((int64_t)bytes, (int64_t)alignment));
}

static void default_deallocate(void *user, void *memory, uint64_t bytes) {
  (void)user;
  (void)bytes;
  free(memory);
}

static void *allocate(const attn_options *options, uint64_t bytes) {
  return options->allocate(options->user, bytes, ATTN_CACHE_LINE);
}

static void deallocate(const attn_options *options, void *memory, uint64_t bytes) {
  if (!memory) return;
  if (options->wipe) explicit_bzero(memory, bytes);
  options->deallocate(options->user, memory, bytes);
}

/* What makes products slow here, and the remedy; empty if nothing. */
static void write_warning(attn_context *context) {
  if (context->options.engine != ATTN_ENGINE_BLAS) return;
  static const char *const remedies[] = {[ATTN_ISA_AVX2] = "Haswell", [ATTN_ISA_AVX512] = "SkylakeX"};
  const attn__blas_info *blas = &context->blas;
  const int32_t cpu_isa = attn__cpu_isa() == ATTN_ISA_AMX ? ATTN_ISA_AVX512 : attn__cpu_isa();
  if (blas->isa && blas->isa < cpu_isa)
    snprintf(context->warning, sizeof context->warning,
             "%s runs its %s kernels, which do not use this CPU's %s: products are slow until "
             "OPENBLAS_CORETYPE=%s is set in the environment",
             blas->name, blas->core, attn__cpu_isa_name(cpu_isa), remedies[cpu_isa]);
  else if (context->engine.seats < context->options.threads)
    snprintf(context->warning, sizeof context->warning,
             "%s is its %s flavour, where one thread at a time may multiply: install the pthread flavour "
             "(libopenblas0-pthread) to use more",
             blas->name, blas->flavor);
}

static void write_texts(attn_context *context, const char *reason) {
  attn__cpu_name(context->cpu);
  attn__blas_describe(&context->blas);
  write_warning(context);
  char blas[160] = "no BLAS";
  if (attn__blas_present())
    snprintf(blas, sizeof blas, "%s is %s with %s kernels", context->blas.name, context->blas.flavor,
             context->blas.core);
  snprintf(context->description, sizeof context->description,
           "libattn %s: %s kernels, products by %s, %s (%s), threads: %d%s%s", attn_version_text(),
           context->kernels->name, context->engine.name, reason, blas, context->options.threads,
           context->warning[0] ? "; " : "", context->warning);
}

/* The pool, unless one thread or the host's hook makes it needless. */
static int32_t create_workers(attn_context *context) {
  const attn_options *options = &context->options;
  if (options->threads == 1 || options->parallel_for) return 1;
  void *memory = allocate(options, attn__workers_bytes(options->threads));
  if (!memory) return 0;
  context->workers = attn__workers_create(memory, options->threads);
  return 1;
}

/* Settles auto, by what docs/performance.md measured: the builtin products are faster than BLAS's wherever
 * they have vectors. Returns why. */
static const char *choose_engine(attn_options *options) {
  if (options->engine != ATTN_ENGINE_AUTO) return "as asked for";
  const int32_t vectors = attn__kernels_for(options->isa) != &attn__kernels_reference;
  options->engine = vectors || !attn__blas_present() ? ATTN_ENGINE_BUILTIN : ATTN_ENGINE_BLAS;
  if (!attn__blas_present()) return "as this build has no BLAS";
  return vectors ? "which are the fastest here" : "as the builtin ones have no vectors here";
}

/* Tile registers are asked for only if they will be used. */
static void settle_isa(attn_options *options) {
  if (options->isa < ATTN_ISA_AMX) return;
  const int32_t used = options->engine == ATTN_ENGINE_BUILTIN && attn__kernels_for(options->isa)->thirds;
  if (!used || !attn__cpu_allow_tiles()) options->isa = ATTN_ISA_AVX512;
}

/* The engine of settled options; returns 0 if BLAS has no room. */
static int32_t start_engine(const attn_options *options, attn__engine *engine) {
  *engine = attn__product_builtin(attn__kernels_for(options->isa));
  if (options->engine == ATTN_ENGINE_BUILTIN) return 1;
  const attn__engine *blas = attn__blas_start(options->threads);
  if (blas) *engine = *blas;
  return blas != NULL;
}

int32_t attn__context_create(attn_context **out, const attn_options *given, char *error) {
  attn_options options = *given;
  attn__engine engine;
  if (!options.allocate) {
    options.allocate = default_allocate;
    options.deallocate = default_deallocate;
  }
  const char *reason = choose_engine(&options);
  settle_isa(&options);
  const int32_t started = start_engine(&options, &engine);
  attn_context *context = started ? allocate(&options, sizeof *context) : NULL;
  if (context) {
    memset(context, 0, sizeof *context);
    context->options = options;
    context->kernels = attn__kernels_for(options.isa);
    context->engine = engine;
    atomic_flag_clear(&context->busy);
  }
  if (!context || !create_workers(context)) {
    snprintf(error, ATTN__SENTENCE_SIZE, "memory: %s",
             started ? "the allocator has none for a context"
                     : "no room for the buffers or the fork handler of BLAS");
    attn_destroy(context);
    return ATTN_ERROR_MEMORY;
  }
  write_texts(context, reason);
  *out = context;
  return ATTN_OK;
}

void attn_destroy(attn_context *context) {
  if (!context) return;
  const int host_errno = errno;
  attn_options options = context->options;
  if (context->workers) {
    attn__workers_stop(context->workers);
    deallocate(&options, context->workers, attn__workers_bytes(options.threads));
  }
  deallocate(&options, context->scratch, context->scratch_bytes);
  deallocate(&options, context, sizeof *context);
  errno = host_errno;
}

int64_t attn__context_strands(const attn_context *context) {
  return attn__min(context->options.threads, context->engine.seats);
}

void *attn__context_scratch(attn_context *context, uint64_t bytes) {
  if (bytes <= context->scratch_bytes) return context->scratch;
  deallocate(&context->options, context->scratch, context->scratch_bytes);
  context->scratch = allocate(&context->options, bytes);
  context->scratch_bytes = context->scratch ? bytes : 0;
  return context->scratch;
}

void attn__context_run(attn_context *context, int64_t count, attn_task task, void *job) {
  if (count > 1 && context->options.parallel_for)
    context->options.parallel_for(context->options.user, count, task, job);
  else if (count > 1)
    attn__workers_run(context->workers, count, task, job);
  else if (count == 1)
    task(job, 0);
}
