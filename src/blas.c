/* blas.c - products by cblas_sgemm: the only file that knows BLAS.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <cblas.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "attn/attn.h"
#include "base.h"
#include "product.h"

/* Declared here because a cblas.h of another vendor may lack them. */
char *openblas_get_config(void);
char *openblas_get_corename(void);
int openblas_get_parallel(void);

enum {
  /* Up to this rows * cols * inner, OpenBLAS multiplies on the calling thread; above it, calls from
     several threads wait for one another (pthread) or start a team each (openmp). */
  SINGLE_THREAD_VOLUME = 64 * 64 * 64,
  /* Longer inner sizes are summed in pieces, so that a tile still has rows and columns. */
  LONGEST_INNER = 256,
  /* A product above the limit is first summed in pieces no shorter than this, and only then cut in rows and
     columns: BLAS copies less of its operands. */
  SHORT_INNER = 64,
  /* OpenBLAS crashes with more concurrent callers than it has buffers: at least 128. */
  MOST_CALLERS = 64,
};

/* What OpenBLAS maps for each concurrent caller, once. If it cannot, it never returns. */
static const size_t buffer_bytes = (size_t)128 << 20;

/* Without its kernels for small products (SkylakeX and later), OpenBLAS takes an eighth of a small product's
 * time to clear the result before it; memset takes none. */
static int32_t slow_clear;

/* The seats: how many threads of the process are inside BLAS, over all contexts. */
static struct {
  pthread_once_t once;
  pthread_mutex_t mutex;
  pthread_cond_t left;
  int64_t limit, taken;
  int64_t buffered; /* seats for which there is a buffer, or was room for it */
  int64_t forking;  /* threads about to fork */
} seats = {.once = PTHREAD_ONCE_INIT, .mutex = PTHREAD_MUTEX_INITIALIZER, .left = PTHREAD_COND_INITIALIZER};

/* 1 if this much address space can be had. */
static int can_map(size_t bytes) {
  void *probe = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (probe == MAP_FAILED) return 0;
  munmap(probe, bytes);
  return 1;
}

/* One more caller may go in. Where there is no room for another buffer it waits for one of those there are. */
static int32_t is_free(void) {
  if (seats.taken == seats.limit || seats.forking) return 0;
  if (seats.taken < seats.buffered) return 1;
  if (seats.taken > 0 && !can_map(buffer_bytes)) return 0;
  seats.buffered++;
  return 1;
}

static void enter(void) {
  pthread_mutex_lock(&seats.mutex);
  while (!is_free()) pthread_cond_wait(&seats.left, &seats.mutex);
  seats.taken++;
  pthread_mutex_unlock(&seats.mutex);
}

static void leave(void) {
  pthread_mutex_lock(&seats.mutex);
  seats.taken--;
  pthread_cond_broadcast(&seats.left);
  pthread_mutex_unlock(&seats.mutex);
}

/* A fork waits until nobody is inside BLAS, whose own locks would stay locked in the child for ever. */
static void before_fork(void) {
  pthread_mutex_lock(&seats.mutex);
  seats.forking++;
  while (seats.taken > 0) pthread_cond_wait(&seats.left, &seats.mutex);
}

static void after_fork_in_parent(void) {
  seats.forking--;
  pthread_cond_broadcast(&seats.left);
  pthread_mutex_unlock(&seats.mutex);
}

/* In the child, those who wait for the mutex or a seat are not there. */
static void after_fork_in_child(void) {
  seats.mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
  seats.left = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
  seats.forking = 0;
}

static void multiply_piece(const attn__product *p) {
  int32_t accumulate = p->accumulate;
  if (!accumulate && slow_clear) {
    for (int64_t row = 0; row < p->rows; row++)
      memset(p->c + row * p->stride_c, 0, (size_t)p->cols * sizeof *p->c);
    accumulate = 1;
  }
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)p->rows, (int)p->cols, (int)p->inner, 1.0f,
              p->a, (int)p->stride_a, p->b.data, (int)p->b.stride, accumulate ? 1.0f : 0.0f, p->c,
              (int)p->stride_c);
}

/* The piece of p that starts at (row, col, inner), no larger than step. */
static attn__product piece_at(const attn__product *p, const attn__product *step, int64_t row, int64_t col,
                              int64_t inner) {
  attn__product piece = *p;
  piece.rows = attn__min(step->rows, p->rows - row);
  piece.cols = attn__min(step->cols, p->cols - col);
  piece.inner = attn__min(step->inner, p->inner - inner);
  piece.a += row * p->stride_a + inner;
  piece.b.data += inner * p->b.stride + col;
  piece.c += row * p->stride_c + col;
  piece.accumulate = p->accumulate || inner > 0;
  return piece;
}

