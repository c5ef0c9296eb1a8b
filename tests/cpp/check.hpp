// check.hpp - what a test of the C++ header needs: a condition that ends the program where it fails.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ATTN_TESTS_CHECK_HPP
#define ATTN_TESTS_CHECK_HPP

#include <cstdio>
#include <cstdlib>
#include <cstring>

#define CHECK(condition)                                                                                   \
  do {                                                                                                     \
    if (!(condition)) {                                                                                    \
      std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                         \
      std::exit(1);                                                                                        \
    }                                                                                                      \
  } while (0)

#define CHECK_TEXT(text, expected)                                                                         \
  do {                                                                                                     \
    if (std::strcmp(text, expected) != 0) {                                                                \
      std::fprintf(stderr, "%s:%d: expected \"%s\", got \"%s\"\n", __FILE__, __LINE__, expected, text);    \
      std::exit(1);                                                                                        \
    }                                                                                                      \
  } while (0)

#endif
