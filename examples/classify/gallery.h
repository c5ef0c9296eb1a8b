/* gallery.h - images in rows, the first asked about and the others answering, as an SVG drawing.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef GALLERY_H
#define GALLERY_H

#include "images.h"

enum { GALLERY_ROWS = 12, GALLERY_KEYS = 8 };

/* One row: a query and the keys that it attends to most. */
typedef struct gallery_row {
  const uint8_t *query;
  int label, answer; /* the query's own label, and what the whole training set answers */
  const uint8_t *keys[GALLERY_KEYS];
  int key_labels[GALLERY_KEYS];
  float weights[GALLERY_KEYS];
} gallery_row;

/* gallery_write - writes GALLERY_ROWS rows. Returns 1, or 0 if it cannot. */
int gallery_write(const char *path, const gallery_row *rows);

#endif
