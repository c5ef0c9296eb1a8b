/* heatmap.c - draws matrices of weights, one panel for each head, as an SVG file.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heatmap.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>

#include "axis.h"
#include "cells.h"
#include "colour.h"
#include "text.h"

enum { TITLE_LIMIT = 120, BAR_STOPS = 16 };

/* Pixels. A panel's box holds its title, its plot, the strip and both axes. */
static const double margin = 24.0;
static const double panel_title = 20.0;
static const double axis_title = 20.0;
static const double panel_gap = 18.0;
static const double bar_width = 14.0;
static const double bar_room = 96.0; /* the colour bar with its gap, numbers and title */

typedef struct layout {
  int64_t columns, rows;
  axis keys, queries;
  double strip_height;
  double box_width, box_height; /* a panel's box and the gap after it */
  double left, top;             /* where the first panel's plot starts */
  double bar_height;
  double width, height; /* of the drawing */
} layout;

typedef struct range {
  float top;     /* the weight of the brightest colour */
  bool has_more; /* some weight is above it */
  bool has_nan;  /* some weight is not a number */
} range;

static const float *head_weights(const heatmap *map, int64_t panel) {
  return map->weights + map->heads[panel] * map->len_q * map->len_k;
}

static range find_range(const heatmap *map) {
  range found = {0};
  float largest = 0.0f;
  for (int64_t panel = 0; panel < map->panels; panel++) {
    const float *weights = head_weights(map, panel);
    for (int64_t i = 0; i < map->len_q * map->len_k; i++) {
      if (isnan(weights[i])) found.has_nan = true;
      if (weights[i] > largest) largest = weights[i];
    }
  }
  found.top = map->top > 0.0f ? map->top : largest > 0.0f ? largest : 1.0f;
  found.has_more = largest > found.top;
  return found;
}

/* ---- layout */

/* A grid without holes, about twice as wide as high at most, if there is one. */
static int64_t choose_columns(int64_t panels) {
  if (panels <= 3) return panels;
  int64_t square = (int64_t)ceil(sqrt((double)panels));
  for (int64_t columns = square; columns <= square + square / 2; columns++)
    if (panels % columns == 0) return columns;
  return square;
}

/* The cells along a side: a drawn cell is never below a pixel, or its colour might be lost. */
static double count_cells(int64_t len) {
  return ceil((double)len / (double)cells_pooled(len));
}

static void size_plots(layout *plan, const heatmap *map) {
  double longest = map->panels == 1 ? 480.0 : map->panels <= 3 ? 340.0 : 250.0;
  double least = longest / 4; /* cells are squares, unless the plot would become a thin line */
  double aspect = (double)map->len_q / (double)map->len_k;
  double width = aspect <= 1.0 ? longest : fmax(longest / aspect, least);
  double height = aspect <= 1.0 ? fmax(longest * aspect, least) : longest;
  double factor = fmax(1.0, fmax(count_cells(map->len_k) / width, count_cells(map->len_q) / height));
  width *= factor;
  height *= factor;
  plan->keys = axis_plan(map->len_k, width, true, map->labels_k);
  plan->queries = axis_plan(map->len_q, height, false, map->labels_q);
  if (map->strip != NULL) {
    double natural = width * (double)map->strip->height / (double)map->strip->width;
    plan->strip_height = fmin(fmax(natural, 8.0), width);
  }
}

