/* support.h - what the tests share: cmocka, random numbers, guarded memory, bits, contexts.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_SUPPORT_H
#define ATTN_SUPPORT_H

/* cmocka.h needs these. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "attn/attn.h"

enum { SUPPORT_SKIPPED = 77 }; /* what a test program returns that cannot run here */

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The same seed gives the same numbers. */
typedef struct random_source {
  uint64_t state;
} random_source;

random_source random_seeded(uint64_t seed);
uint64_t random_bits(random_source *source);

/* low <= number <= high, each as likely. */
int64_t random_between(random_source *source, int64_t low, int64_t high);

/* 1 once in so many times. */
int random_once_in(random_source *source, int64_t times);

/* 0 <= number < 1. */
double random_uniform(random_source *source);

/* Mean 0, variance 1. */
float random_normal(random_source *source);

/* The seed of round 0 of a random test: ATTN_TEST_SEED, or a fixed one. Round n has the seed plus n. */
uint64_t support_seed(void);

/* How many rounds: ATTN_TEST_ROUNDS, or as many as are given. */
int64_t support_rounds(int64_t rounds);

/* One of two counts: the second where ATTN_TEST_LONG is set, else the first. */
int64_t support_count(int64_t usual, int64_t thorough);

/* Around each round of a random test, whose teardown then prints the seed of a round that failed. */
void support_round_begins(int64_t round);
void support_round_ends(void);
int support_print_seed(void **state);

/* Floats between two unreadable pages, and flush with one of them. */
typedef enum guard_side { GUARD_BEFORE, GUARD_AFTER } guard_side;

typedef struct guarded {
  float *data;
  void *pages;
  size_t bytes; /* of the pages */
} guarded;

guarded guarded_make(int64_t count, guard_side side);
void guarded_free(guarded *memory);

/* Whole pages that may not be touched at all, for so many floats. */
guarded guarded_forbidden(int64_t count);

/* A number that no result has: a NaN with a known payload. */
float canary(void);
int is_canary(float x);

uint32_t bits_of(float x);
float float_of(uint32_t bits);

/* How many of two arrays' numbers differ in any bit. */
int64_t count_different(int64_t count, const float *a, const float *b);

/* The distance of two floats in representable numbers; 0 for two NaNs. */
int64_t ulps_between(float a, float b);

/* A context with so many threads (0: default), all else default. */
attn_context *context_with_threads(int32_t threads);

/* 1 if calls with several threads use them: not where BLAS is the serial flavour. */
int context_multiplies_in_parallel(void);

/* How many threads this process has. */
int count_threads(void);

/* As count_threads, but gives those that have ended up to a second to be gone: down to expected. */
int count_threads_at_rest(int expected);

/* 1 if a forked child may start threads: not under the thread sanitizer. */
int children_may_start_threads(void);

/* Runs work(argument) in a forked child; 1 if it returns 1 there within a minute. */
int succeeds_in_child(int (*work)(void *argument), void *argument);

/* 1 if Linux (from 5.16 on) can let processes have AMX's tile registers, or lets this one; else 0. */
enum { SUPPORT_TILES_SUPPORTED = 0x1021, SUPPORT_TILES_PERMITTED = 0x1022 }; /* arch_prctl's numbers */
int support_tiles(int question);

/* Says why on standard output if this machine lacks the instruction set that ATTN_ISA asks for, and
 * returns SUPPORT_SKIPPED; else 0. For the start of main. */
int support_skip_missing_isa(void);

#endif
