/* plan_case.h - what plans are made of in tests: engines, and a problem without anything special.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_PLAN_CASE_H
#define ATTN_PLAN_CASE_H

#include "plan.h"
#include "support.h"

static const attn__thirds thirds;

/* As BLAS's, and as those of tables of kernels. */
static const attn__engine engines[] = {{.panel = 0, .slab = 8},
                                       {.panel = 8, .slab = 4},
                                       {.panel = 16, .slab = 6},
                                       {.panel = 32, .slab = 12, .few = 8},
                                       {.panel = 32, .slab = 8, .few = 8, .thirds = &thirds}};
enum { FEW = 3, IN_THIRDS = 4 };

static inline attn__problem plain_problem(int64_t group, int64_t len_q, int64_t len_k) {
  return (attn__problem){.batch = 1,
                         .heads_q = group,
                         .heads_kv = 1,
                         .group = group,
                         .len_q = len_q,
                         .len_k = len_k,
                         .dim = 64,
                         .dim_v = 64,
                         .window_left = ATTN__UNBOUNDED,
                         .window_right = ATTN__UNBOUNDED,
                         .window_dilation = 1};
}

#endif
