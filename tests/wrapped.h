/* wrapped.h - what the library asks of the C library, to be counted and made to fail.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_WRAPPED_H
#define ATTN_WRAPPED_H

#include <stdint.h>

/* The requests between arming and disarming, counted over all kinds. Memory, mappings, threads, fork handlers
 * and what the system knows of its processors. */
typedef struct wrapped_state {
  int64_t fail_at;             /* this request, counted from 0, fails; -1: none */
  int from_then_on;            /* 1: and all after it */
  _Atomic int64_t requests;    /* so far */
  _Atomic int64_t failed;      /* of these */
  int64_t unguarded;           /* fork handlers that failed */
  _Atomic int64_t live_blocks; /* of memory, obtained and not given back; likewise mappings */
  int64_t live_threads;        /* created and not joined */
} wrapped_state;

extern wrapped_state wrapped;

/* Counting and failing begin anew. */
void wrapped_arm(int64_t fail_at, int from_then_on);

/* Requests succeed and are not counted; what is live goes on being so. */
void wrapped_disarm(void);

#endif
