/* engine.c - what is timed: the library with one of its product engines, or the hand-written rival.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "engine.h"

#include <string.h>

#include "bench.h"
#include "rss.h"

static const struct {
  const char *name;
  int32_t engine; /* ATTN_ENGINE_... */
} kinds[ENGINE_KINDS] = {
    [ENGINE_AUTO] = {"auto", ATTN_ENGINE_AUTO},
    [ENGINE_BLAS] = {"blas", ATTN_ENGINE_BLAS},
    [ENGINE_UNFUSED] = {"unfused", 0},
};

const char *engine_name(int kind) {
  return kinds[kind].name;
}

int engine_kind(const char *name) {
  for (int kind = 0; kind < ENGINE_KINDS; kind++)
    if (strcmp(name, kinds[kind].name) == 0) return kind;
  return -1;
}

static int open_library(bench_engine *engine, const engine_setup *setup) {
  const bench_shape *shape = setup->shape;
  attn_options options = {.size = sizeof options,
                          .threads = crew_members(setup->crew),
                          .engine = kinds[engine->kind].engine,
                          .isa = setup->isa};
  if (attn_create(&engine->context, &options) != ATTN_OK)
    return bench_error(BENCH_LIBRARY, "%s", attn_last_error(NULL));
  engine->args = (attn_args){.size = sizeof engine->args,
                             .batch = shape->batch,
                             .heads_q = shape->heads_q,
                             .heads_kv = shape->heads_kv,
                             .len_q = shape->len_q,
                             .len_k = shape->len_k,
                             .dim = shape->dim,
                             .query = setup->inputs->query,
                             .key = setup->inputs->key,
                             .value = setup->inputs->value,
                             .output = setup->inputs->output,
                             .causal = shape->causal};
  return BENCH_OK;
}

int engine_open(bench_engine *engine, int kind, const engine_setup *setup) {
  *engine = (bench_engine){.kind = kind, .rss_growth_kib = -1};
  if (kind != ENGINE_UNFUSED) return open_library(engine, setup);
  return unfused_open(&engine->unfused, setup->shape, setup->inputs, setup->crew);
}

int engine_call(bench_engine *engine) {
  if (engine->kind == ENGINE_UNFUSED) {
    unfused_call(&engine->unfused);
    return BENCH_OK;
  }
  if (attn_global(engine->context, &engine->args) == ATTN_OK) return BENCH_OK;
  return bench_error(BENCH_LIBRARY, "%s", attn_last_error(engine->context));
}

int engine_first_call(bench_engine *engine) {
  int64_t before = rss_reset_peak();
  int code = engine_call(engine);
  int64_t after = rss_peak();
  if (before >= 0 && after >= before) engine->rss_growth_kib = after - before;
  return code;
}

void engine_close(bench_engine *engine) {
  attn_destroy(engine->context);
  unfused_close(&engine->unfused);
}
