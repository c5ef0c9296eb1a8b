/* report.c - the results, as a table on stdout and as JSON.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bench.h"

int report_open(bench_report *report, const bench_options *options, const attn_info *info) {
  *report = (bench_report){.options = options, .info = info, .name_width = 5};
  for (size_t s = 0; s < options->shape_count; s++) {
    int width = (int)strlen(options->shapes[s].name);
    if (width > report->name_width) report->name_width = width;
  }
  if (options->json == NULL) return BENCH_OK;
  report->json = fopen(options->json, "w");
  if (report->json == NULL)
    return bench_error(BENCH_FILE, "cannot write '%s': %s", options->json, strerror(errno));
  return BENCH_OK;
}

/* Threads that together are hardly faster than fewer ones have no CPU each. */
static void print_contention(const bench_report *report, const bench_probe *probes) {
  for (size_t t = 1; t < report->options->threads_count; t++) {
    int few = crew_members(probes[0].crew), many = crew_members(probes[t].crew);
    if (probes[t].best / many < 0.6 * probes[0].best / few)
      printf("note: %d threads do FMAs only %.1f times as fast as %d: CPUs are too few or busy elsewhere\n",
             many, probes[t].best / probes[0].best, few);
  }
}

void report_heading(const bench_report *report, const bench_probe *probes) {
  const attn_info *info = report->info;
  printf("libattn %s, kernels %s; CPU %s (%s)\n", attn_version_text(), info->isa,
         info->cpu[0] != '\0' ? info->cpu : "unknown", info->cpu_isa);
  printf("%s, %s, %s kernels; FMA peak", info->blas, info->blas_flavor, info->blas_core);
  for (size_t t = 0; t < report->options->threads_count; t++)
    printf("%s %.1f GFLOP/s on %d", t == 0 ? "" : ",", probes[t].best, crew_members(probes[t].crew));
  puts(" thread(s)");
  if (info->warning[0] != '\0') printf("warning: %s\n", info->warning);
  print_contention(report, probes);
  printf("\n%-*s %-7s %7s %-10s %9s %8s %7s %7s %7s %9s %6s %7s\n", report->name_width, "shape", "engine",
         "threads", "isa", "ms", "GFLOP/s", "peak", "of peak", "x unf.", "pairs", "noise", "KiB");
  fflush(stdout);
}

static const char *row_isa(const bench_report *report, const report_row *row) {
  return row->engine->kind == ENGINE_UNFUSED ? "plain C" : report->info->isa;
}

static double row_gflops(const report_row *row) {
  return shape_flops(row->shape) / row->summary.seconds * 1e-9;
}

/* A number with a unit behind it, or a dash. */
static const char *format_cell(char cell[16], const char *format, double value) {
  if (isnan(value)) return "-";
  snprintf(cell, 16, format, value);
  return cell;
}

/* Fewer pairs than were asked for, for the median or for the ratio. */
static int has_few_pairs(const bench_report *report, const report_row *row) {
  const bench_options *options = report->options;
  size_t pairs = row->summary.pairs_used;
  for (size_t e = 0; e < options->engine_count; e++)
    if (options->engines[e] == ENGINE_UNFUSED) pairs = row->summary.ratio_pairs_used;
  return pairs < (size_t)options->min_pairs; /* the ratio's are among the others */
}

static void print_row(const bench_report *report, const report_row *row) {
  const bench_summary *summary = &row->summary;
  char fraction[16], ratio[16], pairs[48], memory[24] = "-";
  snprintf(pairs, sizeof pairs, "%zu/%zu", summary->pairs_used, summary->pairs_taken);
  if (row->engine->rss_growth_kib >= 0)
    snprintf(memory, sizeof memory, "%" PRId64, row->engine->rss_growth_kib);
  printf("%-*s %-7s %7d %-10s %9.3f %8.1f %7.1f %7s %7s %9s %5.0f%% %7s%s\n", report->name_width,
         row->shape->name, engine_name(row->engine->kind), row->threads, row_isa(report, row),
         summary->seconds * 1e3, row_gflops(row), row->peak,
         format_cell(fraction, "%.1f%%", summary->fraction_of_peak * 100),
         format_cell(ratio, "%.2f", summary->ratio_to_unfused), pairs, summary->probe_spread * 100, memory,
         has_few_pairs(report, row) ? "  few good pairs" : "");
  fflush(stdout);
}

