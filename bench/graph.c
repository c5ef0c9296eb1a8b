/* graph.c - attention as ONNX models of one node, for ONNX Runtime.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "graph.h"

static const int64_t ir_version = 10;

static void add_attribute(bench_graph *made, const char *name, int64_t value) {
  made->attributes[made->attribute_count].name = name;
  made->attributes[made->attribute_count++].value = value;
}

static void add_input(bench_graph *made, graph_tensor tensor) {
  made->inputs[made->input_count++] = tensor;
}

static void add_output(bench_graph *made, graph_tensor tensor) {
  made->outputs[made->output_count++] = tensor;
}

/* A float tensor (B, N, H D). */
static graph_tensor flat(const char *name, int holds, const bench_shape *shape, int64_t heads,
                         int64_t rows) {
  return (graph_tensor){.name = name,
                        .type = GRAPH_FLOAT,
                        .holds = holds,
                        .rank = 3,
                        .dims = {shape->batch, rows, heads * shape->dim},
                        .rows_first = 1,
                        .rows = rows};
}

/* A float tensor (B, H, N, D). */
static graph_tensor split(const char *name, int holds, const bench_shape *shape, int64_t heads,
                          int64_t rows) {
  return (graph_tensor){.name = name,
                        .type = GRAPH_FLOAT,
                        .holds = holds,
                        .rank = 4,
                        .dims = {shape->batch, heads, rows, shape->dim},
                        .rows = rows};
}

/* Does the shape say what "causal, the first query at the first key" or no rule at all says? */
static int is_plain(const bench_shape *shape) {
  return !shape->has_window && (!shape->causal || (shape->offset == 0 && shape->len_q == shape->len_k));
}

static int make_mha(bench_graph *made, const bench_shape *shape, int is_split) {
  if (!is_plain(shape) || shape->heads_q != shape->heads_kv) return 0;
  graph_tensor (*tensor)(const char *, int, const bench_shape *, int64_t, int64_t) =
      is_split ? split : flat;
  made->title = is_split ? "MHA 4D" : "MHA";
  made->node = "MultiHeadAttention";
  made->domain = "com.microsoft";
  made->opset = 1;
  add_input(made, flat("query", GRAPH_QUERY, shape, shape->heads_q, shape->len_q));
  add_input(made, tensor("key", GRAPH_KEY, shape, shape->heads_q, shape->len_k));
  add_input(made, tensor("value", GRAPH_VALUE, shape, shape->heads_q, shape->len_k));
  add_output(made, flat("output", GRAPH_OUTPUT, shape, shape->heads_q, shape->len_q));
  add_attribute(made, "num_heads", shape->heads_q);
  add_attribute(made, "unidirectional", shape->causal);
  return 1;
}

static int make_attention(bench_graph *made, const bench_shape *shape) {
  if (!is_plain(shape)) return 0;
  made->title = "Attention";
  made->node = "Attention";
  made->domain = "";
  made->opset = 23;
  add_input(made, split("Q", GRAPH_QUERY, shape, shape->heads_q, shape->len_q));
  add_input(made, split("K", GRAPH_KEY, shape, shape->heads_kv, shape->len_k));
  add_input(made, split("V", GRAPH_VALUE, shape, shape->heads_kv, shape->len_k));
  add_output(made, split("Y", GRAPH_OUTPUT, shape, shape->heads_q, shape->len_q));
  add_attribute(made, "is_causal", shape->causal);
  return 1;
}

/* The keys and values before the queries', in memory that also takes the new ones; or none. */
static void add_cache(bench_graph *made, const bench_shape *shape, const char *name, int holds) {
  if (shape->len_k == shape->len_q)
    add_input(made, (graph_tensor){.name = ""});
  else
    add_input(made, split(name, holds, shape, shape->heads_kv, shape->len_k));
}

static void add_new_cache(bench_graph *made, const bench_shape *shape, const char *name, int past) {
  graph_tensor tensor = split(name, GRAPH_OUTPUT, shape, shape->heads_kv, shape->len_k);
  tensor.shares = shape->len_k == shape->len_q ? 0 : past;
  add_output(made, tensor);
}

static void add_gqa_attributes(bench_graph *made, const bench_shape *shape, int is_causal) {
  add_attribute(made, "num_heads", shape->heads_q);
  add_attribute(made, "kv_num_heads", shape->heads_kv);
  if (!is_causal) add_attribute(made, "causal", 0);
  if (shape->has_window)
    add_attribute(made, "local_window_size", shape->left + 1); /* the query's key counts */
}

