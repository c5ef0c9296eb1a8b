/* test_cpu.c - what is said about this CPU, against what the operating system says.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "cpu.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

#include "support.h"

#ifdef __aarch64__

/* The ATTN_ISA_ level that the operating system knows of; 0 if it does not say. */
static int32_t system_isa(void) {
  return getauxval(AT_HWCAP) & HWCAP_ASIMD ? ATTN_ISA_NEON : ATTN_ISA_REFERENCE;
}

#else

/* Fills line with the first line of /proc/cpuinfo that begins with a word; 0 if there is none. */
static int cpuinfo_line(const char *word, char *line, int size) {
  FILE *file = fopen("/proc/cpuinfo", "r");
  int found = 0;
  if (!file) return 0;
  while (!found && fgets(line, size, file)) found = strncmp(line, word, strlen(word)) == 0;
  fclose(file);
  return found;
}

/* 1 if a line has a word between blanks. */
static int has_word(const char *line, const char *word) {
  const size_t length = strlen(word);
  for (const char *at = strstr(line, word); at; at = strstr(at + 1, word))
    if (at > line && strchr(" \t", at[-1]) && strchr(" \t\n", at[length])) return 1;
  return 0;
}

static int32_t system_isa(void) {
  static char flags[16384];
  if (!cpuinfo_line("flags", flags, sizeof flags)) return 0;
  if (!has_word(flags, "avx2") || !has_word(flags, "fma")) return ATTN_ISA_REFERENCE;
  if (!has_word(flags, "avx512f") || !has_word(flags, "avx512vl") || !has_word(flags, "avx512dq") ||
      !has_word(flags, "avx512bw"))
    return ATTN_ISA_AVX2;
  if (!has_word(flags, "amx_tile") || !has_word(flags, "amx_bf16") ||
      !support_tiles(SUPPORT_TILES_SUPPORTED))
    return ATTN_ISA_AVX512;
  return ATTN_ISA_AMX;
}

#endif

static void test_isa(void **state) {
  (void)state;
  if (!system_isa()) skip();
  assert_int_equal(attn__cpu_isa(), system_isa());
}

static void test_who_leads_ahead(void **state) {
  (void)state;
  int32_t expected = 0;
#ifndef __aarch64__
  static char vendor[256];
  if (!cpuinfo_line("vendor_id", vendor, sizeof vendor)) skip();
  expected = has_word(vendor, "GenuineIntel");
#endif
  assert_int_equal(attn__cpu_leads_ahead(), expected);
}

static void test_isa_names(void **state) {
  (void)state;
  assert_string_equal(attn__cpu_isa_name(ATTN_ISA_REFERENCE), "reference");
  assert_string_equal(attn__cpu_isa_name(ATTN_ISA_AVX2), "avx2");
  assert_string_equal(attn__cpu_isa_name(ATTN_ISA_AVX512), "avx512");
  assert_string_equal(attn__cpu_isa_name(ATTN_ISA_NEON), "neon");
  assert_string_equal(attn__cpu_isa_name(ATTN_ISA_AMX), "amx");
  for (int32_t isa = ATTN_ISA_REFERENCE; isa <= ATTN_ISA_AMX; isa++)
    assert_int_equal(attn__cpu_isa_from_name(attn__cpu_isa_name(isa)), isa);
  const char *const others[] = {"", "avx", "AVX2", "avx2 ", "avx5120", "amx_bf16", "auto"};
  for (size_t n = 0; n < COUNT_OF(others); n++) assert_int_equal(attn__cpu_isa_from_name(others[n]), 0);
}

static void test_name(void **state) {
  (void)state;
  char name[ATTN__CPU_NAME_SIZE];
  memset(name, 'x', sizeof name);
  attn__cpu_name(name);
  assert_non_null(memchr(name, '\0', sizeof name));
#ifdef __x86_64__ /* others do not say what they are called */
  char line[256];
  if (!cpuinfo_line("model name", line, sizeof line)) skip();
  assert_non_null(strstr(line, name[0] ? name : "unknown"));
#endif
}

static void test_count_follows_the_affinity(void **state) {
  (void)state;
  cpu_set_t before, one;
  if (sched_getaffinity(0, sizeof before, &before) != 0) skip();
  assert_int_equal(attn__cpu_count(), CPU_COUNT(&before));
  CPU_ZERO(&one);
  for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
  assert_int_equal(attn__cpu_count(), 1);
  assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_isa),
      cmocka_unit_test(test_who_leads_ahead),
      cmocka_unit_test(test_isa_names),
      cmocka_unit_test(test_name),
      cmocka_unit_test(test_count_follows_the_affinity),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
