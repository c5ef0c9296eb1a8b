/* api.c - every exported function: check, resolve, run.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "attn/attn.h"
#include "base.h"
#include "check.h"
#include "context.h"
#include "linear.h"
#include "local.h"
#include "merge.h"
#include "plan.h"
#include "problem.h"
#include "resolve.h"
#include "self.h"
#include "softmax.h"
#include "tiled.h"

enum { MOST_THREADS = 1024 };

/* The sentence of a failure that has no context to keep it. */
static _Thread_local char thread_error[ATTN__SENTENCE_SIZE];

#define STRING_OF(x) #x
#define STRING(x)    STRING_OF(x)

int32_t attn_version(void) {
  return ATTN_VERSION_MAJOR * 10000 + ATTN_VERSION_MINOR * 100 + ATTN_VERSION_PATCH;
}

const char *attn_version_text(void) {
  return STRING(ATTN_VERSION_MAJOR) "." STRING(ATTN_VERSION_MINOR) "." STRING(ATTN_VERSION_PATCH);
}

const char *attn_status_text(int32_t status) {
  static const char *const names[] = {
      [ATTN_OK] = "success",
      [ATTN_ERROR_ARGUMENT] = "invalid argument",
      [ATTN_ERROR_MEMORY] = "out of memory",
      [ATTN_ERROR_UNSUPPORTED] = "not supported here",
      [ATTN_ERROR_BUSY] = "context is busy",
  };
  if (status < 0 || status >= (int32_t)(sizeof names / sizeof names[0])) return "unknown status";
  return names[status];
}

const char *attn_last_error(const attn_context *context) {
  return context ? context->error : thread_error;
}

/* The cap of the environment variable ATTN_ISA, ATTN_ISA_AUTO where it is not set; -1 if it is no word. */
static int32_t environment_isa(const char **word) {
  *word = getenv("ATTN_ISA");
  if (!*word || !**word) return ATTN_ISA_AUTO;
  int32_t isa = attn__cpu_isa_from_name(*word);
  return isa ? isa : -1;
}

/* The engine of the environment variable ATTN_ENGINE, ATTN_ENGINE_AUTO where it is not set; -1 if it is no
 * word. */
static int32_t environment_engine(const char **word) {
  static const char *const names[] = {
      [ATTN_ENGINE_AUTO] = "auto", [ATTN_ENGINE_BLAS] = "blas", [ATTN_ENGINE_BUILTIN] = "builtin"};
  *word = getenv("ATTN_ENGINE");
  if (!*word || !**word) return ATTN_ENGINE_AUTO;
  for (int32_t engine = ATTN_ENGINE_AUTO; engine <= ATTN_ENGINE_BUILTIN; engine++)
    if (strcmp(*word, names[engine]) == 0) return engine;
  return -1;
}

/* Checks the options and fills in the defaults. */
static int32_t resolve_options(const attn__check *check, attn_options *options) {
  const char *word;
  const int32_t isa = environment_isa(&word);
  if (isa < 0)
    return attn__check_fail(check, "ATTN_ISA: expected reference, avx2, avx512, neon or amx, got \"%.64s\"",
                            word);
  const int32_t engine = environment_engine(&word);
  if (engine < 0)
    return attn__check_fail(check, "ATTN_ENGINE: expected auto, blas or builtin, got \"%.64s\"", word);
  if (!attn__check_range(check, "threads", options->threads, 0, MOST_THREADS)) return 0;
  if (!attn__check_range(check, "engine", options->engine, ATTN_ENGINE_AUTO, ATTN_ENGINE_BUILTIN)) return 0;
  if (!attn__check_range(check, "isa", options->isa, ATTN_ISA_AUTO, ATTN_ISA_AMX)) return 0;
  if (!attn__check_range(check, "reserved", options->reserved, 0, 0)) return 0;
  if (!attn__check_range(check, "wipe", options->wipe, 0, 1)) return 0;
  if (!attn__check_range(check, "reserved_2", options->reserved_2, 0, 0)) return 0;
  if (!options->allocate != !options->deallocate)
    return attn__check_fail(check, "%s: expected allocate and deallocate or neither, got NULL for this one",
                            options->allocate ? "deallocate" : "allocate");
  if (options->engine == ATTN_ENGINE_AUTO) options->engine = engine;
  if (options->threads == 0) options->threads = attn__cpu_count();
  int32_t level = attn__cpu_isa();
  if (options->isa && options->isa < level) level = options->isa;
  if (isa && isa < level) level = isa;
  options->isa = level;
  return 1;
}

