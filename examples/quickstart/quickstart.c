/* quickstart.c - three words, each of which looks at itself and at those before it.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 *     cc quickstart.c $(pkg-config --cflags --libs libattn) -o quickstart && ./quickstart
 */
#include <attn/attn.h>
#include <stdio.h>

static void print_rows(const char *name, const float *rows, int count, int width) {
  printf("%s\n", name);
  for (int i = 0; i < count; i++) {
    for (int d = 0; d < width; d++) printf("%7.3f", rows[i * width + d]);
    printf("\n");
  }
}

int main(void) {
  const float words[3 * 4] = {1, 0, 1, 0, 0, 2, 0, 2, 1, 1, 1, 1};
  float output[3 * 4], weights[3 * 3];
  attn_context *context;
  if (attn_create(&context, NULL) != ATTN_OK) {
    fprintf(stderr, "%s\n", attn_last_error(NULL));
    return 1;
  }
  const attn_args args = {.size = sizeof args,
                          .batch = 1,
                          .heads_q = 1,
                          .len_q = 3,
                          .len_k = 3,
                          .dim = 4,
                          .query = words,
                          .key = words,
                          .value = words,
                          .output = output,
                          .weights = weights,
                          .causal = 1};
  const int32_t status = attn_global(context, &args);
  if (status == ATTN_OK) {
    print_rows("weights", weights, 3, 3);
    print_rows("output", output, 3, 4);
  } else {
    fprintf(stderr, "%s\n", attn_last_error(context));
  }
  attn_destroy(context);
  return status == ATTN_OK ? 0 : 1;
}
