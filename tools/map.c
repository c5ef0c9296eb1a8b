/* map.c - attn map: attention weights as heat maps.
 * SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "file.h"
#include "heatmap.h"
#include "npy.h"
#include "options.h"
#include "picture.h"
#include "refuse.h"

static const char usage[] =
    "Usage: attn map WEIGHTS.npy -o MAP.svg [options]\n"
    "\n"
    "Draws attention weights as heat maps, one panel for each head, all in one scale of colours.\n"
    "\n"
    "Weights are a .npy file of little-endian float32: queries x keys, heads x queries x keys or\n"
    "batch x heads x queries x keys, as 'attn run --weights' writes them. Where a side has more than\n"
    "512 positions, neighbours share a cell, which shows the largest of their weights.\n"
    "\n"
    "  -o, --output FILE          the drawing, in SVG\n"
    "  --title TEXT               its title (default: Attention weights)\n"
    "  --batch N                  which batch entry (default: 0)\n"
    "  --heads LIST               which heads, as in 0,3,5 (default: all, at most 256)\n"
    "  --max X                    the weight of the brightest colour (default: the largest there is)\n"
    "  --labels-q FILE            a label for each query, one on a line, in UTF-8\n"
    "  --labels-k FILE            a label for each key\n"
    "  --image FILE               a PNG picture to draw under the keys, from the first to the last\n"
    "\n"
    "Examples\n"
    "  attn map w.npy -o w.svg --heads 0,3 --labels-q words.txt --labels-k words.txt\n"
    "  attn map w.npy -o w.svg --title 'Block 1' --image line.png\n";

const char *const map_help[] = {usage, NULL};

enum { MAX_PANELS = 256, LABELS_LIMIT = 16 * 1024 * 1024 };

typedef struct map_options {
  const char *weights, *output, *title, *heads, *labels_q, *labels_k, *image;
  int64_t batch;
  double top;
} map_options;

/* Lines of a text; the labels point into it. */
typedef struct label_list {
  char *text;
  char **labels;
} label_list;

typedef struct map_inputs {
  npy_array weights;
  int64_t heads[MAX_PANELS];
  label_list labels_q, labels_k;
  picture strip;
} map_inputs;

static const option options_table[] = {
    {.name = "--output", .brief = "-o", .kind = OPTION_TEXT, .field = offsetof(map_options, output)},
    {.name = "--title", .kind = OPTION_TEXT, .field = offsetof(map_options, title)},
    {.name = "--batch", .kind = OPTION_INTEGER, .field = offsetof(map_options, batch), .high = INT64_MAX},
    {.name = "--heads", .kind = OPTION_TEXT, .field = offsetof(map_options, heads)},
    {.name = "--max", .kind = OPTION_MAGNITUDE, .field = offsetof(map_options, top)},
    {.name = "--labels-q", .kind = OPTION_TEXT, .field = offsetof(map_options, labels_q)},
    {.name = "--labels-k", .kind = OPTION_TEXT, .field = offsetof(map_options, labels_k)},
    {.name = "--image", .kind = OPTION_TEXT, .field = offsetof(map_options, image)},
    {.name = NULL},
};

static int read_options(map_options *options, char **arguments) {
  int code = options_read(options_table, options, arguments, &options->weights);
  if (code != EXIT_OK) return code;
  if (options->weights == NULL)
    return refuse(EXIT_USAGE, "map: expected a file of weights; see 'attn help map'");
  if (options->output == NULL)
    return refuse(EXIT_USAGE, "map: expected -o and a file; see 'attn help map'");
  return EXIT_OK;
}

/* ---- weights */

/* Checks the weights and turns them into heads x queries x keys of one batch entry: moves heatmap's
 * pointer, sets its sizes, and *heads to their number. */
static int select_batch(const map_options *options, const npy_array *weights, heatmap *map,
                        int64_t *heads) {
  char text[NPY_SHAPE_TEXT];
  const int64_t *shape = weights->shape;
  int rank = weights->rank;
  npy_shape_text(text, rank, shape);
  if (rank < 2 || rank > 4)
    return refuse(EXIT_FILE, "%s: expected (batch x heads x) queries x keys, got %s", options->weights,
                  text);
  int64_t batch = rank == 4 ? shape[0] : 1;
  *heads = rank >= 3 ? shape[rank - 3] : 1;
  map->len_q = shape[rank - 2];
  map->len_k = shape[rank - 1];
  if (weights->count == 0)
    return refuse(EXIT_FILE, "%s: expected weights to draw, got %s", options->weights, text);
  if (options->batch >= batch)
    return refuse(EXIT_USAGE, "--batch: expected a number below %" PRId64 ", got %" PRId64, batch,
                  options->batch);
  map->weights = weights->floats + options->batch * *heads * map->len_q * map->len_k;
  return EXIT_OK;
}

