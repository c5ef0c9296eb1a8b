/* resolve.h - from a caller's struct to a problem.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_RESOLVE_H
#define ATTN_RESOLVE_H

#include "attn/attn.h"
#include "check.h"
#include "problem.h"
#include "self.h"

/* Copies the struct in by its size, checks every field and fills in the defaults; 0 and a sentence if
 * anything is wrong. The problem points into the caller's arrays. */
int32_t attn__resolve_args(const attn__check *check, const attn_args *given, attn__problem *problem);

/* 1 if no output surely overlaps another array of the call; else 0 and a sentence. */
int32_t attn__resolve_apart(const attn__check *check, const attn__problem *problem);

/* As attn__resolve_args for a self-attention layer. */
int32_t attn__resolve_self(const attn__check *check, const attn_self_args *given, attn__self_problem *self);

/* As attn__resolve_apart for a self-attention layer; its weights and biases are not looked at. */
int32_t attn__resolve_self_apart(const attn__check *check, const attn__self_problem *self);

#endif
