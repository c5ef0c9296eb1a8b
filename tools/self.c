/* self.c - attn self: a self-attention layer over arrays in files.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <stddef.h>
#include <stdio.h>

#include "attend.h"
#include "commands.h"
#include "layer.h"
#include "library.h"
#include "npy.h"
#include "options.h"
#include "refuse.h"
#include "results.h"
#include "variation.h"

static const char usage[] =
    "Usage: attn self -x X.npy --heads N --weight-qkv W.npy [-o OUT.npy] [options]\n"
    "       attn self -x X.npy --heads N --weight-q W.npy --weight-k W.npy --weight-v W.npy [options]\n"
    "\n"
    "Computes a self-attention layer: query, key and value are projections of x, split into heads and\n"
    "rotated; then attention, with all that 'attn run' can vary; then the output's projection.\n"
    "Reports the time it took, and a speed that counts the projections and the keys that each query\n"
    "sees by its position.\n"
    "\n"
    "Arrays are .npy files of little-endian float32 in C order. x is N x E or batch x N x E, and the\n"
    "output has its shape, with as many columns as --weight-o has rows (heads D without it). Weights,\n"
    "LSE and scores begin with heads or batch x heads.\n";

static const char examples[] =
    "\n"
    "Examples\n"
    "  attn self -x x.npy -o y.npy --heads 8 --weight-qkv wqkv.npy --causal --rope half\n";

const char *const self_help[] = {usage,        layer_help, results_help, variation_help,
                                 library_help, examples,   NULL};

/* A run: what was asked for, and the arrays. */
typedef struct self {
  layer layer;
  results results;
  variation variation;
  library_options library;
} self;

#define AT(member) offsetof(self, member)

static const option options_table[] = {
    {.table = layer_table, .field = AT(layer)},
    {.table = results_table, .field = AT(results)},
    {.table = variation_table, .field = AT(variation)},
    {.table = library_table, .field = AT(library)},
    {.name = NULL},
};

static int check_options(const self *asked) {
  int code = layer_check(&asked->layer);
  if (code == EXIT_OK) code = results_check(&asked->results);
  return code == EXIT_OK ? variation_check(&asked->variation) : code;
}

static int make_args(self *asked, attn_args *attention) {
  npy_shape rows = layer_rows(&asked->layer);
  npy_shape output = layer_output(&asked->layer);
  *attention = layer_attention(&asked->layer);
  int code = results_make(&asked->results, &rows, attention->len_k, &output);
  if (code == EXIT_OK) code = variation_apply(&asked->variation, &rows, &output, attention);
  if (code == EXIT_OK) results_apply(&asked->results, attention);
  return code;
}

static int self_through(self *asked, attn_context *context, const attn_info *info) {
  attn_args attention;
  int code = make_args(asked, &attention);
  if (code == EXIT_OK) code = results_check_files(&asked->results);
  if (code != EXIT_OK) return code;
  attn_self_args args = layer_args(&asked->layer);
  args.attention = &attention;
  args.output = asked->results.arrays[RESULT_OUTPUT].floats;
  attn_plan plan;
  double seconds;
  code = attend_layer(context, &args, &plan, &seconds);
  if (code == EXIT_OK) code = results_write(&asked->results);
  if (code != EXIT_OK) return code;
  if (asked->results.json) {
    printf("{\n  ");
    npy_json_shape("x", &asked->layer.arrays[LAYER_X]);
    printf(",\n  ");
    npy_json_shape("output", &asked->results.arrays[RESULT_OUTPUT]);
    library_json(info, &plan, attend_layer_flops(&args), seconds);
  } else if (!asked->results.quiet) {
    npy_print_shape("x", &asked->layer.arrays[LAYER_X]);
    npy_print_shape("output", &asked->results.arrays[RESULT_OUTPUT]);
    library_report(info, &plan, attend_layer_flops(&args), seconds);
  }
  code = results_compare(&asked->results);
  if (asked->results.json) printf("\n}\n");
  return code;
}

int self_command(char **arguments) {
  self asked = {0};
  int code = options_read(options_table, &asked, arguments, NULL);
  if (code == EXIT_OK) code = check_options(&asked);
  if (code == EXIT_OK) code = layer_read(&asked.layer);
  attn_context *context = NULL;
  attn_info info;
  if (code == EXIT_OK) code = library_open(&context, &info, &asked.library);
  if (code == EXIT_OK) code = self_through(&asked, context, &info);
  attn_destroy(context);
  layer_free(&asked.layer);
  results_free(&asked.results);
  variation_free(&asked.variation);
  return code;
}