/* Half of a size, in whole vectors. */
static int64_t half(int64_t size) {
  return attn__round_up(attn__divide_up(size, 2), size > 16 ? 16 : 1);
}

static void multiply(const attn__product *p) {
  attn__product step = *p;
  while (step.inner > LONGEST_INNER) step.inner = half(step.inner);
  while (step.rows * step.cols * step.inner > SINGLE_THREAD_VOLUME)
    if (step.inner > SHORT_INNER)
      step.inner = half(step.inner);
    else if (step.cols > step.rows)
      step.cols = half(step.cols);
    else
      step.rows = half(step.rows);
  for (int64_t inner = 0; inner < p->inner; inner += step.inner)
    for (int64_t row = 0; row < p->rows; row += step.rows)
      for (int64_t col = 0; col < p->cols; col += step.cols) {
        attn__product piece = piece_at(p, &step, row, col, inner);
        multiply_piece(&piece);
      }
}

static attn__engine engine = {
    .name = "blas", .slab = 8, .enter = enter, .leave = leave, .multiply = multiply};

/* The instruction set of OpenBLAS's kernels by CPU type, up to 0.3.30. */
static int32_t core_isa(const char *core) {
  static const char *const avx512[] = {"SkylakeX", "Cooperlake", "SapphireRapids"};
  static const char *const avx2[] = {"Haswell", "Zen", "Excavator"};
  static const char *const older[] = {"Prescott",    "Core2",  "Penryn",      "Dunnington", "Nehalem",
                                      "Atom",        "Nano",   "Athlon",      "Opteron",    "Opteron_SSE3",
                                      "Barcelona",   "Bobcat", "Sandybridge", "Bulldozer",  "Piledriver",
                                      "Steamroller", "Katmai", "Coppermine",  "Northwood",  "Banias"};
  for (size_t i = 0; i < sizeof avx512 / sizeof avx512[0]; i++)
    if (strcmp(core, avx512[i]) == 0) return ATTN_ISA_AVX512;
  for (size_t i = 0; i < sizeof avx2 / sizeof avx2[0]; i++)
    if (strcmp(core, avx2[i]) == 0) return ATTN_ISA_AVX2;
  for (size_t i = 0; i < sizeof older / sizeof older[0]; i++)
    if (strcmp(core, older[i]) == 0) return ATTN_ISA_REFERENCE;
  return 0;
}

/* The serial flavour is not thread-safe at all: one caller at a time in the whole process. Without the fork
 * handlers there are no seats. */
static void start_once(void) {
  if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0) return;
  seats.limit = openblas_get_parallel() == 0 ? 1 : MOST_CALLERS;
  engine.seats = seats.limit;
  slow_clear = core_isa(openblas_get_corename()) != ATTN_ISA_AVX512;
}

/* The first product maps BLAS's buffer, where its kernels need one. */
static void warm_up(void) {
  static const float a[16], b[16];
  float c[16];
  attn__product product = {
      .rows = 4, .cols = 4, .inner = 4, .a = a, .stride_a = 4, .b = {b, 4, 0}, .c = c, .stride_c = 4};
  enter();
  multiply(&product);
  leave();
}

int32_t attn__blas_present(void) {
  return 1;
}

const attn__engine *attn__blas_start(int64_t threads) {
  if (!can_map(buffer_bytes * (size_t)attn__min(threads, MOST_CALLERS))) return NULL;
  pthread_once(&seats.once, start_once);
  if (seats.limit == 0) return NULL;
  warm_up();
  return &engine;
}

void attn__blas_describe(attn__blas_info *info) {
  static const char *const flavors[] = {"serial", "pthread", "openmp"};
  int flavor = openblas_get_parallel();
  /* The config begins "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ...". */
  const char *config = openblas_get_config();
  size_t name = strcspn(config, " ");
  name += config[name] ? 1 + strcspn(config + name + 1, " ") : 0;
  snprintf(info->name, sizeof info->name, "%.*s", (int)name, config);
  info->flavor = flavor >= 0 && flavor < 3 ? flavors[flavor] : "unknown";
  info->core = openblas_get_corename();
  info->isa = core_isa(info->core);
}
