/* axis.c - the ticks and labels along a side of a heat map.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "axis.h"

#include <inttypes.h>
#include <math.h>

#include "text.h"

enum { LABEL_LIMIT = 16 };              /* characters; what is longer is cut */
static const double letter_width = 6.2; /* of the 10-pixel font */
static const double line_height = 11.0;
static const double tick = 4.0;
static const double gap = 3.0;

double axis_nice_step(double rough) {
  double power = pow(10.0, floor(log10(rough)));
  static const double steps[] = {1.0, 2.0, 5.0};
  for (int i = 0; i < 3; i++)
    if (steps[i] * power >= rough * (1 - 1e-9)) return steps[i] * power;
  return 10.0 * power;
}

static double label_width(const char *label) {
  double width = 0.0;
  uint32_t code;
  for (int i = 0; i < LABEL_LIMIT && (code = text_next(&label)) != 0; i++)
    width += code < 0x1100 ? letter_width : 10.0; /* beyond: mostly wide scripts and symbols */
  return width;
}

static double widest(int64_t len, char **labels) {
  if (labels == NULL) return letter_width * (double)snprintf(NULL, 0, "%" PRId64, len - 1);
  double width = letter_width;
  for (int64_t i = 0; i < len; i++) width = fmax(width, label_width(labels[i]));
  return width;
}

axis axis_plan(int64_t len, double pixels, bool is_keys, char **labels) {
  axis plan = {.len = len, .pixels = pixels, .is_keys = is_keys, .labels = labels};
  double cell = pixels / (double)len;
  double width = widest(len, labels);
  plan.is_turned = is_keys && labels != NULL && width + gap > cell;
  double across = is_keys && !plan.is_turned ? width : line_height; /* what a label takes of the axis */
  if (labels != NULL)
    plan.step = (int64_t)ceil(across / cell);
  else
    plan.step = (int64_t)fmax(1.0, axis_nice_step((across + 10.0) / cell));
  if (plan.step < 1) plan.step = 1;
  plan.room = tick + gap + (is_keys && !plan.is_turned ? line_height : width);
  return plan;
}

static void draw_label(FILE *file, const axis *side, int64_t position, double at) {
  double away = tick + gap;
  if (side->is_turned)
    fprintf(file, "<text transform=\"translate(%.2f %.2f) rotate(-90)\" text-anchor=\"end\">", at + 3.5,
            away);
  else if (side->is_keys)
    fprintf(file, "<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"middle\">", at, away + 8.0);
  else
    fprintf(file, "<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"end\">", -away, at + 3.5);
  if (side->labels != NULL)
    text_xml(file, side->labels[position], LABEL_LIMIT);
  else
    fprintf(file, "%" PRId64, position);
  fputs("</text>\n", file);
}

void axis_draw(FILE *file, const axis *side) {
  double cell = side->pixels / (double)side->len;
  fputs("<path fill=\"none\" stroke=\"#333\" d=\"", file);
  for (int64_t i = 0; i < side->len; i += side->step) {
    double at = ((double)i + 0.5) * cell;
    if (side->is_keys)
      fprintf(file, "M%.2f 0v%g", at, tick);
    else
      fprintf(file, "M0 %.2fh%g", at, -tick);
  }
  fputs("\"/>\n", file);
  for (int64_t i = 0; i < side->len; i += side->step) draw_label(file, side, i, ((double)i + 0.5) * cell);
}
