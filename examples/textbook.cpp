// textbook.cpp - the same from C++17: views instead of pointers, a context that frees itself, exceptions.
// SPDX-License-Identifier: BSD-3-Clause
//
//     c++ -std=c++17 textbook.cpp $(pkg-config --cflags --libs libattn) -o textbook && ./textbook
#include <attn/attn.hpp>

#include <exception>
#include <iostream>
#include <vector>

int main() try {
  attn::context context;
  std::cout << context.description() << '\n';
  const std::vector<float> word{1, 2, 3, 4};
  std::vector<float> output(4);
  const attn::view row(word, {1, 1, 1, 4}); // batch, heads, rows, columns
  context.global(attn::args(row, row, row, attn::view(output, {1, 1, 1, 4})));
  for (const float number : output) std::cout << number << ' ';
  std::cout << '\n';
  return output == word ? 0 : 1;
} catch (const std::exception &error) {
  std::cerr << "textbook: " << error.what() << '\n';
  return 1;
}