int32_t attn_create(attn_context **context, const attn_options *given) {
  const attn__check check = {thread_error};
  attn_options options = {0};
  thread_error[0] = '\0';
  if (!context) {
    attn__check_fail(&check, "context: expected a pointer to set, got NULL");
    return ATTN_ERROR_ARGUMENT;
  }
  *context = NULL;
  if (given && !attn__check_struct(&check, "options", given, &options, sizeof options))
    return ATTN_ERROR_ARGUMENT;
  if (!resolve_options(&check, &options)) return ATTN_ERROR_ARGUMENT;
  if (options.engine == ATTN_ENGINE_BLAS && !attn__blas_present()) {
    attn__check_fail(&check, "engine: expected auto or builtin, as this build has no BLAS, got blas");
    return ATTN_ERROR_UNSUPPORTED;
  }
  const int host_errno = errno;
  const int32_t status = attn__context_create(context, &options, thread_error);
  errno = host_errno;
  return status;
}

/* A call begins: ATTN_OK, and end must follow; or why it cannot. */
static int32_t begin(attn_context *context) {
  if (!context) {
    attn__check_fail(&(attn__check){thread_error}, "context: expected one made by attn_create, got NULL");
    return ATTN_ERROR_ARGUMENT;
  }
  if (atomic_flag_test_and_set_explicit(&context->busy, memory_order_acquire)) return ATTN_ERROR_BUSY;
  context->error[0] = '\0';
  context->host_errno = errno; /* which libm and the host's hooks may set */
  return ATTN_OK;
}

static int32_t end(attn_context *context, int32_t status) {
  errno = context->host_errno;
  atomic_flag_clear_explicit(&context->busy, memory_order_release);
  return status;
}

/* What a call on these arguments needs beyond them. */
static uint64_t scratch_bytes(const attn_context *context, const attn__problem *problem,
                              const attn__plan *plan) {
  if (plan->empty) return 0;
  return attn__plan_scratch(plan) + attn__local_scratch(context, problem);
}

/* The context's scratch; NULL and a sentence if it cannot be had. */
static char *take_scratch(attn_context *context, uint64_t bytes) {
  static char nothing[1];
  char *scratch = bytes > 0 ? attn__context_scratch(context, bytes) : nothing;
  if (!scratch)
    attn__check_fail(&(attn__check){context->error},
                     "memory: the allocator has none for %" PRIu64 " bytes of scratch", bytes);
  return scratch;
}

/* Attention in scratch that is large enough. */
static void attend(attn_context *context, attn__problem *problem, const attn__plan *plan, char *scratch) {
  if (!plan->empty && problem->predict_matrix)
    attn__local_predict(context, problem, scratch + attn__plan_scratch(plan));
  attn__tiled_run(context, problem, plan, scratch);
}

static int32_t run(attn_context *context, attn__problem *problem) {
  if (!attn__resolve_apart(&(attn__check){context->error}, problem)) return ATTN_ERROR_ARGUMENT;
  const attn__plan plan = attn__plan_make(problem, &context->engine, attn__context_strands(context));
  char *scratch = take_scratch(context, scratch_bytes(context, problem, &plan));
  if (!scratch) return ATTN_ERROR_MEMORY;
  attend(context, problem, &plan, scratch);
  return ATTN_OK;
}

