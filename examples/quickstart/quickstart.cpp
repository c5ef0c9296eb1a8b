// quickstart.cpp - three words, each of which looks at itself and at those before it.
// SPDX-License-Identifier: BSD-3-Clause
//
//     c++ -std=c++17 quickstart.cpp $(pkg-config --cflags --libs libattn) -o quickstart && ./quickstart
#include <attn/attn.hpp>

#include <cstdio>
#include <vector>

static void print_rows(const char *name, const std::vector<float> &rows, std::size_t width) {
  std::printf("%s\n", name);
  for (std::size_t n = 0; n < rows.size(); n++)
    std::printf("%7.3f%s", static_cast<double>(rows[n]), (n + 1) % width ? "" : "\n");
}

int main() try {
  const std::vector<float> words{1, 0, 1, 0, 0, 2, 0, 2, 1, 1, 1, 1};
  std::vector<float> output(3 * 4), weights(3 * 3);
  const attn::view rows(words, {1, 1, 3, 4}); // batch, heads, rows, columns
  attn::args args(rows, rows, rows, attn::view(output, {1, 1, 3, 4}));
  args.causal().weights(attn::view(weights, {1, 1, 3, 3}));
  attn::context context;
  context.global(args);
  print_rows("weights", weights, 3);
  print_rows("output", output, 4);
} catch (const attn::error &error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
