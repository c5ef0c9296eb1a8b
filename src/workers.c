/* workers.c - the threads of a context: the only file that starts one.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "workers.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "base.h"

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
  int64_t running;   /* indices that threads of the pool are at */
  int32_t stop;
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

/* Takes one index and runs it; the mutex is held before and after. */
static void run_next(attn__workers *workers) {
  int64_t index = workers->next++;
  pthread_mutex_unlock(&workers->mutex);
  workers->task(workers->job, index);
  pthread_mutex_lock(&workers->mutex);
}

static void *worker_main(void *argument) {
  attn__workers *workers = argument;
  pthread_mutex_lock(&workers->mutex);
  for (;;) {
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
  pthread_mutex_init(&workers->mutex, NULL);
  pthread_cond_init(&workers->work, NULL);
  pthread_cond_init(&workers->done, NULL);
  workers->next = workers->end = workers->running = 0;
  workers->process = process;
  start_threads(workers);
}

void attn__workers_run(attn__workers *workers, int64_t count, attn_task task, void *job) {
  ensure_started(workers);
  pthread_mutex_lock(&workers->mutex);
  workers->task = task;
  workers->job = job;
  workers->next = 0;
  workers->end = count;
  for (int64_t i = 1; i < count; i++) pthread_cond_signal(&workers->work);
  while (workers->next < workers->end) run_next(workers);
  while (workers->running > 0) pthread_cond_wait(&workers->done, &workers->mutex);
  pthread_mutex_unlock(&workers->mutex);
}

void attn__workers_stop(attn__workers *workers) {
  if (workers->process != getpid()) return; /* never started, or the threads are the parent's */
  pthread_mutex_lock(&workers->mutex);
  workers->stop = 1;
  pthread_cond_broadcast(&workers->work);
  pthread_mutex_unlock(&workers->mutex);
  for (int64_t i = 0; i < workers->started; i++) pthread_join(workers->threads[i], NULL);
  pthread_cond_destroy(&workers->done);
  pthread_cond_destroy(&workers->work);
  pthread_mutex_destroy(&workers->mutex);
}
