/* report.c - the results, as a table on stdout and as JSON.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bench.h"

static const char *const short_names[ENGINE_KINDS] = {[ENGINE_UNFUSED] = "x unf.",
                                                      [ENGINE_UNFUSED_BEST] = "x best",
                                                      [ENGINE_ONNXRUNTIME] = "x ort",
                                                      [ENGINE_NUMPY] = "x numpy"};

/* Is there a column for the ratio to this kind? */
static int has_ratio(const bench_report *report, int kind) {
  if (short_names[kind] == NULL || report->rivals->absent[kind][0] != '\0') return 0;
  for (size_t e = 0; e < report->options->engine_count; e++)
    if (report->options->engines[e] == kind) return 1;
  return 0;
}

int report_open(bench_report *report, const bench_options *options, const attn_info *info,
                const bench_rivals *rivals) {
  *report = (bench_report){.options = options, .info = info, .rivals = rivals, .name_width = 5};
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

/* The rivals that were asked for and are not here. */
static void print_absent(const bench_report *report) {
  for (size_t e = 0; e < report->options->engine_count; e++) {
    int kind = report->options->engines[e];
    if (report->rivals->absent[kind][0] != '\0')
      printf("note: %s: skipped: %s\n", engine_name(kind), report->rivals->absent[kind]);
  }
}

static void print_head(const bench_report *report) {
  printf("\n%-*s %-12s %3s %-16s %11s %13s %13s %7s", report->name_width, "shape", "engine", "thr", "how",
         "time", "speed", "limit", "of lim.");
  for (int kind = 0; kind < ENGINE_KINDS; kind++)
    if (has_ratio(report, kind)) printf(" %7s", short_names[kind]);
  printf(" %7s %9s %6s %7s\n", "x 1 thr", "pairs", "noise", "KiB");
}

void report_heading(const bench_report *report, const bench_probe *probes) {
  const attn_info *info = report->info;
  printf("libattn %s, kernels %s; CPU %s (%s)\n", attn_version_text(), info->isa,
         info->cpu[0] != '\0' ? info->cpu : "unknown", info->cpu_isa);
  printf("%s, %s, %s kernels; FMA peak", info->blas, info->blas_flavor, info->blas_core);
  for (size_t t = 0; t < report->options->threads_count; t++)
    printf("%s %.1f GFLOP/s on %d", t == 0 ? "" : ",", probes[t].best, crew_members(probes[t].crew));
  puts(" thread(s)");
  if (report->options->side_by_side) puts("keys and values of (batch, length, heads, size)");
  if (info->warning[0] != '\0') printf("warning: %s\n", info->warning);
  print_contention(report, probes);
  print_absent(report);
  print_head(report);
  fflush(stdout);
}

void report_skipped(const bench_engine *engine, const bench_shape *shape, int threads) {
  printf("note: %s at %s, %d thread(s): skipped: %s\n", engine_name(engine->kind), shape->name, threads,
         engine->skipped);
  fflush(stdout);
}

/* Of one call, in what the probe counts. */
static double row_amount(const report_row *row) {
  return shape_is_memory_bound(row->shape) ? shape_kv_bytes(row->shape) : shape_flops(row->shape);
}

/* A number with a unit behind it, or a dash. */
static const char *format_cell(char cell[16], const char *format, double value) {
  if (isnan(value)) return "-";
  snprintf(cell, 16, format, value);
  return cell;
}

static const char *format_time(char cell[16], double seconds) {
  if (seconds < 1e-6) return format_cell(cell, "%.1f ns", seconds * 1e9);
  return seconds < 1e-4 ? format_cell(cell, "%.2f us", seconds * 1e6)
                        : format_cell(cell, "%.3f ms", seconds * 1e3);
}

/* Fewer pairs than were asked for, for the median or for a ratio. */
static int has_few_pairs(const bench_report *report, const report_row *row) {
  size_t wanted = (size_t)report->options->min_pairs;
  for (int kind = 0; kind < ENGINE_KINDS; kind++)
    if (!isnan(row->ratios[kind].ratio) && row->ratios[kind].pairs_used < wanted) return 1;
  return row->summary.pairs_used < wanted;
}

static void print_ratios(const bench_report *report, const report_row *row) {
  char cell[16];
  for (int kind = 0; kind < ENGINE_KINDS; kind++)
    if (has_ratio(report, kind)) printf(" %7s", format_cell(cell, "%.2f", row->ratios[kind].ratio));
  printf(" %7s", format_cell(cell, "%.2f", row->ratio_to_one_thread));
}

static void print_row(const bench_report *report, const report_row *row) {
  const bench_summary *summary = &row->summary;
  const char *unit = shape_is_memory_bound(row->shape) ? "%.1f GB/s" : "%.1f GF/s";
  char time[16], speed[16], limit[16], fraction[16], pairs[48], memory[24] = "-";
  snprintf(pairs, sizeof pairs, "%zu/%zu", summary->pairs_used, summary->pairs_taken);
  if (row->engine->rss_growth_kib >= 0)
    snprintf(memory, sizeof memory, "%" PRId64, row->engine->rss_growth_kib);
  printf("%-*s %-12s %3d %-16s %11s %13s %13s %7s", report->name_width, row->shape->name,
         engine_name(row->engine->kind), crew_members(row->probe->crew), row->engine->detail,
         format_time(time, summary->seconds),
         format_cell(speed, unit, row_amount(row) / summary->seconds * 1e-9),
         format_cell(limit, unit, row->probe->best),
         format_cell(fraction, "%.1f%%", summary->fraction * 100));
  print_ratios(report, row);
  printf(" %9s %5.0f%% %7s%s\n", pairs, summary->probe_spread * 100, memory,
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
  write_number(json, "window_left",
               shape->has_window && shape->left >= 0 ? (double)shape->left : (double)NAN);
  write_number(json, "window_right",
               shape->has_window && shape->right >= 0 ? (double)shape->right : (double)NAN);
  write_whole(json, "offset", shape->offset);
  write_text(json, "kv_layout", shape->side_by_side ? "bnhd" : "bhnd");
}

static void write_speed(FILE *json, const report_row *row, double fma_peak) {
  double seconds = row->summary.seconds, none = NAN;
  int memory = shape_is_memory_bound(row->shape);
  write_number(json, "median_ms", seconds * 1e3);
  write_number(json, "gflops", shape_flops(row->shape) / seconds * 1e-9);
  write_number(json, "fma_peak_gflops", fma_peak);
  write_number(json, "fraction_of_peak", memory ? none : row->summary.fraction);
  write_number(json, "gbytes_per_s", memory ? row_amount(row) / seconds * 1e-9 : none);
  write_number(json, "read_gbytes_per_s", memory ? row->probe->best : none);
  write_number(json, "fraction_of_bandwidth", memory ? row->summary.fraction : none);
  write_number(json, "ratio_to_one_thread", row->ratio_to_one_thread);
}

/* "ratio_to_" and the rival's name, without dashes. */
static void write_ratio(FILE *json, int kind, const bench_ratio *ratio) {
  char key[64];
  snprintf(key, sizeof key, "ratio_to_%s", engine_name(kind));
  for (char *at = key; *at != '\0'; at++)
    if (*at == '-') *at = '_';
  write_number(json, key, ratio->ratio);
}

static void write_pairs(FILE *json, const report_row *row) {
  const bench_summary *summary = &row->summary;
  write_whole(json, "pairs_used", (int64_t)summary->pairs_used);
  write_whole(json, "pairs_taken", (int64_t)summary->pairs_taken);
  write_whole(json, "ratio_pairs_used", (int64_t)row->ratios[ENGINE_UNFUSED].pairs_used);
  write_number(json, "probe_spread", summary->probe_spread);
  write_whole(json, "calls_per_repeat", row->calls);
}

static void write_row(const bench_report *report, const report_row *row, double fma_peak) {
  FILE *json = report->json;
  int64_t growth = row->engine->rss_growth_kib;
  fputs(report->rows == 0 ? "[\n  {" : ",\n  {", json);
  write_text(json, "shape", row->shape->name);
  write_shape(json, row->shape);
  write_text(json, "engine", engine_name(row->engine->kind));
  write_text(json, "how", row->engine->detail);
  write_whole(json, "threads", crew_members(row->probe->crew));
  write_text(json, "isa", engine_is_rival(row->engine->kind) ? "" : report->info->isa);
  write_speed(json, row, fma_peak);
  for (int kind = 0; kind < ENGINE_KINDS; kind++)
    if (engine_is_rival(kind)) write_ratio(json, kind, &row->ratios[kind]);
  write_pairs(json, row);
  write_number(json, "rss_growth_kib", growth >= 0 ? (double)growth : (double)NAN);
  write_text(json, "cpu", report->info->cpu);
  write_text(json, "blas", report->info->blas);
  write_text(json, "blas_flavor", report->info->blas_flavor);
  write_text(json, "blas_core", report->info->blas_core);
  fprintf(json, "\"version\": \"%s\"}", attn_version_text());
}

void report_add(bench_report *report, const report_row *row, double fma_peak) {
  print_row(report, row);
  if (report->json != NULL) {
    write_row(report, row, fma_peak);
    fflush(report->json); /* what was measured outlives what comes after */
  }
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
