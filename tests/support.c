/* support.c - what the tests share.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "support.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint64_t default_seed = 20170612;

random_source random_seeded(uint64_t seed) {
  return (random_source){seed * 0x9e3779b97f4a7c15u};
}

/* Splitmix64: Steele, Lea and Flood, 2014. */
uint64_t random_bits(random_source *source) {
  uint64_t z = source->state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

int64_t random_between(random_source *source, int64_t low, int64_t high) {
  return low + (int64_t)(random_bits(source) % (uint64_t)(high - low + 1));
}

int random_once_in(random_source *source, int64_t times) {
  return random_between(source, 1, times) == 1;
}

double random_uniform(random_source *source) {
  return (double)(random_bits(source) >> 11) * 0x1p-53;
}

float random_normal(random_source *source) {
  const double radius = sqrt(-2 * log(1 - random_uniform(source)));
  return (float)(radius * cos(6.283185307179586 * random_uniform(source)));
}

static uint64_t number_from_environment(const char *name, uint64_t otherwise) {
  const char *text = getenv(name);
  return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

uint64_t support_seed(void) {
  return number_from_environment("ATTN_TEST_SEED", default_seed);
}

int64_t support_rounds(int64_t rounds) {
  return (int64_t)number_from_environment("ATTN_TEST_ROUNDS", (uint64_t)rounds);
}

int64_t support_count(int64_t usual, int64_t thorough) {
  return number_from_environment("ATTN_TEST_LONG", 0) ? thorough : usual;
}

static int64_t current_round = -1;

void support_round_begins(int64_t round) {
  current_round = round;
}

void support_round_ends(void) {
  current_round = -1;
}

int support_print_seed(void **state) {
  (void)state;
  if (current_round >= 0)
    print_error("failed with ATTN_TEST_SEED=%llu ATTN_TEST_ROUNDS=1\n",
                (unsigned long long)(support_seed() + (uint64_t)current_round));
  current_round = -1;
  return 0;
}

/* Pages of which those between the first and the last may be used. */
static char *map_pages(guarded *memory, int64_t count, int protection) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  const size_t inner = ((size_t)count * sizeof(float) + page - 1) / page * page;
  memory->bytes = inner + 2 * page;
  memory->pages = mmap(NULL, memory->bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  assert_true(memory->pages != MAP_FAILED);
  char *begin = (char *)memory->pages + page;
  if (inner > 0) assert_int_equal(mprotect(begin, inner, protection), 0);
  return begin;
}

guarded guarded_make(int64_t count, guard_side side) {
  guarded memory = {0};
  char *begin = map_pages(&memory, count, PROT_READ | PROT_WRITE);
  char *end = begin + memory.bytes - 2 * (size_t)sysconf(_SC_PAGESIZE);
  memory.data = (float *)(void *)(side == GUARD_BEFORE ? begin : end - (size_t)count * sizeof(float));
  return memory;
}

guarded guarded_forbidden(int64_t count) {
  guarded memory = {0};
  memory.data = (float *)(void *)map_pages(&memory, count, PROT_NONE);
  return memory;
}

void guarded_free(guarded *memory) {
  if (memory->pages) munmap(memory->pages, memory->bytes);
  *memory = (guarded){0};
}

uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static const uint32_t canary_bits = 0x7fdeadbe;

float canary(void) {
  return float_of(canary_bits);
}

int is_canary(float x) {
  return bits_of(x) == canary_bits;
}

int64_t count_different(int64_t count, const float *a, const float *b) {
  int64_t different = 0;
  for (int64_t i = 0; i < count; i++) different += bits_of(a[i]) != bits_of(b[i]);
  return different;
}

/* The place of a float among all floats in rising order. */
static int64_t place_of(float x) {
  const int64_t magnitude = bits_of(x) & 0x7fffffff;
  return signbit(x) ? -magnitude : magnitude;
}

int64_t ulps_between(float a, float b) {
  if (isnan(a) || isnan(b)) return isnan(a) && isnan(b) ? 0 : INT64_MAX;
  const int64_t distance = place_of(a) - place_of(b);
  return distance < 0 ? -distance : distance;
}

attn_context *context_with_threads(int32_t threads) {
  attn_context *context;
  const attn_options options = {.size = sizeof options, .threads = threads};
  if (attn_create(&context, &options) != ATTN_OK) fail_msg("%s", attn_last_error(NULL));
  return context;
}

static attn_info default_info(attn_context **context) {
  attn_info info = {.size = sizeof info};
  *context = context_with_threads(1);
  assert_int_equal(attn_describe(*context, &info), ATTN_OK);
  return info;
}

int context_multiplies_in_parallel(void) {
  attn_context *context;
  const attn_info info = default_info(&context);
  const int serial = strcmp(info.engine, "blas") == 0 && strcmp(info.blas_flavor, "serial") == 0;
  attn_destroy(context);
  return !serial;
}

int count_threads(void) {
  DIR *folder = opendir("/proc/self/task");
  int count = 0;
  assert_non_null(folder);
  for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
    count += entry->d_name[0] != '.';
  closedir(folder);
  return count;
}

int count_threads_at_rest(int expected) {
  for (int n = 0; n < 1000 && count_threads() > expected; n++) usleep(1000);
  return count_threads();
}

int children_may_start_threads(void) {
#ifdef __SANITIZE_THREAD__
  return 0;
#elif defined(__has_feature)
  return !__has_feature(thread_sanitizer);
#else
  return 1;
#endif
}

int succeeds_in_child(int (*work)(void *argument), void *argument) {
  int status = 0;
  fflush(NULL);
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    alarm(60); /* a hang ends as a failure */
    _exit(work(argument) ? 0 : 1);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int support_tiles(int question) {
#ifdef __x86_64__
  enum { TILE_DATA = 18 };
  uint64_t features = 0;
  return syscall(SYS_arch_prctl, question, &features) == 0 && (features >> TILE_DATA & 1);
#else
  (void)question;
  return 0;
#endif
}

int support_skip_missing_isa(void) {
  const char *wanted = getenv("ATTN_ISA");
  if (!wanted || !*wanted) return 0;
  attn_context *context;
  const attn_info info = default_info(&context);
  const int missing = strcmp(info.isa, wanted) != 0;
  if (missing) printf("SKIPPED: this CPU or build has no %s kernels\n", wanted);
  attn_destroy(context);
  return missing ? SUPPORT_SKIPPED : 0;
}
