/* attend.h - runs attention and layers over dense arrays, timed, in slices where somebody watches.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TOOL_ATTEND_H
#define ATTN_TOOL_ATTEND_H

#include <attn/attn.h>
#include <stdbool.h>

/* The floating-point operations that a valid problem asks for: 2 (D + Dv) for each key that a query sees by
 * its position (causal rule, window, lengths), whatever masks and biases say. A window around a center,
 * which may be anywhere, counts as one that lies among the keys as far as they suffice. */
double attend_flops(const attn_args *args);

/* Computes a problem by attn_local if it has a window, else by attn_global. Every size is given; query, key,
 * value, output, residual, weights, lse, scores and centers are dense; mask and bias have strides; one offset holds
 * for all, and nothing is packed. With show_progress, long work is split into slices of batch entries and
 * key heads, which gives the same bits, and a bar moves between them. *plan is the library's plan for the
 * whole, *seconds the time of the computation. Returns EXIT_OK, or reports the error and returns
 * EXIT_LIBRARY. */
int attend(attn_context *context, const attn_args *args, bool show_progress, attn_plan *plan,
           double *seconds);

/* The floating-point operations of a valid layer: 2 for each weight of a projection and row of x, and those
 * of its attention. */
double attend_layer_flops(const attn_self_args *args);

/* Computes a self-attention layer. *plan is the library's plan, *seconds the time of the computation. Returns
 * EXIT_OK, or reports the error and returns EXIT_LIBRARY. */
int attend_layer(attn_context *context, const attn_self_args *args, attn_plan *plan, double *seconds);

#endif
