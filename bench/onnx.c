/* onnx.c - a rival: ONNX Runtime, through the C interface of its shared library, found at run time.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * It lives in a process of its own, which ends with it, so nothing is released here. */
#include "onnx.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Everything of ONNX Runtime is opaque here. Its interface is a table of functions whose order never
 * changes; these are the few that are called, at their places in it. A status of NULL is success. */
typedef void *ort_status;
typedef struct ort_api {
  void *skipped_0[2];
  const char *(*get_error_message)(ort_status status);
  ort_status (*create_env)(int log_level, const char *name, void **env);
  void *skipped_4[4];
  ort_status (*create_session_from_array)(void *env, const void *model, size_t size, void *options,
                                          void **session);
  ort_status (*run)(void *session, void *options, const char *const *input_names, void *const *inputs,
                    size_t input_count, const char *const *output_names, size_t output_count,
                    void **outputs);
  ort_status (*create_session_options)(void **options);
  void *skipped_11[13];
  ort_status (*set_intra_op_num_threads)(void *options, int threads);
  void *skipped_25[24];
  ort_status (*create_tensor_with_data)(void *memory, void *data, size_t bytes, const int64_t *dims,
                                        size_t rank, int type, void **tensor);
  void *skipped_50[19];
  ort_status (*create_cpu_memory_info)(int allocator, int kind, void **memory);
} ort_api;

typedef struct ort_api_base {
  const ort_api *(*get_api)(uint32_t version);
  const char *(*get_version)(void);
} ort_api_base;

enum { API_VERSION = 14, LOG_FATAL = 4, DEVICE_ALLOCATOR = 0, MEMORY_DEFAULT = 0, ALIGNMENT = 64 };

struct bench_onnx {
  const bench_shape *shape;
  const bench_inputs *inputs;
  const ort_api *api;
  bench_graph graph;
  void *env, *session, *memory;
  void *data_in[GRAPH_TENSORS_MAX], *data_out[GRAPH_TENSORS_MAX]; /* NULL for what is not given */
  size_t input_count;                                             /* of those that are */
  const char *input_names[GRAPH_TENSORS_MAX], *output_names[GRAPH_TENSORS_MAX];
  void *tensors_in[GRAPH_TENSORS_MAX], *tensors_out[GRAPH_TENSORS_MAX];
  char how[ONNX_TEXT_SIZE];
};

/* Is it a success? Says why not. */
static int check(const bench_onnx *onnx, ort_status status, char *text) {
  if (status != NULL) snprintf(text, ONNX_TEXT_SIZE, "%s", onnx->api->get_error_message(status));
  return status == NULL;
}

static int load(bench_onnx *onnx, const char *library, char *text) {
  const ort_api_base *(*get_base)(void);
  void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  void *symbol = handle != NULL ? dlsym(handle, "OrtGetApiBase") : NULL;
  if (symbol == NULL) {
    snprintf(text, ONNX_TEXT_SIZE, "%s", dlerror());
    return 0;
  }
  memcpy(&get_base, &symbol, sizeof get_base);
  onnx->api = get_base()->get_api(API_VERSION);
  snprintf(onnx->how, sizeof onnx->how, "%s %s", get_base()->get_version(), onnx->graph.title);
  if (onnx->api == NULL) snprintf(text, ONNX_TEXT_SIZE, "%s: too old", library);
  return onnx->api != NULL;
}

static int open_session(bench_onnx *onnx, int threads, char *text) {
  const ort_api *api = onnx->api;
  void *options;
  proto_message model = graph_encode(&onnx->graph);
  int opened =
      check(onnx, api->create_env(LOG_FATAL, "attn-bench", &onnx->env), text) &&
      check(onnx, api->create_session_options(&options), text) &&
      check(onnx, api->set_intra_op_num_threads(options, threads), text) &&
      check(onnx,
            api->create_session_from_array(onnx->env, model.bytes, model.size, options, &onnx->session),
            text) &&
      check(onnx, api->create_cpu_memory_info(DEVICE_ALLOCATOR, MEMORY_DEFAULT, &onnx->memory), text);
  proto_free(&model);
  return opened;
}

static size_t bytes_of(const graph_tensor *tensor) {
  size_t bytes = 4; /* of a float or an int32 */
  for (int d = 0; d < tensor->rank; d++) bytes *= (size_t)tensor->dims[d];
  return bytes;
}

