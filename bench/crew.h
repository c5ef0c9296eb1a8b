/* crew.h - the bench's own threads, for the probe and for the rival's heads.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

typedef struct bench_crew bench_crew;

/* One thread's part of a job; member counts from 0, and 0 is the caller. */
typedef void (*crew_task)(void *job, int member, int members);

/* crew_open - starts members - 1 threads, which sleep between jobs; NULL if they cannot be had. */
bench_crew *crew_open(int members);

int crew_members(const bench_crew *crew);

/* crew_run - runs task once on each member, all at once, and returns when all have returned. */
void crew_run(bench_crew *crew, crew_task task, void *job);

/* crew_close - ends the threads. NULL is ignored. */
void crew_close(bench_crew *crew);

#endif
