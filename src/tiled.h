/* tiled.h - many queries: tiles with an online softmax.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TILED_H
#define ATTN_TILED_H

#include "context.h"
#include "plan.h"
#include "problem.h"

/* Computes the problem; scratch is strands * plan->scratch.bytes. */
void attn__tiled_run(attn_context *context, const attn__problem *problem, const attn__plan *plan,
                     void *scratch);

#endif
