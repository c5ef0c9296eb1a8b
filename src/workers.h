/* workers.h - the threads of a context.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_WORKERS_H
#define ATTN_WORKERS_H

#include <stdint.h>

#include "attn/attn.h"

/* Threads that sleep until there is a job. They start with the first job and need not all start: a job
 * is done by the threads there are. */
typedef struct attn__workers attn__workers;

/* The memory that a pool of count threads needs, the caller of each job included. */
uint64_t attn__workers_bytes(int64_t count);

/* Makes a pool in such memory. */
attn__workers *attn__workers_create(void *memory, int64_t count);

/* Ends the threads. */
void attn__workers_stop(attn__workers *workers);

/* Equals: for (i = 0; i < count; i++) task(job, i), but indices may run at the same time and in any order.
 * In a forked child the pool starts its threads anew. */
void attn__workers_run(attn__workers *workers, int64_t count, attn_task task, void *job);

#endif
