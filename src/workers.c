/* workers.c - the threads of a context: the only file that starts one.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "workers.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "base.h"

/* Waking a thread that sleeps takes longer than a small job. So who waits looks for a while first, and lets
 * others have the CPU between looks. */
enum { LOOKS_NS = 100000, LOCK_TRIES = 100 };

struct attn__workers {
  int64_t count; /* threads wanted, the caller included */
  pid_t process; /* that the threads belong to; 0: not started */
  int64_t started;
  pthread_mutex_t mutex;
  pthread_cond_t work, done;
  /* The job, under the mutex. */
  attn_task task;
  void *job;
  int64_t next, end; /* indices not yet taken */
  int32_t stop;
  /* Written under the mutex or by who posts a job, looked at without it. */
  atomic_int_least64_t jobs;    /* posted so far */
  atomic_int_least64_t running; /* indices that threads of the pool are at */
  pthread_t threads[];
};

uint64_t attn__workers_bytes(int64_t count) {
  return sizeof(attn__workers) + (uint64_t)count * sizeof(pthread_t);
}

attn__workers *attn__workers_create(void *memory, int64_t count) {
  attn__workers *workers = memory;
  *workers = (attn__workers){.count = count};
  return workers;
}

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Looks until the value is another, for LOOKS_NS at most. */
static void await_change(const atomic_int_least64_t *value, int64_t old) {
  const int64_t end = now_ns() + LOOKS_NS;
  while (atomic_load_explicit(value, memory_order_relaxed) == old && now_ns() < end) sched_yield();
}

/* The mutex is held for some instructions at a time, less than going to sleep for it takes. */
static void lock(attn__workers *workers) {
  for (int32_t i = 0; i < LOCK_TRIES; i++)
    if (pthread_mutex_trylock(&workers->mutex) == 0) return;
  pthread_mutex_lock(&workers->mutex);
}

/* Takes one index and runs it; the mutex is held before and after. */
static void run_next(attn__workers *workers) {
  int64_t index = workers->next++;
  pthread_mutex_unlock(&workers->mutex);
  workers->task(workers->job, index);
  lock(workers);
}

static void *worker_main(void *argument) {
  attn__workers *workers = argument;
  lock(workers);
  for (;;) {
    if (workers->next == workers->end && !workers->stop) {
      const int64_t jobs = atomic_load_explicit(&workers->jobs, memory_order_relaxed);
      pthread_mutex_unlock(&workers->mutex);
      await_change(&workers->jobs, jobs);
      lock(workers);
    }
    while (workers->next == workers->end && !workers->stop)
      pthread_cond_wait(&workers->work, &workers->mutex);
    if (workers->stop) break;
    workers->running++;
    run_next(workers);
    if (--workers->running == 0) pthread_cond_signal(&workers->done);
  }
  pthread_mutex_unlock(&workers->mutex);
  return NULL;
}

/* The process's signals are for the host's threads, so ours begin with all of them blocked. */
static void start_threads(attn__workers *workers) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (workers->started = 0; workers->started < workers->count - 1; workers->started++)
    if (pthread_create(&workers->threads[workers->started], NULL, worker_main, workers) != 0) break;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Starts the threads if this process has none: at the first job, or the first after a fork, when what
 * the mutex and conditions hold is of threads that are not here. */
static void ensure_started(attn__workers *workers) {
  pid_t process = getpid();
  if (workers->process == process) return;
  workers->mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER; /* unlike pthread_mutex_init, cannot fail */
  workers->work = workers->done = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
  workers->next = workers->end = 0;
  workers->jobs = workers->running = 0;
  workers->process = process;
  start_threads(workers);
}

/* Until no thread of the pool is at an index; the mutex is held before and after. */
static void await_idle(attn__workers *workers) {
  const int64_t end = now_ns() + LOOKS_NS;
  pthread_mutex_unlock(&workers->mutex);
  while (atomic_load_explicit(&workers->running, memory_order_relaxed) > 0 && now_ns() < end) sched_yield();
  lock(workers);
  while (workers->running > 0) pthread_cond_wait(&workers->done, &workers->mutex);
}

void attn__workers_run(attn__workers *workers, int64_t count, attn_task task, void *job) {
  ensure_started(workers);
  lock(workers);
  workers->task = task;
  workers->job = job;
  workers->next = 0;
  workers->end = count;
  for (int64_t i = 1; i < count; i++) pthread_cond_signal(&workers->work);
  pthread_mutex_unlock(&workers->mutex);
  atomic_fetch_add_explicit(&workers->jobs, 1, memory_order_relaxed);
  lock(workers);
  while (workers->next < workers->end) run_next(workers);
  await_idle(workers);
  pthread_mutex_unlock(&workers->mutex);
}

void attn__workers_stop(attn__workers *workers) {
  if (workers->process != getpid()) return; /* never started, or the threads are the parent's */
  lock(workers);
  workers->stop = 1;
  workers->jobs++;
  pthread_cond_broadcast(&workers->work);
  pthread_mutex_unlock(&workers->mutex);
  for (int64_t i = 0; i < workers->started; i++) pthread_join(workers->threads[i], NULL);
  pthread_cond_destroy(&workers->done);
  pthread_cond_destroy(&workers->work);
  pthread_mutex_destroy(&workers->mutex);
}
