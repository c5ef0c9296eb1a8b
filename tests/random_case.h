/* random_case.h - shapes, options and layouts by chance.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_RANDOM_CASE_H
#define ATTN_RANDOM_CASE_H

#include "case.h"

/* A case of at most so many products of queries, keys and elements; the edges of tiles come often. */
case_spec random_case_spec(random_source *source, int64_t most_work);

#endif
