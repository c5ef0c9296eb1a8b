/* wrapped.c - what the library asks of the C library, to be counted and made to fail.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The linker leads the library's calls here, and also those of the tests, which are left alone.
 */
#define _GNU_SOURCE
#include "wrapped.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

/* Not in any header: what the linker makes of the names. */
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *memory);
void __wrap_free(void *memory);
void *__real_mmap(void *address, size_t length, int protection, int flags, int file, off_t offset);
void *__wrap_mmap(void *address, size_t length, int protection, int flags, int file, off_t offset);
int __real_munmap(void *address, size_t length);
int __wrap_munmap(void *address, size_t length);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                          void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                          void *argument);
int __real_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_join(pthread_t thread, void **result);
int __real_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int __real_sched_getaffinity(pid_t process, size_t size, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t process, size_t size, cpu_set_t *set);
long __real_sysconf(int name);
long __wrap_sysconf(int name);

wrapped_state wrapped;
static int armed;

void wrapped_arm(int64_t fail_at, int from_then_on) {
  wrapped.fail_at = fail_at;
  wrapped.from_then_on = from_then_on;
  wrapped.requests = wrapped.failed = 0;
  armed = 1;
}

void wrapped_disarm(void) {
  armed = 0;
}

/* Counts as a request: 1 if it is to fail. */
static int fails(void) {
  if (!armed) return 0;
  const int64_t request = wrapped.requests++;
  const int failed = request == wrapped.fail_at ||
                     (wrapped.from_then_on && wrapped.fail_at >= 0 && request > wrapped.fail_at);
  wrapped.failed += failed;
  if (failed) errno = ENOMEM;
  return failed;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
  void *memory = fails() ? NULL : __real_aligned_alloc(alignment, size);
  wrapped.live_blocks += memory != NULL;
  return memory;
}

void __wrap_free(void *memory) {
  wrapped.live_blocks -= memory != NULL;
  __real_free(memory);
}

void *__wrap_mmap(void *address, size_t length, int protection, int flags, int file, off_t offset) {
  void *memory = fails() ? MAP_FAILED : __real_mmap(address, length, protection, flags, file, offset);
  wrapped.live_blocks += memory != MAP_FAILED;
  return memory;
}

int __wrap_munmap(void *address, size_t length) {
  wrapped.live_blocks--;
  return __real_munmap(address, length);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                          void *argument) {
  const int status = fails() ? EAGAIN : __real_pthread_create(thread, attributes, start, argument);
  wrapped.live_threads += status == 0;
  return status;
}

int __wrap_pthread_join(pthread_t thread, void **result) {
  const int status = __real_pthread_join(thread, result);
  wrapped.live_threads -= status == 0;
  return status;
}

int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void)) {
  const int status = fails() ? ENOMEM : __real_pthread_atfork(prepare, parent, child);
  wrapped.unguarded += status != 0;
  return status;
}

int __wrap_sched_getaffinity(pid_t process, size_t size, cpu_set_t *set) {
  return fails() ? -1 : __real_sched_getaffinity(process, size, set);
}

long __wrap_sysconf(int name) {
  return fails() ? -1 : __real_sysconf(name);
}
