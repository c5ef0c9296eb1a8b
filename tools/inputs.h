/* inputs.h - query, key and value from files.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TOOL_INPUTS_H
#define ATTN_TOOL_INPUTS_H

#include <attn/attn.h>

#include "npy.h"

/* Either packed or the three others have a path. With packed, the three lie inside it. */
typedef struct inputs {
  const char *packed_path, *query_path, *key_path, *value_path;
  npy_array packed, query, key, value;
} inputs;

/* Checks which paths are given. Returns EXIT_OK, or reports the error and returns EXIT_USAGE. */
int inputs_check(const inputs *given);

/* Reads the arrays and checks that their shapes belong together. Returns EXIT_OK, or reports the error. */
int inputs_read(inputs *given);

/* The sizes and the three arrays. */
attn_args inputs_args(const inputs *given);

/* The shapes of what comes of them: the rows of scores, ... x queries; and the output. */
npy_shape inputs_rows(const inputs *given);
npy_shape inputs_output(const inputs *given);

void inputs_free(inputs *given);

#endif