int32_t attn_global(attn_context *context, const attn_args *args) {
  int32_t status = begin(context);
  if (status != ATTN_OK) return status;
  const attn__check check = {context->error};
  attn__problem problem;
  if (!attn__resolve_args(&check, args, &problem)) return end(context, ATTN_ERROR_ARGUMENT);
  if (problem.centers.data || problem.predict_matrix) {
    attn__check_fail(&check, "%s: expected NULL, as only attn_local takes it, got a pointer",
                     problem.centers.data ? "centers" : "predict_matrix");
    return end(context, ATTN_ERROR_ARGUMENT);
  }
  return end(context, run(context, &problem));
}

int32_t attn_local(attn_context *context, const attn_args *args) {
  int32_t status = begin(context);
  if (status != ATTN_OK) return status;
  const attn__check check = {context->error};
  attn__problem problem;
  if (!attn__resolve_args(&check, args, &problem)) return end(context, ATTN_ERROR_ARGUMENT);
  if (!problem.has_window) {
    attn__check_fail(&check, "has_window: expected 1, as attn_local needs a window, got 0");
    return end(context, ATTN_ERROR_ARGUMENT);
  }
  return end(context, run(context, &problem));
}

/* How a layer will be computed. */
typedef struct layer_plan {
  attn__plan attention;
  attn__self_layout scratch; /* of a layer without rows: of 0 bytes */
} layer_plan;

/* From the caller's layer to a plan. */
static int32_t plan_layer(attn_context *context, const attn_self_args *args, attn__self_problem *self,
                          layer_plan *plan) {
  const attn__check check = {context->error};
  *plan = (layer_plan){.attention = {.empty = 1}};
  if (!attn__resolve_self(&check, args, self)) return 0;
  const attn__problem *attention = &self->attention;
  if (attention->batch == 0 || attention->len_q == 0) return 1;
  attn__self_arrange(self);
  const int64_t strands = attn__context_strands(context);
  plan->attention = attn__plan_make(attention, &context->engine, strands);
  uint64_t steps = scratch_bytes(context, attention, &plan->attention);
  const uint64_t linear = attn__linear_scratch(&context->engine, strands);
  if (steps < linear) steps = linear;
  return attn__self_lay_out(self, steps, &plan->scratch) ||
         attn__check_fail(
             &check,
             "attention: expected queries, keys and values that memory can hold, got batch %" PRId64
             ", len_q %" PRId64 ", heads_q %" PRId64 ", heads_kv %" PRId64,
             attention->batch, attention->len_q, attention->heads_q, attention->heads_kv);
}

int32_t attn_self(attn_context *context, const attn_self_args *args) {
  int32_t status = begin(context);
  if (status != ATTN_OK) return status;
  attn__self_problem self;
  layer_plan plan;
  if (!plan_layer(context, args, &self, &plan) ||
      !attn__resolve_self_apart(&(attn__check){context->error}, &self))
    return end(context, ATTN_ERROR_ARGUMENT);
  const attn__self_layout *layout = &plan.scratch;
  if (layout->bytes == 0) return end(context, ATTN_OK);
  char *scratch = take_scratch(context, (uint64_t)layout->bytes);
  if (!scratch) return end(context, ATTN_ERROR_MEMORY);
  attn__self_project(context, &self, layout, scratch);
  attend(context, &self.attention, &plan.attention, scratch + layout->strands);
  attn__self_finish(context, &self, layout, scratch);
  return end(context, ATTN_OK);
}

/* Fills the caller's struct but for its size: what it has no room for is left out, what is unknown here
 * becomes zero. */
static void hand_out(void *out, const void *filled, uint64_t known) {
  const uint64_t head = sizeof(uint64_t);
  uint64_t size;
  memcpy(&size, out, sizeof size);
  memset((char *)out + head, 0, size - head);
  memcpy((char *)out + head, (const char *)filled + head, (size < known ? size : known) - head);
}

