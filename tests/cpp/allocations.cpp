// allocations.cpp - counts what the program allocates; apart from its callers, so that none is left out.
// SPDX-License-Identifier: BSD-3-Clause
#include "allocations.hpp"

#include <cstdlib>
#include <new>

int allocations = 0;

void *operator new(std::size_t bytes) {
  allocations++;
  void *const memory = std::malloc(bytes ? bytes : 1);
  if (!memory) std::abort();
  return memory;
}

void operator delete(void *memory) noexcept {
  std::free(memory);
}

void operator delete(void *memory, std::size_t) noexcept {
  std::free(memory);
}
