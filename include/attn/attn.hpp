// attn.hpp - libattn for C++17 and later: views with a shape, arguments by name, a context that frees itself.
// SPDX-License-Identifier: BSD-3-Clause
//
// A header over attn.h, which says what everything means; nothing here is compiled into a library.
//
//     std::vector<float> q(1 * 8 * 512 * 64), k(q), v(q), out(q);
//     attn::context context;
//     const attn::view query(q, {1, 8, 512, 64}), key(k, {1, 8, 512, 64}), value(v, {1, 8, 512, 64});
//     const attn::view output(out, {1, 8, 512, 64});
//     context.global(attn::args(query, key, value, output).causal().window(256, 0));
//
// VIEWS     attn::view<T, R> is a pointer with R sizes and R strides (in elements); it owns nothing. It is made
//           from whatever has data() and size() (a vector, an array, std::span) or from attn::span(pointer,
//           count), with a shape, and with strides where it is not dense. A view lies inside the numbers that
//           it is made from; view::unchecked takes a pointer as it is.
// SIZES     Batch, heads, lengths and head sizes follow from the shapes of the views, and all views must agree
//           on them: the library never reads or writes outside a checked view.
// OPTIONS   Each option of attn_args is a function of attn::args by the same name, in any order. Arguments
//           may be kept, copied, changed and used again, while the arrays live. An optional view of no numbers
//           at all is as one that was not given.
// ERRORS    Each verb is there twice. context.global(...) throws attn::error, which has the status and, in
//           what(), the sentence. context.try_global(...) never throws: it returns a status, and
//           context.last_error() is the sentence. So it is with local, self, merge, softmax, explain. A view
//           that does not lie inside its numbers, or does not fit the others, is reported by the verb.
//           Where exceptions are off (-fno-exceptions) only the second form is there, and contexts are made by
//           attn::context::try_create.
// THREADS   As in attn.h: one call at a time for each context.
// COST      No allocation, no virtual function; shapes are compared before the call.
#ifndef ATTN_ATTN_HPP
#define ATTN_ATTN_HPP

#include <attn/attn.h>
#include <attn/attn_args.hpp>
#include <attn/attn_view.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#ifdef __cpp_exceptions
#include <stdexcept>
#endif

namespace attn {

// What a verb returns. A newer library may return other numbers, which are failures too.
enum class status : std::int32_t {
  ok = ATTN_OK,
  argument = ATTN_ERROR_ARGUMENT,
  memory = ATTN_ERROR_MEMORY,
  unsupported = ATTN_ERROR_UNSUPPORTED,
  busy = ATTN_ERROR_BUSY
};

// Who multiplies matrices.
enum class engine : std::int32_t {
  automatic = ATTN_ENGINE_AUTO,
  blas = ATTN_ENGINE_BLAS,
  builtin = ATTN_ENGINE_BUILTIN
};

// Instruction sets, in rising order; attn::isa(ATTN_ISA_...) is any that attn.h knows.
enum class isa : std::int32_t {
  automatic = ATTN_ISA_AUTO,
  reference = ATTN_ISA_REFERENCE,
  avx2 = ATTN_ISA_AVX2,
  avx512 = ATTN_ISA_AVX512,
  neon = ATTN_ISA_NEON,
  amx = ATTN_ISA_AMX
};

// The name of a status, "invalid argument".
inline const char *text(status code) noexcept {
  return attn_status_text(static_cast<std::int32_t>(code));
}

// The library's version at run time, "0.1.0".
inline const char *version() noexcept {
  return attn_version_text();
}

#ifdef __cpp_exceptions
// What the verbs throw: what() is a sentence that names the argument, what was expected and what came.
class error : public std::runtime_error {
public:
  error(status code, const char *sentence)
      : std::runtime_error(*sentence ? sentence : text(code)), code_(code) {}
  status code() const noexcept {
    return code_;
  }

private:
  status code_;
};
#endif

// How a context is made. Each has a default; the hooks are those of attn_options.
struct settings {
  std::int32_t threads = 0;
  attn::engine engine = attn::engine::automatic;
  attn::isa isa = attn::isa::automatic;
  void *user = nullptr;
  void *(*allocate)(void *user, std::uint64_t bytes, std::uint64_t alignment) = nullptr;
  void (*deallocate)(void *user, void *memory, std::uint64_t bytes) = nullptr;
  void (*parallel_for)(void *user, std::int64_t count, attn_task task, void *job) = nullptr;
  bool wipe = false;
};

// The arguments of softmax: each row of input (rows, columns) gives one of output, which may be the same array.
class softmax_args {
public:
  softmax_args(view<const float, 2> input, view<float, 2> output) noexcept
      : input_(input), output_(output) {}
  softmax_args &scale(float number) noexcept {
    raw_.has_scale = 1;
    raw_.scale = number;
    return *this;
  }
  // One number for each row: the log-sum-exp.
  softmax_args &lse(span<float> result) noexcept {
    lse_ = result;
    return *this;
  }

