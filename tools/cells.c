/* cells.c - one matrix of weights as coloured cells.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "cells.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>

#include "colour.h"

/* A cell is one of LEVELS colours, so that neighbours of one colour become one shape. */
enum { LEVELS = 64, NOT_A_NUMBER = LEVELS };

typedef struct cell_grid {
  int64_t pool_q, pool_k; /* positions in a cell */
  int64_t rows, cols;
  int64_t len_k;
  unsigned char levels[CELLS_MAX * CELLS_MAX]; /* rows x cols */
} cell_grid;

int64_t cells_pooled(int64_t len) {
  return (len - 1) / CELLS_MAX + 1;
}

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static unsigned char level_of(float weight, float top) {
  if (isnan(weight)) return NOT_A_NUMBER;
  return weight >= top ? LEVELS - 1 : (unsigned char)((double)weight / (double)top * (LEVELS - 1) + 0.5);
}

/* Each cell's level is the highest of its positions', so that a single spike stays to be seen. */
static void fill_grid(cell_grid *grid, const float *weights, int64_t len_q, float top) {
  for (int64_t i = 0; i < grid->rows * grid->cols; i++) grid->levels[i] = 0;
  for (int64_t i = 0; i < len_q; i++) {
    unsigned char *row = grid->levels + i / grid->pool_q * grid->cols;
    for (int64_t j = 0; j < grid->len_k; j++) {
      unsigned char level = level_of(weights[i * grid->len_k + j], top);
      unsigned char *cell = &row[j / grid->pool_k];
      if (level > *cell) *cell = level;
    }
  }
}

/* Draws the cells of one level, each run of neighbours as one rectangle. */
static void draw_level(FILE *file, const cell_grid *grid, unsigned level, int64_t len_q) {
  bool open = false;
  uint32_t colour = level == NOT_A_NUMBER ? 0xbbbbbb : colour_of((double)level / (LEVELS - 1));
  for (int64_t row = 0; row < grid->rows; row++) {
    const unsigned char *levels = grid->levels + row * grid->cols;
    int64_t height = least(grid->pool_q, len_q - row * grid->pool_q);
    for (int64_t col = 0; col < grid->cols; col++) {
      if (levels[col] != level) continue;
      int64_t first = col;
      while (col + 1 < grid->cols && levels[col + 1] == level) col++;
      int64_t width = least((col + 1) * grid->pool_k, grid->len_k) - first * grid->pool_k;
      if (!open) fprintf(file, "<path fill=\"#%06" PRIx32 "\" d=\"", colour);
      open = true;
      fprintf(file, "M%" PRId64 " %" PRId64 "h%" PRId64 "v%" PRId64 "h-%" PRId64 "z", first * grid->pool_k,
              row * grid->pool_q, width, height, width);
    }
  }
  if (open) fputs("\"/>\n", file);
}

void cells_draw(FILE *file, const float *weights, int64_t len_q, int64_t len_k, float top) {
  cell_grid grid = {.pool_q = cells_pooled(len_q), .pool_k = cells_pooled(len_k), .len_k = len_k};
  grid.rows = (len_q - 1) / grid.pool_q + 1;
  grid.cols = (len_k - 1) / grid.pool_k + 1;
  fill_grid(&grid, weights, len_q, top);
  fprintf(file, "<rect width=\"%" PRId64 "\" height=\"%" PRId64 "\" fill=\"#%06" PRIx32 "\"/>\n", len_k,
          len_q, colour_of(0.0));
  for (unsigned level = 1; level <= NOT_A_NUMBER; level++) draw_level(file, &grid, level, len_q);
}