static layout plan_layout(const heatmap *map, int lines) {
  layout plan = {.columns = choose_columns(map->panels)};
  plan.rows = (map->panels - 1) / plan.columns + 1;
  size_plots(&plan, map);
  plan.box_width = plan.queries.room + plan.keys.pixels + panel_gap;
  plan.box_height = panel_title + plan.queries.pixels + plan.strip_height + plan.keys.room + panel_gap;
  plan.left = margin + axis_title + plan.queries.room;
  plan.top = margin + 32.0 + 17.0 * lines + panel_title;
  plan.bar_height = fmin(fmax(plan.queries.pixels, 120.0), 300.0);
  double grid_height = (double)plan.rows * plan.box_height - panel_gap - panel_title + axis_title;
  plan.width = margin + axis_title + (double)plan.columns * plan.box_width + bar_room + margin;
  plan.width = fmax(plan.width, margin * 2 + 10.5 * (double)text_length(map->title));
  plan.width = fmax(plan.width, 620.0); /* the subtitle */
  plan.height = plan.top + fmax(grid_height, plan.bar_height) + margin;
  return plan;
}

/* ---- drawing */

static void draw_titles(FILE *file, const heatmap *map, bool has_nan) {
  fprintf(file, "<text x=\"%g\" y=\"%g\" font-size=\"18\" font-weight=\"bold\">", margin, margin + 14.0);
  text_xml(file, map->title, TITLE_LIMIT);
  fprintf(file, "</text>\n<g font-size=\"12\" fill=\"#555\">\n<text x=\"%g\" y=\"%g\">%s", margin,
          margin + 34.0, map->what);
  fprintf(file, "%" PRId64 " head%s, %" PRId64 " quer%s, %" PRId64 " key%s%s</text>\n", map->panels,
          map->panels == 1 ? "" : "s", map->len_q, map->len_q == 1 ? "y" : "ies", map->len_k,
          map->len_k == 1 ? "" : "s", has_nan ? "; grey cells are not a number" : "");
  fprintf(file, "<text x=\"%g\" y=\"%g\">", margin, margin + 51.0);
  fputs("Each row is a query; the brighter a cell, the more weight the query puts on that key.</text>\n",
        file);
  int64_t pool_q = cells_pooled(map->len_q);
  int64_t pool_k = cells_pooled(map->len_k);
  if (pool_q > 1 || pool_k > 1)
    fprintf(file,
            "<text x=\"%g\" y=\"%g\">Pooled: each cell shows the largest of %" PRId64 " x %" PRId64
            " weights (queries x keys).</text>\n",
            margin, margin + 68.0, pool_q, pool_k);
  fputs("</g>\n", file);
}

static void draw_axis_titles(FILE *file, const layout *plan, bool for_keys, bool for_queries) {
  double below = plan->queries.pixels + plan->strip_height + plan->keys.room + 15.0;
  if (for_keys)
    fprintf(file,
            "<text x=\"%.2f\" y=\"%.2f\" font-size=\"12\" text-anchor=\"middle\">key position</text>\n",
            plan->keys.pixels / 2, below);
  if (for_queries)
    fprintf(file,
            "<text transform=\"translate(%.2f %.2f) rotate(-90)\" font-size=\"12\" text-anchor=\"middle\">"
            "query position</text>\n",
            -plan->queries.room - 6.0, plan->queries.pixels / 2);
}

static void draw_panel(FILE *file, const heatmap *map, const layout *plan, int64_t panel, float top) {
  int64_t column = panel % plan->columns;
  double width = plan->keys.pixels;
  double height = plan->queries.pixels;
  fprintf(file, "<g class=\"panel\" transform=\"translate(%.2f %.2f)\">\n",
          plan->left + (double)column * plan->box_width,
          plan->top + (double)(panel / plan->columns) * plan->box_height);
  fprintf(file,
          "<text x=\"%.2f\" y=\"-6\" font-size=\"12\" font-weight=\"bold\" text-anchor=\"middle\">"
          "head %" PRId64 "</text>\n",
          width / 2, map->heads[panel]);
  fprintf(file, "<g transform=\"scale(%.9g %.9g)\" shape-rendering=\"crispEdges\">\n",
          width / (double)map->len_k, height / (double)map->len_q);
  cells_draw(file, head_weights(map, panel), map->len_q, map->len_k, top);
  fputs("</g>\n", file);
  if (map->strip != NULL) fprintf(file, "<use xlink:href=\"#strip\" y=\"%.2f\"/>\n", height);
  fprintf(file, "<rect width=\"%.2f\" height=\"%.2f\" fill=\"none\" stroke=\"#333\"/>\n", width,
          height + plan->strip_height);
  axis_draw(file, &plan->queries);
  fprintf(file, "<g transform=\"translate(0 %.2f)\">\n", height + plan->strip_height);
  axis_draw(file, &plan->keys);
  fputs("</g>\n", file);
  draw_axis_titles(file, plan, panel + plan->columns >= map->panels, column == 0);
  fputs("</g>\n", file);
}

