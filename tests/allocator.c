/* allocator.c - a host's allocator for contexts.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "allocator.h"

#include <math.h>
#include <string.h>

static void note(allocator *self, int is_violation) {
  self->violations += is_violation || !pthread_equal(pthread_self(), self->caller);
}

static void *allocate(void *user, uint64_t bytes, uint64_t alignment) {
  allocator *self = user;
  int n = 0;
  note(self, bytes == 0 || alignment == 0 || (alignment & (alignment - 1)) != 0 || alignment > 4096);
  if (self->allocations++ == self->fail_at) return NULL;
  while (n < ALLOCATOR_BLOCKS && self->blocks[n].data) n++;
  if (n == ALLOCATOR_BLOCKS) return NULL;
  const uint64_t room = (bytes + alignment - 1) / alignment * alignment;
  self->blocks[n].memory = guarded_make((int64_t)(room / sizeof(float)), GUARD_AFTER);
  self->blocks[n].data = self->blocks[n].memory.data;
  self->blocks[n].bytes = bytes;
  self->live_bytes += bytes;
  for (uint64_t at = 0; at < bytes; at += sizeof self->fill)
    memcpy((char *)self->blocks[n].data + at, &self->fill,
           bytes - at < sizeof self->fill ? bytes - at : sizeof self->fill);
  return self->blocks[n].data;
}

static int is_all_zero(const unsigned char *memory, uint64_t bytes) {
  return bytes == 0 || (memory[0] == 0 && memcmp(memory, memory + 1, bytes - 1) == 0);
}

static void deallocate(void *user, void *memory, uint64_t bytes) {
  allocator *self = user;
  int n = 0;
  while (n < ALLOCATOR_BLOCKS && self->blocks[n].data != memory) n++;
  note(self, memory == NULL || n == ALLOCATOR_BLOCKS || self->blocks[n].bytes != bytes);
  if (n == ALLOCATOR_BLOCKS) return;
  self->returned++;
  self->wiped += is_all_zero(memory, bytes);
  self->live_bytes -= self->blocks[n].bytes;
  self->blocks[n].data = NULL;
  guarded_free(&self->blocks[n].memory);
}

attn_options allocator_options(allocator *self, int32_t threads) {
  *self = (allocator){.fill = NAN, .fail_at = ALLOCATOR_NEVER, .caller = pthread_self()};
  return (attn_options){.size = sizeof(attn_options),
                        .threads = threads,
                        .user = self,
                        .allocate = allocate,
                        .deallocate = deallocate};
}

void allocator_assert_balanced(const allocator *self) {
  assert_int_equal(self->violations, 0);
  assert_int_equal(self->live_bytes, 0);
}

attn_context *allocator_context(const attn_options *options) {
  attn_context *context;
  if (attn_create(&context, options) != ATTN_OK) fail_msg("%s", attn_last_error(NULL));
  return context;
}
