// textbook.cpp - the same from C++: a context that frees itself, errors as exceptions.
// SPDX-License-Identifier: BSD-3-Clause
//
//     c++ -std=c++17 textbook.cpp $(pkg-config --cflags --libs libattn) -o textbook && ./textbook
#include <attn/attn.h>

#include <iostream>
#include <memory>
#include <stdexcept>
#include <vector>

namespace {

struct Destroy {
  void operator()(attn_context *context) const {
    attn_destroy(context);
  }
};
using Context = std::unique_ptr<attn_context, Destroy>;

Context create() {
  attn_context *context = nullptr;
  if (attn_create(&context, nullptr) != ATTN_OK) throw std::runtime_error(attn_last_error(nullptr));
  return Context(context);
}

// One head of as many queries as keys.
std::vector<float> attend(const Context &context, const std::vector<float> &rows, int64_t dim) {
  std::vector<float> output(rows.size());
  attn_args args{};
  args.size = sizeof args;
  args.batch = args.heads_q = 1;
  args.len_q = args.len_k = static_cast<int64_t>(rows.size()) / dim;
  args.dim = dim;
  args.query = args.key = args.value = rows.data();
  args.output = output.data();
  if (attn_global(context.get(), &args) != ATTN_OK)
    throw std::runtime_error(attn_last_error(context.get()));
  return output;
}

} // namespace

int main() try {
  const Context context = create();
  std::cout << attn_description(context.get()) << '\n';
  const std::vector<float> word{1, 2, 3, 4};
  const std::vector<float> output = attend(context, word, 4);
  for (float x : output) std::cout << x << ' ';
  std::cout << '\n';
  return output == word ? 0 : 1;
} catch (const std::exception &error) {
  std::cerr << "textbook: " << error.what() << '\n';
  return 1;
}