static void draw_bar_tick(FILE *file, double y, const char *sign, double value) {
  fprintf(file, "<path d=\"M%g %.2fh4\" stroke=\"#333\"/><text x=\"%g\" y=\"%.2f\">%s%.3g</text>\n",
          bar_width, y, bar_width + 7.0, y + 3.5, sign, value);
}

static void draw_bar(FILE *file, const layout *plan, const range *weights) {
  double x = plan->left + (double)plan->columns * plan->box_width - plan->queries.room + 12.0;
  double height = plan->bar_height;
  double top = (double)weights->top;
  fprintf(file, "<g id=\"scale\" transform=\"translate(%.2f %.2f)\">\n", x, plan->top);
  fprintf(file, "<rect width=\"%g\" height=\"%.2f\" fill=\"url(#colours)\" stroke=\"#333\"/>\n", bar_width,
          height);
  double step = axis_nice_step(top / 6.0);
  for (int i = 0; i * step < top * 0.94; i++)
    draw_bar_tick(file, height * (1.0 - i * step / top), "", i * step);
  draw_bar_tick(file, 0.0, weights->has_more ? "\xe2\x89\xa5 " : "", top); /* "at least" */
  fprintf(file,
          "<text transform=\"translate(%.2f %.2f) rotate(90)\" font-size=\"12\" text-anchor=\"middle\">"
          "attention weight</text>\n</g>\n",
          bar_width + 50.0, height / 2);
}

static void draw_definitions(FILE *file, const heatmap *map, const layout *plan) {
  fputs("<defs>\n<linearGradient id=\"colours\" x1=\"0\" y1=\"1\" x2=\"0\" y2=\"0\">\n", file);
  for (int i = 0; i < BAR_STOPS; i++) {
    double part = (double)i / (BAR_STOPS - 1);
    fprintf(file, "<stop offset=\"%.4f\" stop-color=\"#%06" PRIx32 "\"/>\n", part, colour_of(part));
  }
  fputs("</linearGradient>\n", file);
  if (map->strip != NULL) {
    fprintf(file,
            "<image id=\"strip\" width=\"%.2f\" height=\"%.2f\" preserveAspectRatio=\"none\" xlink:href=\"",
            plan->keys.pixels, plan->strip_height);
    picture_write_uri(file, map->strip);
    fputs("\"/>\n", file);
  }
  fputs("</defs>\n", file);
}

void heatmap_write(FILE *file, const heatmap *map) {
  bool pooled = cells_pooled(map->len_q) > 1 || cells_pooled(map->len_k) > 1;
  layout plan = plan_layout(map, pooled ? 3 : 2);
  range found = find_range(map);
  fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", file);
  fprintf(file,
          "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" "
          "width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" font-size=\"10\" fill=\"#111\" "
          "font-family=\"DejaVu Sans, Helvetica, Arial, sans-serif\">\n<title>",
          plan.width, plan.height, plan.width, plan.height);
  text_xml(file, map->title, TITLE_LIMIT);
  fputs("</title>\n", file);
  draw_definitions(file, map, &plan);
  fputs("<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n", file);
  draw_titles(file, map, found.has_nan);
  for (int64_t panel = 0; panel < map->panels; panel++) draw_panel(file, map, &plan, panel, found.top);
  draw_bar(file, &plan, &found);
  fputs("</svg>\n", file);
}
