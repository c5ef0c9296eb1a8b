/* report.h - the results, as a table on stdout and as JSON.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <attn/attn.h>
#include <stddef.h>
#include <stdio.h>

#include "measure.h"
#include "options.h"
#include "rivals.h"

typedef struct bench_report {
  const bench_options *options;
  const attn_info *info;
  const bench_rivals *rivals;
  FILE *json;     /* NULL: not wanted */
  size_t rows;    /* so far */
  int name_width; /* of the longest shape name */
} bench_report;

typedef struct report_row {
  const bench_shape *shape;
  const bench_engine *engine;
  const bench_probe *probe; /* the limit: of arithmetic, or where the shape is memory-bound of reading */
  int64_t calls;            /* of one repeat */
  bench_summary summary;
  bench_ratio ratios[ENGINE_KINDS]; /* to each rival; NaN where it did not run */
  double ratio_to_one_thread;       /* NaN where one thread did not run before */
} report_row;

/* report_open - opens the JSON file, so that a bad name shows before the work; the others outlive the report. Returns a BENCH_ code. */
int report_open(bench_report *report, const bench_options *options, const attn_info *info,
                const bench_rivals *rivals);

/* report_heading - prints what was measured on, and the table's head. probes has one entry for each
 * thread count. */
void report_heading(const bench_report *report, const bench_probe *probes);

/* report_skipped - prints why an engine has no row. */
void report_skipped(const bench_engine *engine, const bench_shape *shape, int threads);

/* report_add - prints a row, and writes it to the JSON file; fma_peak is that of as many threads. */
void report_add(bench_report *report, const report_row *row, double fma_peak);

/* report_close - ends the JSON list and closes the file. Returns a BENCH_ code. */
int report_close(bench_report *report);

#endif