/* Tells the caller of a plan that needs so much scratch. */
static void hand_out_plan(const attn_context *context, const attn__plan *plan, uint64_t scratch,
                          attn_plan *out) {
  const attn_plan filled = (attn_plan){.scratch_bytes = scratch,
                                       .threads = attn__max(plan->strands, 1),
                                       .tasks = plan->tasks,
                                       .tile_q = plan->tile_q * plan->tile_heads,
                                       .tile_k = plan->tile_k,
                                       .path = plan->empty ? "empty" : "tiled",
                                       .engine = context->engine.name};
  hand_out(out, &filled, sizeof filled);
}

int32_t attn_explain(attn_context *context, const attn_args *args, attn_plan *out) {
  int32_t status = begin(context);
  if (status != ATTN_OK) return status;
  const attn__check check = {context->error};
  attn__problem problem;
  if (!attn__check_results(&check, "plan", out, sizeof *out) || !attn__resolve_args(&check, args, &problem))
    return end(context, ATTN_ERROR_ARGUMENT);
  const attn__plan plan = attn__plan_make(&problem, &context->engine, attn__context_strands(context));
  hand_out_plan(context, &plan, scratch_bytes(context, &problem, &plan), out);
  return end(context, ATTN_OK);
}

int32_t attn_explain_self(attn_context *context, const attn_self_args *args, attn_plan *out) {
  int32_t status = begin(context);
  if (status != ATTN_OK) return status;
  const attn__check check = {context->error};
  attn__self_problem self;
  layer_plan plan;
  if (!attn__check_results(&check, "plan", out, sizeof *out) || !plan_layer(context, args, &self, &plan))
    return end(context, ATTN_ERROR_ARGUMENT);
  hand_out_plan(context, &plan.attention, (uint64_t)plan.scratch.bytes, out);
  return end(context, ATTN_OK);
}

static const attn__pointer softmax_pointers[] = {
    ATTN__POINTER(attn_softmax_args, input),
    ATTN__POINTER(attn_softmax_args, output),
    ATTN__POINTER(attn_softmax_args, lse),
};

/* A row stride as given, 0 meaning dense: at least cols, and the whole can be counted. */
static int32_t resolve_row_stride(const attn__check *check, const char *name, const attn_softmax_args *args,
                                  int64_t *stride) {
  int64_t numbers;
  if (*stride == 0) *stride = args->cols;
  if (!attn__check_range(check, name, *stride, args->cols, INT64_MAX)) return 0;
  if (!attn__multiply(*stride, args->rows, &numbers) || numbers > INT64_MAX / 8)
    return attn__check_fail(
        check, "%s: expected an array that memory can hold, got %" PRId64 " for %" PRId64 " rows", name,
        *stride, args->rows);
  return 1;
}

/* Neither output overlaps the input or the other one; but the output may be the input. */
static int32_t softmax_apart(const attn__check *check, const attn_softmax_args *args) {
  const attn__array input = {"input", args->input, NULL, 1, 1, args->rows, args->cols, 0};
  const attn__array output = {"output", args->output, NULL, 1, 1, args->rows, args->cols, 1};
  const attn__array lse = {"lse", args->lse, NULL, 1, 1, args->rows, 1, 1};
  attn__span spans[3];
  int32_t count = attn__check_span(spans, 0, &output, &(attn__strides){0, 0, args->output_stride});
  count = attn__check_span(spans, count, &lse, &(attn__strides){0, 0, 1});
  if (args->input != args->output)
    count = attn__check_span(spans, count, &input, &(attn__strides){0, 0, args->input_stride});
  return attn__check_apart(check, spans, count);
}

