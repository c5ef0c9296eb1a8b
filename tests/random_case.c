/* random_case.c - shapes, options and layouts by chance.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "random_case.h"

#include <math.h>

/* One of few sizes or a random one: small ones, and those around the edges of tiles, are worth more. */
static int64_t random_length(random_source *source) {
  const int64_t edges[] = {1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 256, 257};
  if (random_once_in(source, 3)) return edges[random_between(source, 0, COUNT_OF(edges) - 1)];
  return random_between(source, 1, random_once_in(source, 2) ? 20 : 400);
}

static int64_t random_dim(random_source *source) {
  const int64_t common[] = {1, 15, 16, 32, 64, 80, 96, 128, 256};
  if (random_once_in(source, 2)) return common[random_between(source, 0, COUNT_OF(common) - 1)];
  return random_between(source, 1, random_once_in(source, 4) ? 600 : 70);
}

static int64_t work(const case_spec *spec) {
  const int64_t dim_v = spec->dim_v ? spec->dim_v : spec->dim;
  return spec->batch * spec->heads_q * spec->len_q * spec->len_k * (spec->dim + dim_v);
}

static void choose_shape(case_spec *spec, int64_t most_work, random_source *source) {
  do {
    const int64_t group = random_once_in(source, 2) ? 1 : random_between(source, 1, 9);
    spec->batch = random_between(source, 1, 3);
    spec->heads_kv = random_between(source, 1, 4);
    spec->heads_q = spec->heads_kv * group;
    if (group == 1 && random_once_in(source, 2)) spec->heads_kv = 0;
    spec->len_q = random_length(source);
    spec->len_k = random_length(source);
    spec->dim = random_dim(source);
    spec->dim_v = random_once_in(source, 2) ? 0 : random_dim(source);
  } while (work(spec) > most_work);
}

static void choose_options(case_spec *spec, random_source *source) {
  if (random_once_in(source, 3)) {
    spec->has_scale = 1;
    spec->scale = (float)((3 * random_uniform(source) - 1.5) / sqrt((double)spec->dim));
  }
  if (random_once_in(source, 2)) {
    spec->causal = 1;
    const int64_t offsets[] = {0, spec->len_k - spec->len_q,
                               random_between(source, -spec->len_q - 2, spec->len_k + 2)};
    spec->causal_offset = offsets[random_between(source, 0, 2)];
  }
  spec->weights = random_once_in(source, 2);
  spec->lse = random_once_in(source, 2);
}

static void choose_layouts(case_spec *spec, random_source *source) {
  spec->query_layout = (tensor_layout)random_between(source, 0, LAYOUT_INPUTS - 1);
  spec->key_layout = (tensor_layout)random_between(source, 0, LAYOUT_INPUTS - 1);
  spec->value_layout = (tensor_layout)random_between(source, 0, LAYOUT_INPUTS - 1);
  spec->output_layout = (tensor_layout)random_between(source, 0, LAYOUT_OUTPUTS - 1);
  spec->side = random_once_in(source, 2) ? GUARD_BEFORE : GUARD_AFTER;
}

case_spec random_case_spec(random_source *source, int64_t most_work) {
  case_spec spec = {.batch = 1};
  choose_shape(&spec, most_work, source);
  choose_options(&spec, source);
  choose_layouts(&spec, source);
  return spec;
}
