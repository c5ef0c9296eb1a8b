/* engine.c - what is timed: the library with one of its product engines, or a rival.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "engine.h"

#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "memory.h"
#include "peer.h"
#include "rivals.h"

static const struct {
  const char *name;
  int32_t engine; /* ATTN_ENGINE_... */
} kinds[ENGINE_KINDS] = {
    [ENGINE_AUTO] = {"auto", ATTN_ENGINE_AUTO},
    [ENGINE_BUILTIN] = {"builtin", ATTN_ENGINE_BUILTIN},
    [ENGINE_BLAS] = {"blas", ATTN_ENGINE_BLAS},
    [ENGINE_UNFUSED] = {"unfused", 0},
    [ENGINE_UNFUSED_BEST] = {"unfused-best", 0},
    [ENGINE_ONNXRUNTIME] = {"onnxruntime", 0},
    [ENGINE_NUMPY] = {"numpy", 0},
};

const char *engine_name(int kind) {
  return kinds[kind].name;
}

int engine_kind(const char *name) {
  for (int kind = 0; kind < ENGINE_KINDS; kind++)
    if (strcmp(name, kinds[kind].name) == 0) return kind;
  return -1;
}

int engine_is_rival(int kind) {
  return kind >= ENGINE_UNFUSED;
}

int engine_is_apart(int kind) {
  return kind >= ENGINE_UNFUSED_BEST;
}

static attn_args arguments_of(const engine_setup *setup) {
  const bench_shape *shape = setup->shape;
  const bench_inputs *inputs = setup->inputs;
  return (attn_args){.size = sizeof(attn_args),
                     .batch = shape->batch,
                     .heads_q = shape->heads_q,
                     .heads_kv = shape->heads_kv,
                     .len_q = shape->len_q,
                     .len_k = shape->len_k,
                     .dim = shape->dim,
                     .query = inputs->query,
                     .key = inputs->key,
                     .value = inputs->value,
                     .output = inputs->output,
                     .causal = shape->causal,
                     .has_window = shape->has_window,
                     .window_left = shape->has_window ? shape->left : 0,
                     .window_right = shape->has_window ? shape->right : 0,
                     .offset = shape->offset};
}

static int open_library(bench_engine *engine, const engine_setup *setup) {
  attn_options options = {.size = sizeof options,
                          .threads = crew_members(setup->crew),
                          .engine = kinds[engine->kind].engine,
                          .isa = setup->isa};
  if (attn_create(&engine->context, &options) != ATTN_OK)
    return bench_error(BENCH_LIBRARY, "%s", attn_last_error(NULL));
  engine->args = arguments_of(setup);
  shape_kv_strides(setup->shape, engine->kv_strides);
  engine->args.key_strides = engine->args.value_strides = engine->kv_strides;
  attn_plan plan = {.size = sizeof plan};
  if (attn_explain(engine->context, &engine->args, &plan) != ATTN_OK)
    return bench_error(BENCH_LIBRARY, "%s", attn_last_error(engine->context));
  snprintf(engine->detail, sizeof engine->detail, "%s, %s", plan.path, plan.engine);
  return BENCH_OK;
}

static int open_unfused(bench_engine *engine, const engine_setup *setup) {
  double bytes = unfused_bytes(setup->shape, crew_members(setup->crew));
  if (!memory_suffices(bytes, engine->skipped, sizeof engine->skipped)) return BENCH_OK;
  snprintf(engine->detail, sizeof engine->detail, "%s", unfused_core());
  return unfused_open(&engine->unfused, setup->shape, setup->inputs, setup->crew);
}

static int call(bench_engine *engine) {
  if (engine->kind == ENGINE_UNFUSED) {
    unfused_call(&engine->unfused);
    return BENCH_OK;
  }
  if (attn_global(engine->context, &engine->args) == ATTN_OK) return BENCH_OK;
  return bench_error(BENCH_LIBRARY, "%s", attn_last_error(engine->context));
}

static int call_first(bench_engine *engine) {
  int64_t before = memory_reset_peak();
  double start = bench_seconds();
  int code = call(engine);
  engine->first_seconds = bench_seconds() - start;
  int64_t after = memory_peak();
  if (before >= 0 && after >= before) engine->rss_growth_kib = after - before;
  return code;
}

int engine_open(bench_engine *engine, int kind, const engine_setup *setup) {
  *engine = (bench_engine){.kind = kind, .rss_growth_kib = -1};
  if (engine_is_apart(kind)) {
    rivals_open(engine, setup);
    return BENCH_OK;
  }
  int code = engine_is_rival(kind) ? open_unfused(engine, setup) : open_library(engine, setup);
  return code == BENCH_OK && engine->skipped[0] == '\0' ? call_first(engine) : code;
}

int engine_time(bench_engine *engine, int64_t calls, double *seconds) {
  if (engine->peer != NULL) return rivals_time(engine, calls, seconds);
  int code = engine->first_seconds < BENCH_SHORT_CALL ? call(engine) : BENCH_OK;
  double start = bench_seconds();
  for (int64_t c = 0; c < calls && code == BENCH_OK; c++) code = call(engine);
  *seconds = bench_seconds() - start;
  return code;
}

void engine_close(bench_engine *engine) {
  attn_destroy(engine->context);
  unfused_close(&engine->unfused);
  peer_close(engine->peer);
}
