/* cpu.c - what this CPU can do.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "cpu.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attn/attn.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

static const char *const isa_names[] = {
    [ATTN_ISA_REFERENCE] = "reference", [ATTN_ISA_AVX2] = "avx2", [ATTN_ISA_AVX512] = "avx512",
    [ATTN_ISA_NEON] = "neon",           [ATTN_ISA_AMX] = "amx",
};
enum { ISA_COUNT = sizeof isa_names / sizeof isa_names[0] };

const char *attn__cpu_isa_name(int32_t isa) {
  return isa_names[isa];
}

int32_t attn__cpu_isa_from_name(const char *name) {
  for (int32_t isa = ATTN_ISA_REFERENCE; isa < ISA_COUNT; isa++)
    if (strcmp(name, isa_names[isa]) == 0) return isa;
  return 0;
}

#if defined(__x86_64__)

/* Linux keeps tile registers from a process until it asks for them (Documentation/arch/x86/xstate.rst). */
enum { ASK_SUPPORTED = 0x1021, ASK_PERMISSION = 0x1023, TILE_DATA = 18 };

/* 1 if the system does what it is asked; errno stays. */
static int32_t ask_system(int what, uintptr_t argument) {
  const int host_errno = errno;
  const long failed = syscall(SYS_arch_prctl, what, argument);
  errno = host_errno;
  return !failed;
}

static int32_t has_tiles(void) {
  enum { BFLOAT16 = 1 << 22, TILES = 1 << 24 };
  unsigned int a, b, c, d = 0;
  uint64_t supported = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & BFLOAT16) || !(d & TILES)) return 0;
  return ask_system(ASK_SUPPORTED, (uintptr_t)&supported) && supported >> TILE_DATA & 1;
}

int32_t attn__cpu_allow_tiles(void) {
  return has_tiles() && ask_system(ASK_PERMISSION, TILE_DATA);
}

int32_t attn__cpu_isa(void) {
  __builtin_cpu_init(); /* asks the operating system's XCR0 too */
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return ATTN_ISA_REFERENCE;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512vl") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512bw"))
    return ATTN_ISA_AVX2;
  return has_tiles() ? ATTN_ISA_AMX : ATTN_ISA_AVX512;
}

int32_t attn__cpu_leads_ahead(void) {
  __builtin_cpu_init();
  return __builtin_cpu_is("intel") != 0;
}

void attn__cpu_name(char name[ATTN__CPU_NAME_SIZE]) {
  unsigned int words[12] = {0};
  name[0] = '\0';
  if ((unsigned int)__get_cpuid_max(0x80000000u, NULL) < 0x80000004u) return;
  for (unsigned int leaf = 0; leaf < 3; leaf++)
    __get_cpuid(0x80000002u + leaf, &words[4 * leaf], &words[4 * leaf + 1], &words[4 * leaf + 2],
                &words[4 * leaf + 3]);
  char text[sizeof words + 1] = {0};
  memcpy(text, words, sizeof words);
  const char *start = text + strspn(text, " ");
  size_t length = strlen(start);
  while (length > 0 && start[length - 1] == ' ') length--;
  memcpy(name, start, length);
  name[length] = '\0';
}

#else

int32_t attn__cpu_allow_tiles(void) {
  return 0;
}

int32_t attn__cpu_isa(void) {
#ifdef __aarch64__
  return ATTN_ISA_NEON; /* no such CPU is without */
#else
  return ATTN_ISA_REFERENCE;
#endif
}

int32_t attn__cpu_leads_ahead(void) {
  return 0;
}

void attn__cpu_name(char name[ATTN__CPU_NAME_SIZE]) {
  name[0] = '\0';
}

#endif

int32_t attn__cpu_count(void) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) return (int32_t)CPU_COUNT(&allowed);
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (int32_t)online : 1;
}