/* Causal, the last query at the last key, as in generating text; a window to the left. */
static int make_gqa(bench_graph *made, const bench_shape *shape) {
  int sees_all = !shape->causal && !shape->has_window;
  int is_causal = shape->causal || shape->len_q == 1;
  int is_aligned = shape->offset == shape->len_k - shape->len_q;
  if (shape->len_q > shape->len_k || !(sees_all || (shape->causal && is_aligned))) return 0;
  if (!is_causal && shape->len_q != shape->len_k) return 0;
  if (shape->has_window && shape->left < 0) return 0;
  made->title = "GQA";
  made->node = "GroupQueryAttention";
  made->domain = "com.microsoft";
  made->opset = 1;
  add_input(made, flat("query", GRAPH_QUERY, shape, shape->heads_q, shape->len_q));
  add_input(made, flat("key", GRAPH_KEY, shape, shape->heads_kv, shape->len_q));
  add_input(made, flat("value", GRAPH_VALUE, shape, shape->heads_kv, shape->len_q));
  add_cache(made, shape, "past_key", GRAPH_KEY);
  add_cache(made, shape, "past_value", GRAPH_VALUE);
  add_input(made, (graph_tensor){"seqlens_k", GRAPH_INT32, GRAPH_POSITION, 1, {shape->batch}, 0, 0, 0});
  add_input(made, (graph_tensor){"total_sequence_length", GRAPH_INT32, GRAPH_LENGTH, 0, {0}, 0, 0, 0});
  add_output(made, flat("output", GRAPH_OUTPUT, shape, shape->heads_q, shape->len_q));
  add_new_cache(made, shape, "present_key", 3);
  add_new_cache(made, shape, "present_value", 4);
  add_gqa_attributes(made, shape, is_causal);
  return 1;
}

int graph_make(bench_graph *made, int kind, const bench_shape *shape) {
  *made = (bench_graph){0};
  if (kind == GRAPH_GQA) return make_gqa(made, shape);
  if (kind == GRAPH_ATTENTION) return make_attention(made, shape);
  return make_mha(made, shape, kind == GRAPH_MHA_SPLIT);
}

/* The messages of onnx.proto, with the numbers of their fields. */

static proto_message encode_value(const graph_tensor *tensor) { /* ValueInfoProto */
  enum { VALUE_NAME = 1, VALUE_TYPE = 2, TYPE_TENSOR = 1, TENSOR_TYPE = 1, TENSOR_SHAPE = 2 };
  enum { SHAPE_DIM = 1, DIM_VALUE = 1 };
  proto_message value = {0}, type = {0}, array = {0}, shape = {0};
  for (int d = 0; d < tensor->rank; d++) {
    proto_message dim = {0};
    proto_number(&dim, DIM_VALUE, tensor->dims[d]);
    proto_embed(&shape, SHAPE_DIM, &dim);
  }
  proto_number(&array, TENSOR_TYPE, tensor->type);
  proto_embed(&array, TENSOR_SHAPE, &shape);
  proto_embed(&type, TYPE_TENSOR, &array);
  proto_text(&value, VALUE_NAME, tensor->name);
  proto_embed(&value, VALUE_TYPE, &type);
  return value;
}

static proto_message encode_node(const bench_graph *encoded) { /* NodeProto */
  enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_TYPE = 4, NODE_ATTRIBUTE = 5, NODE_DOMAIN = 7 };
  enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_INT = 3, ATTRIBUTE_TYPE = 20, TYPE_INT = 2 };
  proto_message node = {0};
  for (size_t n = 0; n < encoded->input_count; n++) proto_text(&node, NODE_INPUT, encoded->inputs[n].name);
  for (size_t n = 0; n < encoded->output_count; n++)
    proto_text(&node, NODE_OUTPUT, encoded->outputs[n].name);
  proto_text(&node, NODE_TYPE, encoded->node);
  for (size_t n = 0; n < encoded->attribute_count; n++) {
    proto_message attribute = {0};
    proto_text(&attribute, ATTRIBUTE_NAME, encoded->attributes[n].name);
    proto_number(&attribute, ATTRIBUTE_INT, encoded->attributes[n].value);
    proto_number(&attribute, ATTRIBUTE_TYPE, TYPE_INT);
    proto_embed(&node, NODE_ATTRIBUTE, &attribute);
  }
  proto_text(&node, NODE_DOMAIN, encoded->domain);
  return node;
}

static proto_message encode_opset(const char *domain, int64_t version) { /* OperatorSetIdProto */
  enum { OPSET_DOMAIN = 1, OPSET_VERSION = 2 };
  proto_message opset = {0};
  proto_text(&opset, OPSET_DOMAIN, domain);
  proto_number(&opset, OPSET_VERSION, version);
  return opset;
}

proto_message graph_encode(const bench_graph *encoded) { /* ModelProto, GraphProto */
  enum { MODEL_IR_VERSION = 1, MODEL_GRAPH = 7, MODEL_OPSET = 8 };
  enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_VALUE_IN = 11, GRAPH_VALUE_OUT = 12 };
  proto_message model = {0}, inner = {0}, part = encode_node(encoded);
  proto_embed(&inner, GRAPH_NODE, &part);
  proto_text(&inner, GRAPH_NAME, encoded->node);
  for (size_t n = 0; n < encoded->input_count; n++) {
    if (encoded->inputs[n].name[0] == '\0') continue;
    part = encode_value(&encoded->inputs[n]);
    proto_embed(&inner, GRAPH_VALUE_IN, &part);
  }
  for (size_t n = 0; n < encoded->output_count; n++) {
    part = encode_value(&encoded->outputs[n]);
    proto_embed(&inner, GRAPH_VALUE_OUT, &part);
  }
  proto_number(&model, MODEL_IR_VERSION, ir_version);
  proto_embed(&model, MODEL_GRAPH, &inner);
  part = encode_opset(encoded->domain, encoded->opset);
  proto_embed(&model, MODEL_OPSET, &part);
  if (encoded->domain[0] != '\0') { /* every model names a version of ONNX's own */
    part = encode_opset("", 17);
    proto_embed(&model, MODEL_OPSET, &part);
  }
  return model;
}
