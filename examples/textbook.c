/* textbook.c - the first call: one word that attends to itself, then three words that look back.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 *     cc textbook.c $(pkg-config --cflags --libs libattn) -o textbook && ./textbook
 */
#include <attn/attn.h>
#include <stdio.h>

static void print_rows(const char *name, const float *rows, int count, int width) {
  for (int i = 0; i < count; i++) {
    printf("%s[%d] =", name, i);
    for (int j = 0; j < width; j++) printf(" %g", rows[i * width + j]);
    printf("\n");
  }
}

/* Query, key and value are the same row, so the only weight is 1 and the output is that row. */
static int one_word(attn_context *context) {
  const float word[4] = {1, 2, 3, 4};
  float output[4];
  attn_args args = {.size = sizeof args, .batch = 1, .heads_q = 1, .len_q = 1, .len_k = 1, .dim = 4};
  args.query = args.key = args.value = word;
  args.output = output;
  if (attn_global(context, &args) != ATTN_OK) return 0;
  print_rows("output", output, 1, 4);
  for (int d = 0; d < 4; d++)
    if (output[d] != word[d]) return 0;
  return 1;
}

/* Queries of 0 score all keys alike: each word's output is the mean of the words up to it. */
static int three_words(attn_context *context) {
  const float query[3][2] = {{0, 0}, {0, 0}, {0, 0}};
  const float words[3][2] = {{2, 4}, {4, 0}, {6, 8}};
  const float expected[3][2] = {{2, 4}, {3, 2}, {4, 4}};
  float output[3][2], weights[3][3];
  attn_args args = {.size = sizeof args, .batch = 1, .heads_q = 1, .len_q = 3, .len_k = 3, .dim = 2};
  args.query = query[0];
  args.key = args.value = words[0];
  args.output = output[0];
  args.weights = weights[0];
  args.causal = 1;
  if (attn_global(context, &args) != ATTN_OK) return 0;
  print_rows("weights", weights[0], 3, 3);
  print_rows("output", output[0], 3, 2);
  for (int i = 0; i < 3; i++)
    for (int d = 0; d < 2; d++) {
      float error = output[i][d] - expected[i][d];
      if (!(error > -1e-6f && error < 1e-6f)) return 0;
    }
  return 1;
}

int main(void) {
  attn_context *context;
  if (attn_create(&context, NULL) != ATTN_OK) {
    fprintf(stderr, "textbook: %s\n", attn_last_error(NULL));
    return 1;
  }
  puts(attn_description(context));
  int right = one_word(context) && three_words(context);
  if (!right) fprintf(stderr, "textbook: wrong result; last error: \"%s\"\n", attn_last_error(context));
  attn_destroy(context);
  return right ? 0 : 1;
}