  // Writes what the library takes: true, or a sentence and false.
  bool prepare(attn_softmax_args &raw, char (&sentence)[detail::check::room]) const noexcept {
    detail::check check(sentence);
    const auto &shape = input_.shape();
    if (!check.rows("input", input_, shape) || !check.rows("output", output_, shape) ||
        !check.count("lse", lse_, shape[0]))
      return false;
    raw = raw_;
    raw.size = sizeof raw;
    raw.rows = shape[0];
    raw.cols = shape[1];
    raw.input = input_.data();
    raw.output = output_.data();
    raw.input_stride = shape[0] > 1 ? input_.strides()[0] : 0;
    raw.output_stride = shape[0] > 1 ? output_.strides()[0] : 0;
    raw.lse = lse_.data();
    if (raw.rows > 1 && raw.cols > 0 && (raw.input_stride == 0 || raw.output_stride == 0))
      return check.fail("strides", "rows that are apart, got a stride of 0");
    return true;
  }

private:
  attn_softmax_args raw_{};
  view<const float, 2> input_;
  view<float, 2> output_;
  span<float> lse_{};
};

// The arguments of merge: the outputs and log-sum-exps of as many parts, whose arrays are not looked at: each
// is taken to be dense, or to have the strides given, with the shape of output (B, Hq, Nq, Dv) or lse (B, Hq, Nq).
class merge_args {
public:
  merge_args(span<const float *const> outputs, span<const float *const> lses, view<float, 4> output,
             view<float, 3> lse = {}) noexcept
      : outputs_(outputs), lses_(lses), output_(output), lse_(lse) {}
  // The strides of each part: batch, head, row.
  merge_args &strides(const std::int64_t (&outputs)[3], const std::int64_t (&lses)[3]) noexcept {
    std::memcpy(strides_, outputs, sizeof outputs);
    std::memcpy(strides_ + 3, lses, sizeof lses);
    strided_ = true;
    return *this;
  }

  // Writes what the library takes, with pointers into this object: true, or a sentence and false.
  bool prepare(attn_merge_args &raw, char (&sentence)[detail::check::room]) const noexcept {
    detail::check check(sentence);
    const auto &shape = output_.shape();
    if (!check.rows("output", output_, shape) || !check.shape("lse", lse_, {shape[0], shape[1], shape[2]}))
      return false;
    if (outputs_.size() != lses_.size()) return check.fail("lses", "as many arrays as outputs has");
    raw = attn_merge_args{};
    raw.size = sizeof raw;
    raw.parts = static_cast<std::int64_t>(outputs_.size());
    raw.batch = shape[0];
    raw.heads = shape[1];
    raw.len_q = shape[2];
    raw.dim_v = shape[3];
    raw.outputs = outputs_.data();
    raw.lses = lses_.data();
    raw.outputs_strides = strided_ ? strides_ : nullptr;
    raw.lses_strides = strided_ ? strides_ + 3 : nullptr;
    raw.output = output_.data();
    raw.output_strides = output_.strides().data();
    raw.lse = lse_.data();
    raw.lse_strides = lse_.strides().data();
    return true;
  }

private:
  span<const float *const> outputs_, lses_;
  view<float, 4> output_;
  view<float, 3> lse_;
  std::int64_t strides_[6] = {};
  bool strided_ = false;
};

// Scratch memory, worker threads and the choice of kernels, for calls one at a time. It can be moved, not
// copied; one that was moved from, or that is made of nullptr, refuses every call.
class context {
public:
#ifdef __cpp_exceptions
  explicit context(const settings &chosen = {}) {
    succeed(try_create(*this, chosen));
  }
#endif
  // Takes a context of the C interface over, or none.
  explicit context(attn_context *handle) noexcept : handle_(handle) {}
  explicit context(std::nullptr_t) noexcept {}
  context(const context &) = delete;
  context &operator=(const context &) = delete;
  context(context &&other) noexcept : handle_(other.release()) {}
  context &operator=(context &&other) noexcept {
    attn_context *const handle = other.release();
    attn_destroy(handle_);
    handle_ = handle;
    sentence_[0] = '\0';
    return *this;
  }
  ~context() {
    attn_destroy(handle_);
  }

