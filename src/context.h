/* context.h - the handle: allocator, kernels, engine, workers, scratch, texts.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_CONTEXT_H
#define ATTN_CONTEXT_H

#include <stdatomic.h>
#include <stdint.h>

#include "attn/attn.h"
#include "base.h"
#include "check.h"
#include "cpu.h"
#include "kernels/kernels.h"
#include "product.h"
#include "workers.h"

struct attn_context {
  attn_options options; /* threads and the allocator resolved */
  const attn__kernels *kernels;
  attn__engine engine;
  attn__workers *workers; /* NULL: the host's, or one thread */
  void *scratch;
  uint64_t scratch_bytes;
  atomic_flag busy;
  int host_errno; /* as it was when the call under way began */
  char error[ATTN__SENTENCE_SIZE];
  /* Texts for attn_describe. */
  char cpu[ATTN__CPU_NAME_SIZE];
  attn__blas_info blas;
  char warning[256];
  char description[512];
};

/* Makes a context from checked options (isa already capped). Returns a status; the reason of a failure is
 * in error. */
int32_t attn__context_create(attn_context **context, const attn_options *options, char *error);

/* How many strands a call may have: the context's threads, as far as the engine has seats. */
int64_t attn__context_strands(const attn_context *context);

/* At least this much scratch, aligned to a cache line; grows only. NULL: no memory. */
void *attn__context_scratch(attn_context *context, uint64_t bytes);

/* Equals: for (i = 0; i < count; i++) task(job, i), spread over the context's threads; count is at most
 * options.threads. */
void attn__context_run(attn_context *context, int64_t count, attn_task task, void *job);

#endif
