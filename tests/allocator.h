/* allocator.h - a host's allocator for contexts: guarded, counted, and failing on demand.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_ALLOCATOR_H
#define ATTN_ALLOCATOR_H

#include <pthread.h>

#include "support.h"

enum { ALLOCATOR_BLOCKS = 16, ALLOCATOR_NEVER = -1 };

/* An allocator that gives memory full of one number, which ends at an unreadable page, and keeps account. */
typedef struct allocator {
  struct {
    guarded memory;
    void *data;
    uint64_t bytes;
  } blocks[ALLOCATOR_BLOCKS]; /* live where data is not NULL */
  float fill;                 /* what memory is full of; NaN unless a test sets it */
  int64_t allocations;
  int64_t fail_at;    /* this allocation, counted from 0, fails */
  int64_t returned;   /* blocks given back */
  int64_t wiped;      /* of these, how many held nothing but zeros */
  int64_t violations; /* of the contract with the host */
  uint64_t live_bytes;
  pthread_t caller;
} allocator;

/* The options of a context that takes its memory from self, which is made new. */
attn_options allocator_options(allocator *self, int32_t threads);

/* A context with these options. */
attn_context *allocator_context(const attn_options *options);

/* Asserts that all has been given back, and that no rule was broken. */
void allocator_assert_balanced(const allocator *self);

#endif
