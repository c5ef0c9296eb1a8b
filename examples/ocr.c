/* ocr.c - attention over a real model's packed queries, keys and values, held against its own output.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 *     cc ocr.c $(pkg-config --cflags --libs libattn) -o ocr
 *     ./ocr ocr-attention/block1_qkv.npy ocr-attention/block1_output.npy
 */
#include <attn/attn.h>
#include <math.h>
#include <stdio.h>

enum { HEADS = 8, LENGTH = 40, DIM = 15, ONE = HEADS * LENGTH * DIM };

/* Reads count floats after the header of a NumPy file of little-endian float32, on a machine that is so too. */
static int read_floats(const char *path, float *out, size_t count) {
  unsigned char head[10];
  FILE *file = fopen(path, "rb");
  if (!file) return 0;
  int done = fread(head, 1, sizeof head, file) == sizeof head &&
             fseek(file, head[8] + 256 * head[9], SEEK_CUR) == 0 &&
             fread(out, sizeof(float), count, file) == count;
  fclose(file);
  return done;
}

int main(int count, char **words) {
  static float packed[3 * ONE], expected[ONE], output[ONE];
  if (count != 3 || !read_floats(words[1], packed, 3 * ONE) || !read_floats(words[2], expected, ONE)) {
    fprintf(stderr, "usage: ocr QKV.npy OUTPUT.npy\n");
    return 2;
  }
  attn_context *context;
  if (attn_create(&context, NULL) != ATTN_OK) {
    fprintf(stderr, "ocr: %s\n", attn_last_error(NULL));
    return 1;
  }
  attn_args args = {.size = sizeof args,
                    .batch = 1,
                    .heads_q = HEADS,
                    .len_q = LENGTH,
                    .len_k = LENGTH,
                    .dim = DIM,
                    .query = packed,
                    .key = packed + ONE,
                    .value = packed + 2 * ONE,
                    .output = output};
  if (attn_global(context, &args) != ATTN_OK) {
    fprintf(stderr, "ocr: %s\n", attn_last_error(context));
    attn_destroy(context);
    return 1;
  }
  attn_destroy(context);
  float largest = 0;
  for (int i = 0; i < ONE; i++) largest = fmaxf(largest, fabsf(output[i] - expected[i]));
  printf("largest difference from the model's own output: %.2g\n", largest);
  return largest <= 2e-6f ? 0 : 1; /* the model's own distance from exact arithmetic is 1.5e-6 */
}
