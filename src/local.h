/* local.h - Luong's local-p: the windows' middles, predicted from the queries.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_LOCAL_H
#define ATTN_LOCAL_H

#include "context.h"
#include "problem.h"

/* The scratch that the prediction needs, in bytes; 0 where nothing is to be predicted. */
uint64_t attn__local_scratch(const attn_context *context, const attn__problem *problem);

/* Predicts the centers of all rows into the scratch and points the problem at them. */
void attn__local_predict(attn_context *context, attn__problem *problem, void *scratch);

#endif
