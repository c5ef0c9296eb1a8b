// allocations.hpp - how often the program has called operator new.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ATTN_TESTS_ALLOCATIONS_HPP
#define ATTN_TESTS_ALLOCATIONS_HPP

extern int allocations;

#endif
