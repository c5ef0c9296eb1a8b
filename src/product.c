/* product.c - packing right operands for an engine, and the builtin engine.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "product.h"

#include <string.h>

#include "base.h"
#include "cpu.h"

enum {
  ROW_UNIT = 16, /* rows of an operand of one panel are whole cache lines apart */
  THIRDS_ROWS =
      64, /* so many rows pay the cutting of a right operand into thirds, more if the inner size is padded */
  THIRDS_LEAST = 24 /* the least inner size that does: 32 are multiplied */
};

/* How wide a panel of cols columns is, in columns and in memory. */
static int64_t panel_width(const attn__engine *engine, int64_t cols) {
  return engine->panel ? engine->panel : attn__round_up(cols, ROW_UNIT);
}

int64_t attn__product_floats(const attn__engine *engine, int64_t inner, int64_t cols) {
  return inner * attn__round_up(cols, panel_width(engine, cols));
}

static attn__matrix packed(const attn__engine *engine, int64_t inner, int64_t cols, const float *data) {
  const int64_t width = panel_width(engine, cols);
  return (attn__matrix){data, width, inner * width};
}

attn__matrix attn__product_pack(const attn__engine *engine, const attn__kernels *kernels,
                                const attn__rows *rows, float *out) {
  const attn__matrix matrix = packed(engine, rows->count, rows->width, out);
  for (int64_t first = 0; first < rows->width; first += matrix.stride, out += matrix.step) {
    const int64_t count = attn__min(matrix.stride, rows->width - first);
    if (count < matrix.stride) memset(out, 0, (size_t)matrix.step * sizeof *out);
    kernels->copy(rows->count, count, rows->data + first, rows->stride, out, matrix.stride);
  }
  return matrix;
}

attn__matrix attn__product_pack_transposed(const attn__engine *engine, const attn__kernels *kernels,
                                           const attn__rows *rows, float factor, float *out) {
  const attn__matrix matrix = packed(engine, rows->width, rows->count, out);
  for (int64_t first = 0; first < rows->count; first += matrix.stride, out += matrix.step) {
    const int64_t count = attn__min(matrix.stride, rows->count - first);
    if (count % (matrix.stride / 2) != 0)
      memset(out, 0, (size_t)matrix.step * sizeof *out); /* no half to be read has a gap */
    const attn__rows some = {rows->data + first * rows->stride, rows->stride, count, rows->width};
    kernels->transpose(&some, factor, out, matrix.stride);
  }
  return matrix;
}

int32_t attn__product_in_thirds(const attn__engine *engine, int64_t rows, int64_t inner) {
  const int64_t padded = attn__round_up(inner, ATTN__THIRDS_INNER);
  return engine->thirds && inner >= THIRDS_LEAST && rows >= THIRDS_ROWS * padded / inner;
}

int32_t attn__product_held(int64_t count, const float *x, float factor) {
  for (int64_t n = 0; n < count; n++) {
    const float scaled = factor * x[n];
    uint32_t bits;
    memcpy(&bits, &scaled, sizeof bits);
    if (((bits + 0x8000) >> 16 & 0x7fff) > ATTN__THIRDS_LIMIT) return 0;
  }
  return 1;
}

static void need_no_seat(void) {}

attn__engine attn__product_builtin(const attn__kernels *kernels) {
  return (attn__engine){.name = "builtin",
                        .seats = INT64_MAX,
                        .enter = need_no_seat,
                        .leave = need_no_seat,
                        .panel = kernels->panel,
                        .slab = kernels->slab,
                        .few = kernels->few,
                        .thirds = kernels->thirds,
                        .few_ahead = !attn__cpu_leads_ahead(),
                        .multiply = kernels->multiply};
}
