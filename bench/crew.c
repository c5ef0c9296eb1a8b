/* crew.c - the bench's own threads, for the probe and for the rival's heads.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _POSIX_C_SOURCE 200809L
#include "crew.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct member {
  bench_crew *crew;
  int index;
  pthread_t thread;
} member;

struct bench_crew {
  pthread_mutex_t mutex;
  pthread_cond_t begin, end;
  crew_task task; /* NULL: go home */
  void *job;
  uint64_t round; /* how many jobs there were */
  int busy;       /* threads still at the job */
  int members;    /* the caller included */
  member *all;    /* all[0] is the caller */
};

static void *work(void *argument) {
  member *self = argument;
  bench_crew *crew = self->crew;
  for (uint64_t round = 1;; round++) {
    pthread_mutex_lock(&crew->mutex);
    while (crew->round < round) pthread_cond_wait(&crew->begin, &crew->mutex);
    crew_task task = crew->task;
    pthread_mutex_unlock(&crew->mutex);
    if (task == NULL) return NULL;
    task(crew->job, self->index, crew->members);
    pthread_mutex_lock(&crew->mutex);
    if (--crew->busy == 0) pthread_cond_signal(&crew->end);
    pthread_mutex_unlock(&crew->mutex);
  }
}

static void begin_round(bench_crew *crew, crew_task task, void *job) {
  pthread_mutex_lock(&crew->mutex);
  crew->task = task;
  crew->job = job;
  crew->busy = crew->members - 1;
  crew->round++;
  pthread_cond_broadcast(&crew->begin);
  pthread_mutex_unlock(&crew->mutex);
}

bench_crew *crew_open(int members) {
  bench_crew *crew = calloc(1, sizeof *crew);
  if (crew == NULL) return NULL;
  crew->all = calloc((size_t)members, sizeof *crew->all);
  pthread_mutex_init(&crew->mutex, NULL);
  pthread_cond_init(&crew->begin, NULL);
  pthread_cond_init(&crew->end, NULL);
  for (crew->members = 1; crew->all != NULL && crew->members < members; crew->members++) {
    member *next = &crew->all[crew->members];
    next->crew = crew;
    next->index = crew->members;
    if (pthread_create(&next->thread, NULL, work, next) != 0) break;
  }
  if (crew->all != NULL && crew->members == members) return crew;
  crew_close(crew);
  return NULL;
}

int crew_members(const bench_crew *crew) {
  return crew->members;
}

void crew_run(bench_crew *crew, crew_task task, void *job) {
  if (crew->members > 1) begin_round(crew, task, job);
  task(job, 0, crew->members);
  if (crew->members == 1) return;
  pthread_mutex_lock(&crew->mutex);
  while (crew->busy > 0) pthread_cond_wait(&crew->end, &crew->mutex);
  pthread_mutex_unlock(&crew->mutex);
}

void crew_close(bench_crew *crew) {
  if (crew == NULL) return;
  begin_round(crew, NULL, NULL);
  for (int index = 1; index < crew->members; index++) pthread_join(crew->all[index].thread, NULL);
  pthread_cond_destroy(&crew->end);
  pthread_cond_destroy(&crew->begin);
  pthread_mutex_destroy(&crew->mutex);
  free(crew->all);
  free(crew);
}
