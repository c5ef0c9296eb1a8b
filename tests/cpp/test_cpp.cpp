// test_cpp.cpp - attn.hpp: contexts, views, errors, every verb. Compiled as C++17, as C++20 and without exceptions.
// SPDX-License-Identifier: BSD-3-Clause
#include <attn/attn.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>
#if __cplusplus >= 202002L
#include <span>
#endif

#include "allocations.hpp"
#include "check.hpp"

using attn::status;

namespace {

using floats = std::vector<float>;
using numbers = std::vector<std::int64_t>;

floats wave(std::size_t count, float step) {
  floats made(count);
  for (std::size_t n = 0; n < count; n++) made[n] = std::sin(static_cast<float>(n + 1) * step);
  return made;
}

attn::context create(const attn::settings &chosen = {}) {
  attn::context made(nullptr);
  CHECK(attn::context::try_create(made, chosen) == status::ok);
  CHECK(made.get() != nullptr);
  return made;
}

void test_context() {
  static_assert(!std::is_copy_constructible_v<attn::context> && !std::is_copy_assignable_v<attn::context>);
  static_assert(std::is_nothrow_move_constructible_v<attn::context>);
  attn::settings two;
  two.threads = 2;
  two.isa = attn::isa::reference;
  two.engine = attn::engine::builtin;
  attn::context context = create(two);
  attn_info info{};
  CHECK(context.try_describe(info) == status::ok);
  CHECK(info.threads == 2);
  CHECK_TEXT(info.isa, "reference");
  CHECK_TEXT(info.engine, "builtin");
  CHECK(std::strlen(context.description()) > 10);

  attn_context *const handle = context.get();
  attn::context moved(std::move(context));
  CHECK(moved.get() == handle && context.get() == nullptr);
  floats row{1, 1};
  const attn::view all(row, {1, 2});
  CHECK(context.try_softmax(attn::softmax_args(all, all)) == status::argument);
  CHECK_TEXT(context.last_error(), "context: expected one made by attn_create, got NULL");
  moved = create();
  CHECK(moved.get() != nullptr);
  attn::context taken(moved.release());
  CHECK(moved.get() == nullptr && taken.get() != nullptr);

  two.threads = -1;
  CHECK(attn::context::try_create(moved, two) == status::argument);
  CHECK_TEXT(moved.last_error(), "threads: expected 0 to 1024, got -1");
  CHECK_TEXT(attn::text(status::memory), "out of memory");
  CHECK_TEXT(attn::version(), attn_version_text());
}

void *hook_allocate(void *user, std::uint64_t bytes, std::uint64_t alignment) {
  ++*static_cast<int *>(user);
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

// What is given back is wiped.
void hook_deallocate(void *user, void *memory, std::uint64_t bytes) {
  const auto *begin = static_cast<const unsigned char *>(memory);
  CHECK(std::all_of(begin, begin + bytes, [](unsigned char byte) { return byte == 0; }));
  --*static_cast<int *>(user);
  std::free(memory);
}

void hook_parallel_for(void *, std::int64_t count, attn_task task, void *job) {
  for (std::int64_t index = 0; index < count; index++) task(job, index);
}

void test_hooks() {
  int live = 0;
  attn::settings hooked;
  hooked.user = &live;
  hooked.allocate = hook_allocate;
  hooked.deallocate = hook_deallocate;
  hooked.parallel_for = hook_parallel_for;
  hooked.wipe = true;
  {
    attn::context context = create(hooked);
    CHECK(live > 0);
  }
  CHECK(live == 0);
}

void test_views() {
  floats memory(24);
  const attn::view dense(memory, {2, 3, 4});
  CHECK(dense.inside() && dense.strides()[0] == 12 && dense.strides()[1] == 4 && dense.strides()[2] == 1);
  CHECK(!attn::view(memory, {2, 3, 5}).inside());
  CHECK(!attn::view(memory, {-1, 3, 4}).inside());
  CHECK(attn::view(memory, {0, 9, 9}).inside());
  CHECK(attn::view(memory, {2, 2, 4}, {12, 8, 1}).inside());
  CHECK(attn::view(memory, {2, 3, 4}, {12, 4, 1}).inside());
  CHECK(!attn::view(memory, {2, 3, 4}, {13, 4, 1}).inside());
  CHECK(!attn::view(memory, {2, 3, 4}, {-12, 4, 1}).inside());
  const std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  CHECK(!attn::view(memory, {huge, huge, huge}).inside());
  CHECK(!attn::view(memory, {2, 3, 4}, {huge, huge, huge}).inside());

  const attn::view turned = dense.swapped(0, 1);
  CHECK(turned.shape()[0] == 3 && turned.strides()[0] == 4 && turned.shape()[1] == 2);
  const attn::view spread = attn::view(memory, {1, 3, 1}).broadcast({7, 3, 5});
  CHECK(spread.inside() && spread.shape()[0] == 7 && spread.strides()[0] == 0 && spread.strides()[1] == 1);
  CHECK(!attn::view(memory, {2, 3, 4}).broadcast({7, 3, 4}).inside());

  const floats fixed(24);
  static_assert(std::is_same_v<decltype(attn::view(fixed, {24})), attn::view<const float, 1>>);
  static_assert(std::is_convertible_v<attn::view<float, 2>, attn::view<const float, 2>>);
  static_assert(!std::is_convertible_v<attn::view<const float, 2>, attn::view<float, 2>>);
  static_assert(!std::is_constructible_v<attn::span<float>, const floats &>);
  std::array<float, 4> array{};
  float plain[4] = {};
  CHECK(attn::view(array, {2, 2}).inside() && attn::view(plain, {2, 2}).inside());
  CHECK(attn::view(attn::span(plain, 4), {2, 2}).inside());
  CHECK(attn::view(static_cast<const std::array<float, 4> &>(array), {std::size_t{4}}).inside());
  const attn::view loose = attn::view<float, 2>::unchecked(plain + 2, {2, 2}, {-2, 1});
  CHECK(loose.inside() && loose.strides()[0] == -2);
#if __cplusplus >= 202002L
  const std::span<float> standard(memory);
  CHECK(attn::view(standard, {2, 12}).inside() && !attn::view(standard.first(23), {2, 12}).inside());
#endif
}

void test_refused_views() {
  attn::context context = create();
  floats q(2 * 3 * 4), k(2 * 5 * 4), v(2 * 5 * 6), out(2 * 3 * 6), wide(100);
  const attn::view query(q, {1, 2, 3, 4}), key(k, {1, 2, 5, 4}), value(v, {1, 2, 5, 6});
  const attn::view output(out, {1, 2, 3, 6});
  const attn::args right(query, key, value, output);
  CHECK(context.try_global(right) == status::ok);
  const auto refused = [&context](const attn::args &given, const char *sentence) {
    CHECK(context.try_global(given) == status::argument);
    CHECK_TEXT(context.last_error(), sentence);
  };
  refused({query, attn::view(k, {1, 2, 6, 4}), value, output},
          "key: expected a shape and strides that stay inside the array");
  refused({query, attn::view(k, {1, 2, 4, 5}), value, output},
          "key: expected the shape (1, 2, 4, 4), got (1, 2, 4, 5)");
  refused({query, key, attn::view(v, {1, 2, 4, 6}), output},
          "value: expected the shape (1, 2, 5, 6), got (1, 2, 4, 6)");
  refused({query, attn::view(k, {1, 0, 5, 4}), attn::view(v, {1, 0, 5, 6}), output},
          "key: expected at least one head");
  refused({query, key, attn::view(v, {1, 2, 5, 0}), output}, "value: expected at least one column");
  refused({query, key, value, attn::view(out, {1, 2, 3, 5})},
          "output: expected the shape (1, 2, 3, 6), got (1, 2, 3, 5)");
  refused({attn::view(wide, {1, 2, 3, 4}, {48, 24, 8, 2}), key, value, output},
          "query: expected rows whose elements are adjacent");
  refused({attn::view(q, {1, 3, 2, 4}), key, value, attn::view(out, {1, 3, 2, 6})},
          "heads_q: expected a multiple of heads_kv, which is 2, got 3");
  refused(attn::args(right).sinks(attn::span(q.data(), 3)), "sinks: expected 2 numbers, got 3");
  refused(attn::args(right).lse(attn::view(wide, {1, 2, 4})),
          "lse: expected the shape (1, 2, 3), got (1, 2, 4)");
  refused(attn::args(right).score_general(attn::view(wide, {4, 4}, {5, 1})),
          "score_weight: expected a dense matrix");
  const numbers outside{0, 4}, falling{2, 1};
  refused(attn::args(right).starts_q(outside),
          "starts_q: expected numbers that rise from 0 or more to at most the rows of query");
  refused(attn::args(right).starts_k(falling),
          "starts_k: expected numbers that rise from 0 or more to at most the rows of key");
  CHECK(context.try_global(right) == status::ok);
  CHECK_TEXT(context.last_error(), "");
}

void test_softmax_and_merge() {
  attn::context context = create();
  floats rows{0, 0, 9, 1, 1, 9}, sums(2);
  const attn::view left(rows, {2, 2}, {3, 1});
  CHECK(context.try_softmax(attn::softmax_args(left, left).scale(2).lse(sums)) == status::ok);
  CHECK(rows == (floats{0.5f, 0.5f, 9, 0.5f, 0.5f, 9}));
  CHECK(std::fabs(sums[1] - 2 - std::log(2.0f)) < 1e-6f);
  CHECK(context.try_softmax(attn::softmax_args(left, attn::view(rows, {2, 3}))) == status::argument);
  CHECK_TEXT(context.last_error(), "output: expected the shape (2, 2), got (2, 3)");
  CHECK(context.try_softmax(attn::softmax_args(attn::view(rows, {1, 2}).broadcast({2, 2}), left)) ==
        status::argument);

  const floats one{2, 4, -1}, two{6, 8, -1}, none{0, -1};
  const float *const outputs[] = {one.data(), two.data()}, *const lses[] = {none.data(), none.data()};
  floats joined(2), sum(1);
  const attn::merge_args parts(outputs, lses, attn::view(joined, {1, 1, 1, 2}), attn::view(sum, {1, 1, 1}));
  CHECK(context.try_merge(parts) == status::ok);
  CHECK(joined == (floats{4, 6}) && std::fabs(sum[0] - std::log(2.0f)) < 1e-6f);
  attn::merge_args strided(parts);
  CHECK(context.try_merge(strided.strides({3, 3, 3}, {2, 2, 2})) == status::ok && joined == (floats{4, 6}));
  CHECK(context.try_merge(attn::merge_args(outputs, attn::span(lses, 1),
                                           attn::view(joined, {1, 1, 1, 2}))) == status::argument);
}

void test_no_allocation() {
  attn::context context = create();
  floats x = wave(64, 0.5f), out(64);
  const attn::view rows(x, {1, 2, 8, 4});
  const attn::args arguments(rows, rows, rows, attn::view(out, {1, 2, 8, 4}));
  CHECK(context.try_global(arguments) == status::ok);
  const int before = allocations;
  CHECK(context.try_global(attn::args(arguments).causal()) == status::ok);
  CHECK(allocations == before);
}

#ifdef __cpp_exceptions
void test_exceptions() {
  attn::context context;
  floats word{1, 2, 3, 4}, out(4);
  const attn::view row(word, {1, 1, 1, 4});
  context.global(attn::args(row, row, row, attn::view(out, {1, 1, 1, 4})));
  CHECK(out == word);
  CHECK(context.describe().threads > 0);
  CHECK_TEXT(context.explain(attn::args(row, row, row, attn::view(out, {1, 1, 1, 4}))).path, "tiled");
  try {
    context.local(attn::args(row, row, row, attn::view(out, {1, 1, 1, 4})));
    CHECK(false);
  } catch (const attn::error &error) {
    CHECK(error.code() == status::argument);
    CHECK_TEXT(error.what(), "has_window: expected 1, as attn_local needs a window, got 0");
  }
  attn::settings wrong;
  wrong.threads = 5000;
  try {
    const attn::context never(wrong);
    CHECK(false);
  } catch (const std::runtime_error &error) {
    CHECK_TEXT(error.what(), "threads: expected 0 to 1024, got 5000");
  }
#if __cplusplus >= 202002L
  CHECK(attn::context({.threads = 2}).describe().threads == 2);
#endif
}
#endif

} // namespace

int main() {
  test_context();
  test_hooks();
  test_views();
  test_refused_views();
  test_softmax_and_merge();
  test_no_allocation();
#ifdef __cpp_exceptions
  test_exceptions();
#endif
}
