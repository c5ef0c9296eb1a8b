/* test_graph.c - the bench's ONNX models: their bytes, and which shapes which node can say.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "bench.h"
#include "graph.h"
#include "proto.h"

static void check_bytes(proto_message *message, const char *expected, size_t size) {
  assert_int_equal(message->failed, 0);
  assert_int_equal(message->size, size);
  assert_memory_equal(message->bytes, expected, size);
}

/* The examples of the page that defines the encoding. */
static void test_fields_are_encoded_as_the_format_says(void **state) {
  (void)state;
  proto_message message = {0}, inner = {0};
  proto_number(&message, 1, 150);
  check_bytes(&message, "\x08\x96\x01", 3);
  proto_free(&message);
  proto_text(&message, 2, "testing");
  check_bytes(&message, "\x12\x07testing", 9);
  proto_free(&message);
  proto_number(&inner, 1, 150);
  proto_embed(&message, 3, &inner);
  check_bytes(&message, "\x1a\x03\x08\x96\x01", 5);
  assert_null(inner.bytes);
  proto_free(&message);
  proto_number(&message, 20, -2);
  check_bytes(&message, "\xa0\x01\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12);
  proto_free(&message);
}

static void test_a_model_is_complete(void **state) {
  (void)state;
  bench_shape shape;
  bench_graph made;
  assert_int_equal(shape_parse("x", "1:1:1:2:3:4:0", &shape), BENCH_OK);
  assert_int_equal(graph_make(&made, GRAPH_ATTENTION, &shape), 1);
  proto_message model = graph_encode(&made);
  static const char expected[] =
      "\x08\x0a"                                     /* version of the format */
      "\x3a\xac\x01"                                 /* graph */
      "\x0a\x2b\x0a\x01Q\x0a\x01K\x0a\x01V\x12\x01Y" /* node */
      "\x22\x09"
      "Attention"                                             /* its type */
      "\x2a\x10\x0a\x09is_causal\x18\x00\xa0\x01\x02\x3a\x00" /* attribute, domain */
      "\x12\x09"
      "Attention"                                         /* name */
      "\x5a\x1b\x0a\x01Q\x12\x16\x0a\x14\x08\x01\x12\x10" /* input: a float array */
      "\x0a\x02\x08\x01\x0a\x02\x08\x01\x0a\x02\x08\x02\x0a\x02\x08\x04"
      "\x5a\x1b\x0a\x01K\x12\x16\x0a\x14\x08\x01\x12\x10"
      "\x0a\x02\x08\x01\x0a\x02\x08\x01\x0a\x02\x08\x03\x0a\x02\x08\x04"
      "\x5a\x1b\x0a\x01V\x12\x16\x0a\x14\x08\x01\x12\x10"
      "\x0a\x02\x08\x01\x0a\x02\x08\x01\x0a\x02\x08\x03\x0a\x02\x08\x04"
      "\x62\x1b\x0a\x01Y\x12\x16\x0a\x14\x08\x01\x12\x10" /* output */
      "\x0a\x02\x08\x01\x0a\x02\x08\x01\x0a\x02\x08\x02\x0a\x02\x08\x04"
      "\x42\x04\x0a\x00\x10\x17"; /* ONNX's own operators, version 23 */
  check_bytes(&model, expected, sizeof expected - 1);
  proto_free(&model);
}

/* "M4GA" for the nodes that can say a shape: MHA, MHA with 4-D keys, GQA, Attention; a dash for others. */
static void check_nodes(const char *numbers, const char *expected) {
  bench_shape shape;
  assert_int_equal(shape_parse(numbers, numbers, &shape), BENCH_OK);
  char found[GRAPH_COUNT + 1] = "";
  for (int kind = 0; kind < GRAPH_COUNT; kind++) {
    bench_graph made;
    found[kind] = graph_make(&made, kind, &shape) ? "M4GA"[kind] : '-';
  }
  if (strcmp(found, expected) != 0) fail_msg("%s: %s, not %s", numbers, found, expected);
}

static void test_nodes_say_only_what_they_can(void **state) {
  (void)state;
  check_nodes("1:4:4:9:9:8:0", "M4GA");
  check_nodes("1:4:4:9:9:8:1", "M4GA");
  check_nodes("1:4:2:9:9:8:1", "--GA");         /* grouped heads */
  check_nodes("1:4:4:9:7:8:0", "M4-A");         /* fewer keys than queries */
  check_nodes("1:4:4:7:9:8:1", "----");         /* causal, the first query at the first of more keys */
  check_nodes("1:4:4:7:9:8:1:-1:-1:2", "--G-"); /* the last query at the last */
  check_nodes("1:4:2:1:9:8:0", "--GA");         /* one query that sees all */
  check_nodes("1:4:4:9:9:8:1:3:-1", "--G-");
  check_nodes("1:4:4:9:9:8:1:-1:3", "----"); /* a window only to the right */
  check_nodes("1:4:4:9:9:8:0:3:3", "----");
}

static void test_a_cache_is_shared_with_its_successor(void **state) {
  (void)state;
  bench_shape shape;
  bench_graph made;
  assert_int_equal(shape_parse("x", "2:4:2:1:9:8:0", &shape), BENCH_OK);
  assert_int_equal(graph_make(&made, GRAPH_GQA, &shape), 1);
  for (int n = 1; n <= 2; n++) {
    const graph_tensor *past = &made.inputs[made.outputs[n].shares], *present = &made.outputs[n];
    assert_int_equal(made.inputs[n].rows, 1);
    assert_int_equal(past->rows, 9);
    assert_int_equal(past->holds, made.inputs[n].holds);
    assert_memory_equal(past->dims, present->dims, sizeof past->dims);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_fields_are_encoded_as_the_format_says),
      cmocka_unit_test(test_a_model_is_complete),
      cmocka_unit_test(test_nodes_say_only_what_they_can),
      cmocka_unit_test(test_a_cache_is_shared_with_its_successor),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
