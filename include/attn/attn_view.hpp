// attn_view.hpp - part of attn.hpp: arrays of others, with their shapes.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ATTN_ATTN_VIEW_HPP
#define ATTN_ATTN_VIEW_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <type_traits>
#include <utility>

namespace attn {

// A size or a stride, from any type of whole number.
struct extent {
  std::int64_t value;
  template <class Integer, std::enable_if_t<std::is_integral_v<Integer>, int> = 0>
  constexpr extent(Integer number) noexcept : value(static_cast<std::int64_t>(number)) {}
};

// A pointer with a count, from anything that has data() and size(); std::span where there is one.
template <class T> class span {
public:
  constexpr span() noexcept = default;
  constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
  template <class Container,
            class Element = std::remove_pointer_t<decltype(std::data(std::declval<Container &>()))>,
            std::enable_if_t<std::is_convertible_v<Element (*)[], T (*)[]>, int> = 0>
  constexpr span(Container &&container) noexcept
      : data_(std::data(container)), size_(std::size(container)) {}
  constexpr T *data() const noexcept {
    return data_;
  }
  constexpr std::size_t size() const noexcept {
    return size_;
  }

private:
  T *data_ = nullptr;
  std::size_t size_ = 0;
};

// An array of R axes that belongs to somebody else.
template <class T, std::size_t R> class view {
public:
  using sizes = std::array<std::int64_t, R>;

  // Nothing: where it is optional, not wanted.
  constexpr view() noexcept = default;

  // Numbers in the order of the shape, the last axis without gaps.
  view(span<T> numbers, const extent (&shape)[R]) noexcept : data_(numbers.data()) {
    std::int64_t stride = 1;
    for (std::size_t r = R; r-- > 0;) {
      shape_[r] = shape[r].value;
      strides_[r] = stride;
      if (__builtin_mul_overflow(stride, shape_[r], &stride)) inside_ = false;
    }
    inside_ = inside_ && lies_inside(numbers.size());
  }

  // Element (a, b, ...) is numbers[a * strides[0] + b * strides[1] + ...].
  view(span<T> numbers, const extent (&shape)[R], const extent (&strides)[R]) noexcept
      : data_(numbers.data()) {
    set(shape, strides);
    inside_ = lies_inside(numbers.size());
  }

  // Any memory, any strides, on the caller's word.
  static view unchecked(T *data, const extent (&shape)[R], const extent (&strides)[R]) noexcept {
    view made;
    made.data_ = data;
    made.set(shape, strides);
    return made;
  }

  // A view of numbers to read, from one of numbers to write.
  template <class U,
            std::enable_if_t<std::is_convertible_v<U (*)[], T (*)[]> && !std::is_same_v<U, T>, int> = 0>
  view(const view<U, R> &other) noexcept
      : data_(other.data()), shape_(other.shape()), strides_(other.strides()), inside_(other.inside()) {}

  // The same with two axes in each other's place: (B, N, H, D) becomes (B, H, N, D) by swapped(1, 2).
  view swapped(std::size_t a, std::size_t b) const noexcept {
    view made(*this);
    std::swap(made.shape_[a], made.shape_[b]);
    std::swap(made.strides_[a], made.strides_[b]);
    return made;
  }

  // The same with axes of size 1 repeated to those of a shape, by strides of 0. To read only.
  view<const T, R> broadcast(const extent (&shape)[R]) const noexcept {
    view made(*this);
    for (std::size_t r = 0; r < R; r++) {
      if (shape_[r] == shape[r].value) continue;
      if (shape_[r] != 1) made.inside_ = false;
      made.shape_[r] = shape[r].value;
      made.strides_[r] = 0;
    }
    return made;
  }

  // The same as bytes, for a view of bool.
  view<const std::uint8_t, R> bytes() const noexcept {
    static_assert(sizeof(T) == 1, "for elements of one byte");
    view<const std::uint8_t, R> made;
    made.data_ = reinterpret_cast<const std::uint8_t *>(data_);
    made.shape_ = shape_;
    made.strides_ = strides_;
    made.inside_ = inside_;
    return made;
  }

  T *data() const noexcept {
    return data_;
  }
  const sizes &shape() const noexcept {
    return shape_;
  }
  const sizes &strides() const noexcept {
    return strides_;
  }
  // False for a view that does not lie inside its numbers, or that was broadcast to what it does not fit.
  bool inside() const noexcept {
    return inside_;
  }

private:
  template <class, std::size_t> friend class view;

  void set(const extent (&shape)[R], const extent (&strides)[R]) noexcept {
    for (std::size_t r = 0; r < R; r++) {
      shape_[r] = shape[r].value;
      strides_[r] = strides[r].value;
    }
  }

  bool lies_inside(std::size_t count) const noexcept {
    bool empty = false;
    for (const std::int64_t size : shape_) {
      if (size < 0) return false;
      if (size == 0) empty = true;
    }
    if (empty) return true;
    std::int64_t low = 0, high = 0;
    for (std::size_t r = 0; r < R; r++) {
      std::int64_t step, &end = strides_[r] < 0 ? low : high;
      if (__builtin_mul_overflow(shape_[r] - 1, strides_[r], &step)) return false;
      if (__builtin_add_overflow(end, step, &end)) return false;
    }
    return low == 0 && static_cast<std::uint64_t>(high) < count;
  }

  T *data_ = nullptr;
  sizes shape_{}, strides_{};
  bool inside_ = true;
};

template <class Container, std::size_t R>
view(Container &&, const extent (&)[R])
    -> view<std::remove_pointer_t<decltype(std::data(std::declval<Container &>()))>, R>;
template <class Container, std::size_t R>
view(Container &&, const extent (&)[R], const extent (&)[R])
    -> view<std::remove_pointer_t<decltype(std::data(std::declval<Container &>()))>, R>;

} // namespace attn

#endif
