/* graph.h - attention as ONNX models of one node, for ONNX Runtime.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_GRAPH_H
#define BENCH_GRAPH_H

#include "proto.h"
#include "shapes.h"

/* The nodes: two ways to feed MultiHeadAttention, GroupQueryAttention (both of com.microsoft), and ONNX's own
 * Attention. */
enum { GRAPH_MHA, GRAPH_MHA_SPLIT, GRAPH_GQA, GRAPH_ATTENTION, GRAPH_COUNT };

enum { GRAPH_FLOAT = 1, GRAPH_INT32 = 6 }; /* types of elements, as ONNX and ONNX Runtime number them */
enum { GRAPH_RANK_MAX = 4, GRAPH_TENSORS_MAX = 7, GRAPH_ATTRIBUTES_MAX = 5 };

/* What a tensor holds. */
enum {
  GRAPH_OUTPUT, /* what the node writes */
  GRAPH_QUERY,  /* of the shape's arrays, all rows or the last ones */
  GRAPH_KEY,
  GRAPH_VALUE,
  GRAPH_POSITION, /* the last key's, for each batch entry */
  GRAPH_LENGTH    /* how many keys there are */
};

typedef struct graph_tensor {
  const char *name; /* "": an optional input that is not given */
  int type, holds;
  int rank;
  int64_t dims[GRAPH_RANK_MAX];
  int rows_first; /* 1: (B, N, H, D) in memory, else (B, H, N, D) */
  int64_t rows;   /* N: the last so many rows */
  int shares;     /* an output in the memory of this input; 0: in its own */
} graph_tensor;

typedef struct bench_graph {
  const char *title; /* for people */
  const char *node, *domain;
  int64_t opset; /* of the domain */
  size_t input_count, output_count, attribute_count;
  graph_tensor inputs[GRAPH_TENSORS_MAX], outputs[GRAPH_TENSORS_MAX]; /* outputs[0] is the result */
  struct {
    const char *name;
    int64_t value;
  } attributes[GRAPH_ATTRIBUTES_MAX];
} bench_graph;

/* graph_make - the graph of that kind for a shape; 0 if the node cannot say the shape. */
int graph_make(bench_graph *made, int kind, const bench_shape *shape);

/* graph_encode - the ONNX model. */
proto_message graph_encode(const bench_graph *encoded);

#endif
