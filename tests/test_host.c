/* test_host.c - what belongs to the host is the same after every call as before it; BLAS's own threads do nothing.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fenv.h>
#include <locale.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "feature.h"
#include "layer.h"

extern char **environ;

enum { MARKED_ERRNO = 77777, MOST_THREADS = 64 };

/* All of it is compared as bytes. */
typedef struct host_state {
  int error, rounding, blas_threads, files, nice;
  unsigned int sse; /* the control bits: rounding, traps, denormals */
  unsigned short x87;
  mode_t mask;
  sigset_t signals;
  cpu_set_t processors;
  char **environment;
  uint64_t variables; /* a hash */
  char folder[1024], locale[256];
  void (*handlers[32])(int);
} host_state;

static uint64_t hash_environment(void) {
  uint64_t hash = 14695981039346656037u;
  for (char **variable = environ; *variable; variable++)
    for (const char *at = *variable; *at; at++) hash = (hash ^ (unsigned char)*at) * 1099511628211u;
  return hash;
}

static int count_files(void) {
  int count = 0;
  DIR *folder = opendir("/proc/self/fd");
  assert_non_null(folder);
  while (readdir(folder)) count++;
  closedir(folder);
  return count;
}

static int count_blas_threads(void) {
  int (*count)(void);
  *(void **)&count = dlsym(RTLD_DEFAULT, "openblas_get_num_threads");
  assert_non_null(*(void **)&count);
  return count();
}

static void take_float_state(host_state *state) {
  state->rounding = fegetround();
#if defined(__x86_64__)
  state->sse = _mm_getcsr() & ~0x3fu;
  __asm__ volatile("fnstcw %0" : "=m"(state->x87));
#endif
}

static void take_state(host_state *state) {
  const int error = errno;
  memset(state, 0, sizeof *state);
  state->error = error;
  take_float_state(state);
  state->blas_threads = count_blas_threads();
  state->files = count_files();
  state->nice = getpriority(PRIO_PROCESS, 0);
  state->mask = umask(0);
  umask(state->mask);
  pthread_sigmask(SIG_SETMASK, NULL, &state->signals);
  sched_getaffinity(0, sizeof state->processors, &state->processors);
  state->environment = environ;
  state->variables = hash_environment();
  assert_non_null(getcwd(state->folder, sizeof state->folder));
  strncpy(state->locale, setlocale(LC_ALL, NULL), sizeof state->locale - 1);
  for (int number = 1; number < 32; number++) {
    struct sigaction action;
    if (sigaction(number, NULL, &action) == 0) state->handlers[number] = action.sa_handler;
  }
}

/* Around each call. */
static host_state before, after;
static int64_t calls;

static void begin(void) {
  take_state(&before);
  feraiseexcept(FE_ALL_EXCEPT);
  errno = before.error = MARKED_ERRNO;
}

static void end(void) {
  take_state(&after);
  assert_int_equal(after.error, MARKED_ERRNO);
  assert_int_equal(after.rounding, before.rounding);
  assert_int_equal(after.sse, before.sse);
  assert_int_equal(after.blas_threads, before.blas_threads);
  assert_int_equal(after.files, before.files);
  assert_memory_equal(&after, &before, sizeof after);
  assert_int_equal(fetestexcept(FE_ALL_EXCEPT), FE_ALL_EXCEPT);
  calls++;
}

/* A host's allocator, which says why it fails. */
static int memory_left = 1;

static void *allocate(void *user, uint64_t bytes, uint64_t alignment) {
  void *memory = NULL;
  (void)user;
  errno = ENOMEM;
  if (memory_left && posix_memalign(&memory, alignment, bytes) != 0) return NULL;
  return memory;
}

static void deallocate(void *user, void *memory, uint64_t bytes) {
  (void)user;
  (void)bytes;
  free(memory);
  errno = EINVAL;
}

static attn_context *create(int32_t threads) {
  attn_context *context;
  attn_options options = {
      .size = sizeof options, .threads = threads, .allocate = allocate, .deallocate = deallocate};
  memory_left = 0;
  begin();
  const int32_t refused = attn_create(&context, &options);
  end();
  memory_left = 1;
  assert_int_equal(refused, ATTN_ERROR_MEMORY);
  begin();
  const int32_t status = attn_create(&context, &options);
  end();
  assert_int_equal(status, ATTN_OK);
  return context;
}

static void destroy(attn_context *context) {
  begin();
  attn_destroy(context);
  end();
}

static const case_spec shapes[] = {
    {.batch = 2, .heads_q = 4, .heads_kv = 2, .len_q = 70, .len_k = 140, .dim = 9, .dim_v = 12, .lse = 1},
    {.batch = 2, .heads_q = 6, .heads_kv = 2, .len_q = 1, .len_k = 150, .dim = 8, .lse = 1},
    {.batch = 1, .heads_q = 2, .len_q = 1, .len_k = 5000, .dim = 16},
};

static void call_attention(attn_context *context, const case_spec *shape, const feature *f) {
  random_source source = random_seeded(support_seed());
  attn_plan plan = {.size = sizeof plan};
  attention_case c;
  case_open(&c, shape, &source);
  feature_apply(f, &c, &source);
  memory_left = 0;
  begin();
  const int32_t refused = attn_local(context, &(attn_args){.size = 8});
  end();
  assert_int_equal(refused, ATTN_ERROR_ARGUMENT);
  memory_left = 1;
  begin();
  attn_explain(context, &c.args, &plan);
  end();
  begin();
  case_run(&c, context);
  end();
  case_close(&c);
}

