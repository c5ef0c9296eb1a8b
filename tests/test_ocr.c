/* test_ocr.c - the attention of a trained text recogniser, against what the model itself computed.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * test_ocr folder: the folder examples/ocr-attention.
 */
#include <math.h>
#include <stdio.h>

#include "support.h"

enum { HEADS = 8, LEN = 40, DIM = 15, ROWS = HEADS * LEN, NPY_HEADER = 128 };

static const char *folder;

/* Reads count floats of an array behind the header that NumPy writes for them. */
static void read_numbers(int block, const char *what, float *out, size_t count) {
  char path[1024], header[NPY_HEADER];
  snprintf(path, sizeof path, "%s/block%d_%s.npy", folder, block, what);
  FILE *file = fopen(path, "rb");
  if (!file) fail_msg("%s cannot be opened", path);
  assert_int_equal(fread(header, 1, sizeof header, file), sizeof header);
  assert_memory_equal(header, "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4'", 25);
  assert_int_equal(header[NPY_HEADER - 1], '\n');
  assert_int_equal(fread(out, sizeof(float), count, file), count);
  assert_int_equal(fgetc(file), EOF);
  fclose(file);
}

/* The largest absolute difference; NaN if there is one. */
static double distance(size_t count, const float *a, const float *b) {
  double largest = 0;
  for (size_t n = 0; n < count; n++) {
    const double difference = fabs((double)a[n] - (double)b[n]);
    if (isnan(difference) || difference > largest) largest = difference;
  }
  return largest;
}

static void check_block(int block) {
  static float qkv[3][ROWS * DIM], model_weights[ROWS * LEN], model_output[ROWS * DIM];
  static float weights[ROWS * LEN], output[ROWS * DIM];
  read_numbers(block, "qkv", qkv[0], sizeof qkv / sizeof(float));
  read_numbers(block, "weights", model_weights, COUNT_OF(model_weights));
  read_numbers(block, "output", model_output, COUNT_OF(model_output));
  attn_context *context = context_with_threads(2);
  const attn_args args = {.size = sizeof args,
                          .batch = 1,
                          .heads_q = HEADS,
                          .len_q = LEN,
                          .len_k = LEN,
                          .dim = DIM,
                          .query = qkv[0],
                          .key = qkv[1],
                          .value = qkv[2],
                          .output = output,
                          .weights = weights};
  assert_int_equal(attn_global(context, &args), ATTN_OK);
  attn_destroy(context);
  const double of_output = distance(COUNT_OF(output), output, model_output);
  const double of_weights = distance(COUNT_OF(weights), weights, model_weights);
  printf("block %d: output within %.2e, weights within %.2e of the model's\n", block, of_output,
         of_weights);
  assert_true(of_output <= 2e-6);
  assert_true(of_weights <= 2e-6);
}

static void test_blocks(void **state) {
  (void)state;
  check_block(1);
  check_block(2);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_blocks)};
  folder = argc > 1 ? argv[1] : "examples/ocr-attention";
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, NULL, NULL);
}
