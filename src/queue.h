/* queue.h - the tasks of a call, which its strands share.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A strand has tasks of its own and then takes those of others. They are the same in every call of a shape, so that a
 * core finds in its caches what it has read and written the time before, instead of fetching it from another core.
 */
#ifndef ATTN_QUEUE_H
#define ATTN_QUEUE_H

#include <stdatomic.h>

#include "base.h"

enum { ATTN__QUEUE_LANES = 64 };

/* Round after round, each lane has a task: from the first lane to the last, and in the next round back, so that what gets
 * shorter with each task is shared evenly too. */
typedef struct attn__queue {
  int64_t tasks, lanes;
  struct {
    _Alignas(ATTN_CACHE_LINE) atomic_int_least64_t taken;
  } lane[ATTN__QUEUE_LANES];
} attn__queue;

/* Sets up a queue of so many tasks for so many strands. */
static inline void attn__queue_fill(attn__queue *queue, int64_t tasks, int64_t strands) {
  queue->tasks = tasks;
  queue->lanes = attn__min(strands, ATTN__QUEUE_LANES);
  for (int64_t n = 0; n < queue->lanes; n++) atomic_init(&queue->lane[n].taken, 0);
}

/* The lane of a strand's own tasks. */
static inline int64_t attn__queue_lane(const attn__queue *queue, int64_t strand) {
  return strand % queue->lanes;
}

/* The task of a lane in a round; none if it is not below queue->tasks. */
static inline int64_t attn__queue_task(const attn__queue *queue, int64_t lane, int64_t round) {
  return round * queue->lanes + (round % 2 == 0 ? lane : queue->lanes - 1 - lane);
}

/* The task that a lane stands at, likewise. */
static inline int64_t attn__queue_next(const attn__queue *queue, int64_t lane) {
  return attn__queue_task(queue, lane,
                          atomic_load_explicit(&queue->lane[lane].taken, memory_order_relaxed));
}

/* Takes a task of the lane, or of one after it, to which *lane moves; -1 if there are no more. */
static inline int64_t attn__queue_take(attn__queue *queue, int64_t *lane) {
  for (int64_t n = 0; n < queue->lanes; n++) {
    const int64_t round = atomic_fetch_add_explicit(&queue->lane[*lane].taken, 1, memory_order_relaxed);
    const int64_t task = attn__queue_task(queue, *lane, round);
    if (task < queue->tasks) return task;
    *lane = (*lane + 1) % queue->lanes;
  }
  return -1;
}

#endif
