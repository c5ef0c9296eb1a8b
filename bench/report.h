/* report.h - the results, as a table on stdout and as JSON.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <attn/attn.h>
#include <stddef.h>
#include <stdio.h>

#include "measure.h"
#include "options.h"

typedef struct bench_report {
  const bench_options *options;
  const attn_info *info;
  FILE *json;     /* NULL: not wanted */
  size_t rows;    /* so far */
  int name_width; /* of the longest shape name */
} bench_report;

typedef struct report_row {
  const bench_shape *shape;
  const bench_engine *engine;
  int threads;
  int64_t calls; /* of one repeat */
  bench_summary summary;
  double peak; /* GFLOP/s */
} report_row;

/* report_open - opens the JSON file, so that a bad name shows before the work; options and info outlive the
 * report. Returns a BENCH_ code. */
int report_open(bench_report *report, const bench_options *options, const attn_info *info);

/* report_heading - prints what was measured on, and the table's head. probes has one entry for each
 * thread count. */
void report_heading(const bench_report *report, const bench_probe *probes);

/* report_add - prints a row, and writes it to the JSON file. */
void report_add(bench_report *report, const report_row *row);

/* report_close - ends the JSON list and closes the file. Returns a BENCH_ code. */
int report_close(bench_report *report);

#endif
