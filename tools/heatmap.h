/* heatmap.h - draws matrices of weights, one panel for each head, as an SVG file.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_TOOL_HEATMAP_H
#define ATTN_TOOL_HEATMAP_H

#include <stdint.h>
#include <stdio.h>

#include "picture.h"

typedef struct heatmap {
  const char *title;
  const char *what;     /* begins the subtitle: "batch 0 of 2"; "" for nothing */
  const float *weights; /* all heads x len_q x len_k; numbers of at least 0, or NaN */
  int64_t len_q, len_k; /* at least 1 */
  float top;            /* the weight of the brightest colour; 0: the largest weight drawn */
  const int64_t *heads; /* which to draw */
  int64_t panels;       /* how many those are, at least 1 */
  char **labels_q;      /* one for each query; NULL: numbers */
  char **labels_k;      /* one for each key; NULL: numbers */
  const picture *strip; /* drawn under the keys; NULL: none */
} heatmap;

void heatmap_write(FILE *file, const heatmap *map);

#endif