static int32_t resolve_softmax(const attn__check *check, const attn_softmax_args *given,
                               attn__softmax_problem *problem) {
  attn_softmax_args args;
  if (!attn__check_struct(check, "args", given, &args, sizeof args)) return 0;
  if (!attn__check_pointers(check, &args, softmax_pointers,
                            sizeof softmax_pointers / sizeof *softmax_pointers))
    return 0;
  if (!attn__check_range(check, "rows", args.rows, 0, args.lse ? INT64_MAX / 8 : INT64_MAX)) return 0;
  if (!attn__check_range(check, "cols", args.cols, 0, INT64_MAX)) return 0;
  if (!attn__check_scale(check, args.has_scale, args.scale)) return 0;
  if (!resolve_row_stride(check, "input_stride", &args, &args.input_stride)) return 0;
  if (!resolve_row_stride(check, "output_stride", &args, &args.output_stride)) return 0;
  const int32_t empty = args.rows == 0 || args.cols == 0;
  if (!empty && !args.input)
    return attn__check_fail(check, "input: expected a pointer to an array, got NULL");
  if (!empty && !args.output)
    return attn__check_fail(check, "output: expected a pointer to an array, got NULL");
  if (!empty && args.input == args.output && args.rows > 1 && args.input_stride != args.output_stride)
    return attn__check_fail(check,
                            "output_stride: expected that of the input, which is the same array: %" PRId64
                            ", got %" PRId64,
                            args.input_stride, args.output_stride);
  if (!softmax_apart(check, &args)) return 0;
  *problem = (attn__softmax_problem){args.rows,
                                     args.cols,
                                     args.input,
                                     args.output,
                                     args.input_stride,
                                     args.output_stride,
                                     args.has_scale ? args.scale : 1,
                                     args.lse};
  return 1;
}

int32_t attn_softmax(attn_context *context, const attn_softmax_args *args) {
  int32_t status = begin(context);
  if (status != ATTN_OK) return status;
  const attn__check check = {context->error};
  attn__softmax_problem problem;
  if (!resolve_softmax(&check, args, &problem)) return end(context, ATTN_ERROR_ARGUMENT);
  attn__softmax_run(context, &problem);
  return end(context, ATTN_OK);
}

int32_t attn_describe(const attn_context *context, attn_info *out) {
  const attn__check check = {thread_error};
  thread_error[0] = '\0';
  if (!context) attn__check_fail(&check, "context: expected one made by attn_create, got NULL");
  if (!context || !attn__check_results(&check, "info", out, sizeof *out)) return ATTN_ERROR_ARGUMENT;
  const attn_info filled = {.threads = context->options.threads,
                            .cpu = context->cpu,
                            .cpu_isa = attn__cpu_isa_name(attn__cpu_isa()),
                            .isa = context->kernels->name,
                            .engine = context->engine.name,
                            .blas = context->blas.name,
                            .blas_flavor = context->blas.flavor,
                            .blas_core = context->blas.core,
                            .warning = context->warning};
  hand_out(out, &filled, sizeof filled);
  return ATTN_OK;
}

const char *attn_description(const attn_context *context) {
  return context ? context->description : "";
}

static const attn__pointer merge_pointers[] = {
    ATTN__POINTER(attn_merge_args, outputs),
    ATTN__POINTER(attn_merge_args, lses),
    ATTN__POINTER(attn_merge_args, outputs_strides),
    ATTN__POINTER(attn_merge_args, lses_strides),
    ATTN__POINTER(attn_merge_args, output),
    ATTN__POINTER(attn_merge_args, output_strides),
    ATTN__POINTER(attn_merge_args, lse),
    ATTN__POINTER(attn_merge_args, lse_strides),
};

/* The arrays of one kind that every part has: the list, and each array by its shape. */
static int32_t resolve_parts(const attn__check *check, const attn__array *shape, const float *const *arrays,
                             int64_t parts, attn__strides *strides) {
  attn__array array = *shape;
  if (!arrays) return attn__check_fail(check, "%s: expected a pointer to pointers, got NULL", array.name);
  for (int64_t part = 0; part < parts; part++) {
    array.data = arrays[part];
    if ((uintptr_t)array.data % sizeof(float))
      return attn__check_fail(check, "%s: expected pointers to a multiple of %zu bytes, got another",
                              array.name, sizeof(float));
    if (!attn__check_array(check, &array, strides)) return 0;
  }
  return 1;
}