static void call_layer(attn_context *context) {
  const layer_spec spec = {.batch = 2,
                           .heads_q = 4,
                           .len = 40,
                           .dim = 6,
                           .dim_model = 20,
                           .biases = 15,
                           .project = 1,
                           .rope = ATTN_ROPE_HALF};
  random_source source = random_seeded(support_seed());
  layer_case c;
  layer_open(&c, &spec, &source);
  begin();
  layer_run(&c, context);
  end();
  layer_close(&c);
}

/* Numbers that overflow, underflow and are no numbers. */
static void call_others(attn_context *context) {
  static float numbers[4] = {-1e30f, 3e38f, -104, 0}, lse[4];
  static const float *const parts[2] = {numbers, numbers}, *const lses[2] = {lse, lse};
  float output[4];
  attn_info info = {.size = sizeof info};
  const attn_softmax_args softmax = {
      .size = sizeof softmax, .rows = 2, .cols = 2, .input = numbers, .output = output, .lse = lse};
  const attn_merge_args merge = {.size = sizeof merge,
                                 .parts = 2,
                                 .batch = 1,
                                 .heads = 1,
                                 .len_q = 2,
                                 .dim_v = 2,
                                 .outputs = parts,
                                 .lses = lses,
                                 .output = output};
  begin();
  assert_int_equal(attn_softmax(context, &softmax), ATTN_OK);
  assert_int_equal(attn_merge(context, &merge), ATTN_OK);
  assert_int_equal(attn_describe(context, &info), ATTN_OK);
  assert_true(attn_description(context)[0] && !attn_last_error(context)[0]);
  assert_int_equal(attn_global(NULL, NULL), ATTN_ERROR_ARGUMENT);
  end();
}

/* Each option with the first so many shapes. */
static void call_everything(int32_t threads, size_t shape_count) {
  attn_context *context = create(threads);
  for (size_t shape = 0; shape < shape_count; shape++)
    for (int64_t n = 0; n < feature_count; n++) call_attention(context, &shapes[shape], &features[n]);
  call_attention(context, &shapes[2], feature_named("scale"));
  call_layer(context);
  call_others(context);
  destroy(context);
}

static void test_nothing_changes(void **state) {
  (void)state;
  call_everything(1, 2);
  call_everything(3, 1);
  assert_true(calls > 300);
}

/* A host with settings of its own. */
static void test_an_unusual_host(void **state) {
  (void)state;
  sigset_t signals, usual;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  pthread_sigmask(SIG_SETMASK, &signals, &usual);
  const int modes[] = {FE_UPWARD, FE_TOWARDZERO};
  for (size_t n = 0; n < COUNT_OF(modes); n++) {
    fesetround(modes[n]);
#if defined(__x86_64__)
    _mm_setcsr(_mm_getcsr() | 0x8040); /* denormals are zero, and flushed to it */
#endif
    call_everything(2, 1);
    fesetenv(FE_DFL_ENV);
  }
  pthread_sigmask(SIG_SETMASK, &usual, NULL);
}

/* The threads of this process but the calling one; returns how many. */
static int other_threads(int ids[MOST_THREADS]) {
  int count = 0;
  DIR *folder = opendir("/proc/self/task");
  assert_non_null(folder);
  for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
    if (entry->d_name[0] != '.' && atoi(entry->d_name) != getpid() && count < MOST_THREADS)
      ids[count++] = atoi(entry->d_name);
  closedir(folder);
  return count;
}

/* The time that a thread has used, in nanoseconds: Linux makes its clock's number from its own. */
static int64_t time_of_thread(int id) {
  struct timespec used;
  const clockid_t clock = (clockid_t)(~(unsigned int)id << 3 | 6);
  assert_int_equal(clock_gettime(clock, &used), 0);
  return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

static int64_t time_of_threads(const int *ids, int count) {
  int64_t sum = 0;
  for (int n = 0; n < count; n++) sum += time_of_thread(ids[n]);
  return sum;
}

/* BLAS's threads spin for a while before they sleep; returns what they have used by then. */
static int64_t time_at_rest(const int *ids, int count) {
  int64_t used = time_of_threads(ids, count);
  for (int tries = 0; tries < 100; tries++) {
    const int64_t sooner = used;
    usleep(50000);
    used = time_of_threads(ids, count);
    if (used == sooner) break;
  }
  return used;
}

static void test_blas_threads_do_nothing(void **state) {
  (void)state;
  int ids[MOST_THREADS];
  const case_spec spec = {.batch = 1, .heads_q = 4, .len_q = 300, .len_k = 400, .dim = 128};
  random_source source = random_seeded(support_seed());
  attention_case c;
  const int count = other_threads(ids); /* none is ours yet */
  const int workers = context_multiplies_in_parallel() ? 2 : 0;
  attn_context *context = context_with_threads(3);
  case_open(&c, &spec, &source);
  const int64_t used = time_at_rest(ids, count);
  for (int n = 0; n < 30; n++) {
    case_run(&c, context);
    assert_int_equal(count_threads(), 1 + count + workers);
  }
  assert_int_equal(time_of_threads(ids, count), used);
  case_close(&c);
  attn_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_blas_threads_do_nothing),
      cmocka_unit_test(test_nothing_changes),
      cmocka_unit_test(test_an_unusual_host),
  };
  const int skipped = support_skip_missing_isa();
  return skipped ? skipped : cmocka_run_group_tests(tests, NULL, NULL);
}