static int check_weights(const char *path, const heatmap *map, int64_t heads) {
  for (int64_t i = 0; i < heads * map->len_q * map->len_k; i++)
    if (map->weights[i] < 0.0f || isinf(map->weights[i]))
      return refuse(EXIT_FILE, "%s: expected weights of at least 0, got %g", path, (double)map->weights[i]);
  return EXIT_OK;
}

static int all_heads(const char *path, int64_t heads, int64_t *list, int64_t *count) {
  if (heads > MAX_PANELS)
    return refuse(EXIT_USAGE, "%s: expected at most %d heads, got %" PRId64 "; choose with --heads", path,
                  MAX_PANELS, heads);
  for (int64_t head = 0; head < heads; head++) list[head] = head;
  *count = heads;
  return EXIT_OK;
}

/* Reads "0,3,5". */
static int listed_heads(const char *text, int64_t heads, int64_t *list, int64_t *count) {
  *count = options_integers(text, 0, heads - 1, list, MAX_PANELS);
  if (*count == 0)
    return refuse(EXIT_USAGE,
                  "--heads: expected numbers from 0 to %" PRId64 ", separated by commas, got '%s'",
                  heads - 1, text);
  if (*count > MAX_PANELS) return refuse(EXIT_USAGE, "--heads: expected at most %d heads", MAX_PANELS);
  return EXIT_OK;
}

/* ---- labels */

static int64_t count_lines(const char *text) {
  int64_t lines = 0;
  while (*text != '\0') {
    lines++;
    text += strcspn(text, "\n");
    text += *text == '\n';
  }
  return lines;
}

/* Cuts the text into its lines, in place. */
static void cut_lines(label_list *list, int64_t count) {
  char *at = list->text;
  for (int64_t i = 0; i < count; i++) {
    size_t length = strcspn(at, "\n");
    list->labels[i] = at;
    at[length] = '\0';
    if (length > 0 && at[length - 1] == '\r') at[length - 1] = '\0';
    at += length + 1;
  }
}

static int read_labels(const char *path, int64_t expected, const char *what, label_list *list) {
  if (path == NULL) return EXIT_OK;
  int64_t size;
  int code = file_read(path, LABELS_LIMIT, &list->text, &size);
  if (code != EXIT_OK) return code;
  if ((int64_t)strlen(list->text) != size)
    return refuse(EXIT_FILE, "%s: expected text, got a zero byte", path);
  int64_t count = count_lines(list->text);
  if (count != expected)
    return refuse(EXIT_FILE, "%s: expected %" PRId64 " lines, one for each %s, got %" PRId64, path,
                  expected, what, count);
  list->labels = malloc((size_t)count * sizeof *list->labels);
  if (list->labels == NULL) return refuse(EXIT_LIBRARY, "%s: not enough memory for its labels", path);
  cut_lines(list, count);
  return EXIT_OK;
}

/* ---- the command */

static int read_inputs(const map_options *options, map_inputs *inputs, heatmap *map) {
  int64_t heads = 0;
  int code = npy_read(&inputs->weights, NPY_FLOATS, options->weights);
  if (code == EXIT_OK) code = select_batch(options, &inputs->weights, map, &heads);
  if (code != EXIT_OK) return code;
  code = check_weights(options->weights, map, heads);
  if (code != EXIT_OK) return code;
  map->heads = inputs->heads;
  code = options->heads == NULL ? all_heads(options->weights, heads, inputs->heads, &map->panels)
                                : listed_heads(options->heads, heads, inputs->heads, &map->panels);
  if (code == EXIT_OK) code = read_labels(options->labels_q, map->len_q, "query", &inputs->labels_q);
  if (code == EXIT_OK) code = read_labels(options->labels_k, map->len_k, "key", &inputs->labels_k);
  if (code == EXIT_OK && options->image != NULL) code = picture_read(&inputs->strip, options->image);
  map->labels_q = inputs->labels_q.labels;
  map->labels_k = inputs->labels_k.labels;
  map->strip = options->image != NULL ? &inputs->strip : NULL;
  return code;
}

static int write_map(const map_options *options, heatmap *map, const npy_array *weights) {
  char what[64] = "";
  if (weights->rank == 4 && weights->shape[0] > 1)
    snprintf(what, sizeof what, "Batch entry %" PRId64 " (counted from 0), ", options->batch);
  map->what = what;
  file_output output;
  int code = file_create(&output, options->output);
  if (code != EXIT_OK) return code;
  heatmap_write(output.stream, map);
  return file_commit(&output);
}

int map_command(char **arguments) {
  map_options options = {.title = "Attention weights"};
  int code = read_options(&options, arguments);
  if (code != EXIT_OK) return code;
  map_inputs inputs = {0};
  heatmap map = {.title = options.title, .top = (float)options.top};
  code = read_inputs(&options, &inputs, &map);
  if (code == EXIT_OK) code = write_map(&options, &map, &inputs.weights);
  npy_free(&inputs.weights);
  free(inputs.labels_q.text);
  free(inputs.labels_q.labels);
  free(inputs.labels_k.text);
  free(inputs.labels_k.labels);
  picture_free(&inputs.strip);
  return code;
}