  // Makes a context in place of made, which stays as it is where that fails.
  [[nodiscard]] static status try_create(context &made, const settings &chosen = {}) noexcept {
    attn_options options{};
    options.size = sizeof options;
    options.threads = chosen.threads;
    options.engine = static_cast<std::int32_t>(chosen.engine);
    options.isa = static_cast<std::int32_t>(chosen.isa);
    options.user = chosen.user;
    options.allocate = chosen.allocate;
    options.deallocate = chosen.deallocate;
    options.parallel_for = chosen.parallel_for;
    options.wipe = chosen.wipe;
    attn_context *handle = nullptr;
    const status code{attn_create(&handle, &options)};
    if (code == status::ok) made = context(handle);
    return code;
  }

  [[nodiscard]] status try_global(const args &given) noexcept {
    attn_args raw;
    return given.prepare(raw, sentence_) ? status{attn_global(handle_, &raw)} : status::argument;
  }
  [[nodiscard]] status try_local(const args &given) noexcept {
    attn_args raw;
    return given.prepare(raw, sentence_) ? status{attn_local(handle_, &raw)} : status::argument;
  }
  [[nodiscard]] status try_self(const layer &given) noexcept {
    attn_self_args raw;
    attn_args attention;
    std::int64_t strides[7] = {};
    const bool right = given.prepare(raw, attention, strides, sentence_);
    return right ? status{attn_self(handle_, &raw)} : status::argument;
  }
  [[nodiscard]] status try_merge(const merge_args &given) noexcept {
    attn_merge_args raw;
    return given.prepare(raw, sentence_) ? status{attn_merge(handle_, &raw)} : status::argument;
  }
  [[nodiscard]] status try_softmax(const softmax_args &given) noexcept {
    attn_softmax_args raw;
    return given.prepare(raw, sentence_) ? status{attn_softmax(handle_, &raw)} : status::argument;
  }
  // What a call would do.
  [[nodiscard]] status try_explain(const args &given, attn_plan &plan) noexcept {
    attn_args raw;
    plan.size = sizeof plan;
    return given.prepare(raw, sentence_) ? status{attn_explain(handle_, &raw, &plan)} : status::argument;
  }
  [[nodiscard]] status try_explain(const layer &given, attn_plan &plan) noexcept {
    attn_self_args raw;
    attn_args attention;
    std::int64_t strides[7] = {};
    plan.size = sizeof plan;
    const bool right = given.prepare(raw, attention, strides, sentence_);
    return right ? status{attn_explain_self(handle_, &raw, &plan)} : status::argument;
  }
  // What the context is made of.
  [[nodiscard]] status try_describe(attn_info &info) const noexcept {
    info.size = sizeof info;
    return status{attn_describe(handle_, &info)};
  }

#ifdef __cpp_exceptions
  void global(const args &given) {
    succeed(try_global(given));
  }
  void local(const args &given) {
    succeed(try_local(given));
  }
  void self(const layer &given) {
    succeed(try_self(given));
  }
  void merge(const merge_args &given) {
    succeed(try_merge(given));
  }
  void softmax(const softmax_args &given) {
    succeed(try_softmax(given));
  }
  template <class Arguments> attn_plan explain(const Arguments &given) {
    attn_plan plan{};
    succeed(try_explain(given, plan));
    return plan;
  }
  attn_info describe() const {
    attn_info info{};
    const status code = try_describe(info);
    if (code != status::ok) throw error(code, attn_last_error(nullptr));
    return info;
  }
#endif

  // The same in one line of text.
  const char *description() const noexcept {
    return attn_description(handle_);
  }
  // The sentence of the last call that failed, "" if the last one succeeded. After try_create it is that of
  // context(nullptr). It lives until the next call.
  const char *last_error() const noexcept {
    return sentence_[0] ? sentence_ : attn_last_error(handle_);
  }
  // For the C interface: the context, which stays this object's, or is the caller's from here on.
  attn_context *get() const noexcept {
    return handle_;
  }
  attn_context *release() noexcept {
    return std::exchange(handle_, nullptr);
  }

private:
#ifdef __cpp_exceptions
  // Throws what a verb returned, unless it is ok.
  void succeed(status code) const {
    if (code != status::ok) throw error(code, last_error());
  }
#endif

  attn_context *handle_ = nullptr;
  char sentence_[detail::check::room] = "";
};

} // namespace attn

#endif
