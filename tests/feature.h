/* feature.h - the options of attention, each of which a test can switch on for a case.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_FEATURE_H
#define ATTN_FEATURE_H

#include "case.h"

typedef struct feature {
  const char *name;
  void (*apply)(attention_case *c, random_source *source);
  uint32_t kinds;  /* two features with a common bit cannot both be on */
  int hides;       /* 1: it hides keys */
  int by_position; /* 1: by where they are, so that keys before and after what is visible are never read */
} feature;

/* In the order in which they are to be switched on. */
extern const feature features[];
extern const int64_t feature_count;

/* 1 if both can be on; no feature goes with itself. */
int feature_agrees(const feature *a, const feature *b);

/* Switches it on, and adds its name to that of the case. */
void feature_apply(const feature *f, attention_case *c, random_source *source);

/* The feature of that name. */
const feature *feature_named(const char *name);

#endif