static void write_text(FILE *json, const char *key, const char *text) {
  fprintf(json, "\"%s\": \"", key);
  for (; *text != '\0'; text++) {
    unsigned char c = (unsigned char)*text;
    if (c < 0x20)
      fprintf(json, "\\u%04x", c);
    else
      fprintf(json, c == '"' || c == '\\' ? "\\%c" : "%c", c);
  }
  fputs("\", ", json);
}

static void write_number(FILE *json, const char *key, double number) {
  if (isfinite(number))
    fprintf(json, "\"%s\": %.6g, ", key, number);
  else
    fprintf(json, "\"%s\": null, ", key);
}

static void write_whole(FILE *json, const char *key, int64_t number) {
  fprintf(json, "\"%s\": %" PRId64 ", ", key, number);
}

static void write_shape(FILE *json, const bench_shape *shape) {
  write_whole(json, "batch", shape->batch);
  write_whole(json, "heads_q", shape->heads_q);
  write_whole(json, "heads_kv", shape->heads_kv);
  write_whole(json, "len_q", shape->len_q);
  write_whole(json, "len_k", shape->len_k);
  write_whole(json, "dim", shape->dim);
  write_whole(json, "causal", shape->causal);
}

static void write_summary(FILE *json, const bench_summary *summary) {
  write_number(json, "median_ms", summary->seconds * 1e3);
  write_number(json, "fraction_of_peak", summary->fraction_of_peak);
  write_number(json, "ratio_to_unfused", summary->ratio_to_unfused);
  write_whole(json, "pairs_used", (int64_t)summary->pairs_used);
  write_whole(json, "pairs_taken", (int64_t)summary->pairs_taken);
  write_whole(json, "ratio_pairs_used", (int64_t)summary->ratio_pairs_used);
  write_number(json, "probe_spread", summary->probe_spread);
}

static void write_row(const bench_report *report, const report_row *row) {
  FILE *json = report->json;
  int64_t growth = row->engine->rss_growth_kib;
  fputs(report->rows == 0 ? "[\n  {" : ",\n  {", json);
  write_text(json, "shape", row->shape->name);
  write_shape(json, row->shape);
  write_text(json, "engine", engine_name(row->engine->kind));
  write_whole(json, "threads", row->threads);
  write_text(json, "isa", row_isa(report, row));
  write_summary(json, &row->summary);
  write_number(json, "gflops", row_gflops(row));
  write_number(json, "fma_peak_gflops", row->peak);
  write_whole(json, "calls_per_repeat", row->calls);
  write_number(json, "rss_growth_kib", growth >= 0 ? (double)growth : (double)NAN);
  write_text(json, "cpu", report->info->cpu);
  write_text(json, "blas", report->info->blas);
  write_text(json, "blas_flavor", report->info->blas_flavor);
  write_text(json, "blas_core", report->info->blas_core);
  fprintf(json, "\"version\": \"%s\"}", attn_version_text());
}

void report_add(bench_report *report, const report_row *row) {
  print_row(report, row);
  if (report->json != NULL) write_row(report, row);
  report->rows++;
}

int report_close(bench_report *report) {
  if (report->json == NULL) return BENCH_OK;
  fputs(report->rows == 0 ? "[]\n" : "\n]\n", report->json);
  int failed = ferror(report->json);
  if (fclose(report->json) != 0 || failed)
    return bench_error(BENCH_FILE, "cannot write '%s'", report->options->json);
  return BENCH_OK;
}