/* 1 if an output is the same array as one of the parts, of the same shape. */
static int32_t same_array(const attn__array *output, const attn__strides *strides, const attn__array *part,
                          const attn__strides *part_strides) {
  return output->data == part->data && (output->batch < 2 || strides->batch == part_strides->batch) &&
         (output->heads < 2 || strides->head == part_strides->head) &&
         (output->rows < 2 || strides->row == part_strides->row);
}

/* Neither output overlaps a part or the other output; but each may be one of the parts. */
static int32_t merge_apart(const attn__check *check, const attn__merge_problem *problem,
                           const attn__array *output, const attn__array *lse) {
  attn__array part_output = *output, part_lse = *lse;
  part_output.name = "outputs";
  part_lse.name = "lses";
  part_output.is_output = part_lse.is_output = 0;
  for (int64_t part = 0; part < problem->parts; part++) {
    attn__span spans[4];
    int32_t count = attn__check_span(spans, 0, output, &problem->output.strides);
    count = attn__check_span(spans, count, lse, &problem->lse.strides);
    part_output.data = problem->outputs[part];
    part_lse.data = problem->lses[part];
    if (!same_array(output, &problem->output.strides, &part_output, &problem->outputs_strides))
      count = attn__check_span(spans, count, &part_output, &problem->outputs_strides);
    if (!same_array(lse, &problem->lse.strides, &part_lse, &problem->lses_strides))
      count = attn__check_span(spans, count, &part_lse, &problem->lses_strides);
    if (!attn__check_apart(check, spans, count)) return 0;
  }
  return 1;
}

static int32_t resolve_merge(const attn__check *check, const attn_merge_args *given,
                             attn__merge_problem *problem) {
  attn_merge_args args;
  if (!attn__check_struct(check, "args", given, &args, sizeof args)) return 0;
  if (!attn__check_pointers(check, &args, merge_pointers, sizeof merge_pointers / sizeof *merge_pointers))
    return 0;
  if (!attn__check_range(check, "parts", args.parts, 1, INT32_MAX)) return 0;
  if (!attn__check_range(check, "batch", args.batch, 0, INT64_MAX)) return 0;
  if (!attn__check_range(check, "heads", args.heads, 0, INT64_MAX)) return 0;
  if (!attn__check_range(check, "len_q", args.len_q, 0, INT64_MAX)) return 0;
  if (!attn__check_range(check, "dim_v", args.dim_v, 1, INT32_MAX)) return 0;
  const int64_t b = args.batch, h = args.heads, n = args.len_q;
  *problem = (attn__merge_problem){.parts = args.parts,
                                   .batch = b,
                                   .heads = h,
                                   .len_q = n,
                                   .dim_v = args.dim_v,
                                   .outputs = args.outputs,
                                   .lses = args.lses};
  problem->output.data = args.output;
  problem->lse.data = args.lse;
  const attn__array outputs = {"outputs", NULL, args.outputs_strides, b, h, n, args.dim_v, 0};
  const attn__array lses = {"lses", NULL, args.lses_strides, b, h, n, 1, 0};
  const attn__array output = {"output", args.output, args.output_strides, b, h, n, args.dim_v, 1};
  const attn__array lse = {"lse", args.lse, args.lse_strides, b, h, n, 1, 1};
  return resolve_parts(check, &outputs, args.outputs, args.parts, &problem->outputs_strides) &&
         resolve_parts(check, &lses, args.lses, args.parts, &problem->lses_strides) &&
         attn__check_array(check, &output, &problem->output.strides) &&
         (!args.lse || attn__check_array(check, &lse, &problem->lse.strides)) &&
         merge_apart(check, problem, &output, &lse);
}

int32_t attn_merge(attn_context *context, const attn_merge_args *args) {
  int32_t status = begin(context);
  if (status != ATTN_OK) return status;
  const attn__check check = {context->error};
  attn__merge_problem problem;
  if (!resolve_merge(&check, args, &problem)) return end(context, ATTN_ERROR_ARGUMENT);
  attn__merge_run(context, &problem);
  return end(context, ATTN_OK);
}