/* Copies rows between (B, H, N, D) and a tensor's own order, into the tensor if to_tensor. */
static void copy_rows(const bench_shape *shape, const graph_tensor *tensor, float *array, float *data,
                      int to_tensor) {
  int is_query = tensor->holds == GRAPH_QUERY || tensor->holds == GRAPH_OUTPUT;
  int64_t heads = is_query ? shape->heads_q : shape->heads_kv, all = is_query ? shape->len_q : shape->len_k;
  size_t bytes = (size_t)shape->dim * sizeof(float);
  for (int64_t b = 0; b < shape->batch; b++)
    for (int64_t h = 0; h < heads; h++)
      for (int64_t n = 0; n < tensor->rows; n++) {
        int64_t row =
            tensor->rows_first ? (b * tensor->rows + n) * heads + h : (b * heads + h) * tensor->rows + n;
        float *ours = array + ((b * heads + h) * all + all - tensor->rows + n) * shape->dim;
        float *theirs = data + row * shape->dim;
        memcpy(to_tensor ? theirs : ours, to_tensor ? ours : theirs, bytes);
      }
}

static void fill(const bench_onnx *onnx, const graph_tensor *tensor, void *data) {
  const bench_shape *shape = onnx->shape;
  const bench_inputs *inputs = onnx->inputs;
  int32_t *numbers = data;
  switch (tensor->holds) {
  case GRAPH_QUERY:
    copy_rows(shape, tensor, inputs->query, data, 1);
    break;
  case GRAPH_KEY:
    copy_rows(shape, tensor, inputs->key, data, 1);
    break;
  case GRAPH_VALUE:
    copy_rows(shape, tensor, inputs->value, data, 1);
    break;
  case GRAPH_POSITION:
    for (int64_t b = 0; b < shape->batch; b++) numbers[b] = (int32_t)shape->len_k - 1;
    break;
  case GRAPH_LENGTH:
    *numbers = (int32_t)shape->len_k;
    break;
  default:
    memset(data, 0, bytes_of(tensor)); /* so that its pages are there */
  }
}

/* A tensor in new memory, or in that of *data if there is some. */
static void *make_tensor(const bench_onnx *onnx, const graph_tensor *tensor, void **data, char *text) {
  size_t bytes = bytes_of(tensor);
  void *made = NULL;
  if (*data == NULL) {
    *data = aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    if (*data == NULL) {
      snprintf(text, ONNX_TEXT_SIZE, "no memory for its arrays");
      return NULL;
    }
    fill(onnx, tensor, *data);
  }
  check(onnx,
        onnx->api->create_tensor_with_data(onnx->memory, *data, bytes, tensor->dims, (size_t)tensor->rank,
                                           tensor->type, &made),
        text);
  return made;
}

static int make_tensors(bench_onnx *onnx, char *text) {
  const bench_graph *made = &onnx->graph;
  for (size_t n = 0; n < made->input_count; n++) {
    const graph_tensor *tensor = &made->inputs[n];
    if (tensor->name[0] == '\0') continue;
    void *input = make_tensor(onnx, tensor, &onnx->data_in[n], text);
    if (input == NULL) return 0;
    onnx->input_names[onnx->input_count] = tensor->name;
    onnx->tensors_in[onnx->input_count++] = input;
  }
  for (size_t n = 0; n < made->output_count; n++) {
    const graph_tensor *tensor = &made->outputs[n];
    onnx->data_out[n] = tensor->shares > 0 ? onnx->data_in[tensor->shares] : NULL;
    onnx->output_names[n] = tensor->name;
    onnx->tensors_out[n] = make_tensor(onnx, tensor, &onnx->data_out[n], text);
    if (onnx->tensors_out[n] == NULL) return 0;
  }
  return 1;
}

bench_onnx *onnx_open(const onnx_setup *setup, char text[ONNX_TEXT_SIZE]) {
  bench_onnx *onnx = calloc(1, sizeof *onnx);
  if (onnx == NULL) {
    snprintf(text, ONNX_TEXT_SIZE, "no memory");
    return NULL;
  }
  onnx->shape = setup->shape;
  onnx->inputs = setup->inputs;
  if (!graph_make(&onnx->graph, setup->graph, setup->shape))
    snprintf(text, ONNX_TEXT_SIZE, "no graph of it says this shape");
  else if (load(onnx, setup->library, text) && open_session(onnx, setup->threads, text) &&
           make_tensors(onnx, text))
    return onnx;
  free(onnx);
  return NULL;
}

const char *onnx_how(const bench_onnx *onnx) {
  return onnx->how;
}

int onnx_call(bench_onnx *onnx, char text[ONNX_TEXT_SIZE]) {
  return check(onnx,
               onnx->api->run(onnx->session, NULL, onnx->input_names, onnx->tensors_in, onnx->input_count,
                              onnx->output_names, onnx->graph.output_count, onnx->tensors_out),
               text);
}

void onnx_fetch(const bench_onnx *onnx, float *output) {
  copy_rows(onnx->shape, &onnx->graph.outputs[0], output, onnx->data_out[0], 0);
}
