// attn_args.hpp - part of attn.hpp: the arguments of the verbs, by name.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ATTN_ATTN_ARGS_HPP
#define ATTN_ATTN_ARGS_HPP

#include <attn/attn.h>
#include <attn/attn_view.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace attn {

// How a row of the output is normalised.
enum class norm : std::int32_t {
  none = ATTN_NORM_NONE,
  l2 = ATTN_NORM_L2,
  rms = ATTN_NORM_RMS,
  layer = ATTN_NORM_LAYER
};

// Which two elements of a head rotate together.
enum class rope : std::int32_t {
  none = ATTN_ROPE_NONE,
  half = ATTN_ROPE_HALF,
  interleaved = ATTN_ROPE_INTERLEAVED
};

// The stage of the scores that a call hands out.
enum class stage : std::int32_t { scaled = 0, capped = 1, masked = 2 };

namespace detail {

// Whether views fit each other; the first that does not leaves a sentence.
class check {
public:
  static constexpr std::size_t room = 256;

  explicit check(char (&sentence)[room]) noexcept : sentence_(sentence) {
    sentence_[0] = '\0';
  }

  bool fail(const char *name, const char *expected) noexcept {
    std::snprintf(sentence_, room, "%s: expected %s", name, expected);
    return false;
  }

  // The view lies inside its numbers and has this shape; one that was not given is right as well.
  template <class T, std::size_t R>
  bool shape(const char *name, const view<T, R> &given,
             const std::array<std::int64_t, R> &wanted) noexcept {
    if (!given.inside()) return fail(name, "a shape and strides that stay inside the array");
    if (!given.data() || given.shape() == wanted) return true;
    std::size_t used = text(0, name);
    used = sizes(text(used, ": expected the shape ("), wanted.data(), R);
    used = sizes(text(used, "), got ("), given.shape().data(), R);
    text(used, ")");
    return false;
  }

  // The same, of an array whose rows are without gaps.
  template <class T, std::size_t R>
  bool rows(const char *name, const view<T, R> &given, const std::array<std::int64_t, R> &wanted) noexcept {
    if (!shape(name, given, wanted)) return false;
    return !given.data() || wanted[R - 1] <= 1 || given.strides()[R - 1] == 1 ||
           fail(name, "rows whose elements are adjacent");
  }

  // The same, of a matrix that has no gaps at all.
  template <class T>
  bool dense(const char *name, const view<T, 2> &given,
             const std::array<std::int64_t, 2> &wanted) noexcept {
    if (!rows(name, given, wanted)) return false;
    return !given.data() || wanted[0] <= 1 || given.strides()[0] == wanted[1] ||
           fail(name, "a dense matrix");
  }

  // So many numbers, or none.
  template <class T> bool count(const char *name, const span<T> &given, std::int64_t wanted) noexcept {
    if (!given.data() || static_cast<std::int64_t>(given.size()) == wanted) return true;
    std::snprintf(sentence_, room, "%s: expected %lld numbers, got %lld", name,
                  static_cast<long long>(wanted), static_cast<long long>(given.size()));
    return false;
  }

private:
  // Both write at so many characters from the beginning, as far as there is room, and return the end.
  std::size_t text(std::size_t at, const char *words) noexcept {
    const int length = std::snprintf(sentence_ + at, room - at, "%s", words);
    return end(at, length);
  }
  std::size_t sizes(std::size_t at, const std::int64_t *numbers, std::size_t count) noexcept {
    for (std::size_t n = 0; n < count; n++) {
      const long long number = numbers[n];
      at = end(at, std::snprintf(sentence_ + at, room - at, n ? ", %lld" : "%lld", number));
    }
    return at;
  }
  static std::size_t end(std::size_t at, int length) noexcept {
    const std::size_t left = room - 1 - at;
    return at + (static_cast<std::size_t>(length) < left ? static_cast<std::size_t>(length) : left);
  }

  char *sentence_;
};

} // namespace detail

// What args and layer have in common: every option of attn_args by its name there.
template <class Self> class options {
public:
  Self &scale(float number) noexcept {
    raw_.has_scale = 1;
    raw_.scale = number;
    return self();
  }
  Self &causal(bool on = true) noexcept {
    raw_.causal = on;
    return self();
  }
  // Keys from left before a query's position to right after it; -1 is unbounded.
  Self &window(extent left, extent right) noexcept {
    raw_.has_window = 1;
    raw_.window_left = left.value;
    raw_.window_right = right.value;
    return self();
  }
  Self &window_prefix(extent keys) noexcept {
    raw_.window_prefix = keys.value;
    return self();
  }
  Self &window_dilation(extent distance) noexcept {
    raw_.window_dilation = distance.value;
    return self();
  }
  Self &offset(extent position) noexcept {
    raw_.offset = position.value;
    return self();
  }
  Self &offsets(span<const std::int64_t> positions) noexcept {
    offsets_ = positions;
    return self();
  }
  Self &weights(view<float, 4> result) noexcept {
    weights_ = result;
    return self();
  }
  Self &lse(view<float, 3> result) noexcept {
    lse_ = result;
    return self();
  }
  Self &scores(view<float, 4> result, stage of = stage::scaled) noexcept {
    scores_ = result;
    raw_.scores_stage = static_cast<std::int32_t>(of);
    return self();
  }
  Self &softcap(float cap) noexcept {
    raw_.softcap = cap;
    return self();
  }
  Self &bias(view<const float, 4> added) noexcept {
    bias_ = added;
    return self();
  }
  Self &alibi_slopes(span<const float> slopes) noexcept {
    alibi_slopes_ = slopes;
    return self();
  }
  // 1 or true: attend.
  Self &mask(view<const std::uint8_t, 4> seen) noexcept {
    mask_ = seen;
    return self();
  }
  Self &mask(view<const bool, 4> seen) noexcept {
    static_assert(sizeof(bool) == 1, "the library's mask has a byte for each key");
    mask_ = seen.bytes();
    return self();
  }
  Self &lengths_q(span<const std::int64_t> lengths) noexcept {
    lengths_q_ = lengths;
    return self();
  }
  Self &lengths_k(span<const std::int64_t> lengths) noexcept {
    lengths_k_ = lengths;
    return self();
  }
  Self &sinks(span<const float> logits) noexcept {
    sinks_ = logits;
    return self();
  }
  // Luong's local-p: the middles of the windows, given ...
  Self &centers(view<const float, 3> middles) noexcept {
    centers_ = middles;
    return self();
  }
  // ... or predicted by W (P, D) and v (P).
  Self &predict(view<const float, 2> matrix, span<const float> vector) noexcept {
    predict_matrix_ = matrix;
    predict_vector_ = vector;
    return self();
  }
  Self &sigma(float width) noexcept {
    raw_.sigma = width;
    return self();
  }
  // Luong's score q^T W k with W (D, D).
  Self &score_general(view<const float, 2> matrix) noexcept {
    raw_.score_function = ATTN_SCORE_GENERAL;
    score_matrix_ = matrix;
    return self();
  }
  // Bahdanau's score v . tanh(q + k) with v (D).
  Self &score_additive(span<const float> vector) noexcept {
    raw_.score_function = ATTN_SCORE_ADDITIVE;
    score_vector_ = vector;
    return self();
  }
  Self &norm(attn::norm kind, float epsilon = 0) noexcept {
    raw_.norm = static_cast<std::int32_t>(kind);
    raw_.norm_epsilon = epsilon;
    return self();
  }
  Self &norm_gain(span<const float> factors) noexcept {
    norm_gain_ = factors;
    return self();
  }
  Self &norm_shift(span<const float> added) noexcept {
    norm_shift_ = added;
    return self();
  }

protected:
  // Checks all options against the sizes in raw, and completes it with them. out: the width of the output.
  bool fill(attn_args &raw, std::int64_t out, detail::check &check) const noexcept {
    const std::int64_t B = raw.batch, H = raw.heads_q, N = raw.len_q, K = raw.len_k;
    const std::int64_t predicted = static_cast<std::int64_t>(predict_vector_.size());
    const bool right =
        check.rows("weights", weights_, {B, H, N, K}) && check.shape("lse", lse_, {B, H, N}) &&
        check.rows("scores", scores_, {B, H, N, K}) && check.shape("bias", bias_, {B, H, N, K}) &&
        check.shape("mask", mask_, {B, H, N, K}) && check.count("offsets", offsets_, B) &&
        check.count("lengths_q", lengths_q_, B) && check.count("lengths_k", lengths_k_, B) &&
        check.count("alibi_slopes", alibi_slopes_, H) && check.count("sinks", sinks_, H) &&
        check.shape("centers", centers_, {B, H, N}) &&
        check.dense("predict_matrix", predict_matrix_, {predicted, raw.dim}) &&
        check.dense("score_weight", score_matrix_, {raw.dim, raw.dim}) &&
        check.count("score_weight", score_vector_, raw.dim) && check.count("norm_gain", norm_gain_, out) &&
        check.count("norm_shift", norm_shift_, out);
    if (right) point(raw);
    return right;
  }

  // The options that are numbers; the rest is 0.
  const attn_args &numbers() const noexcept {
    return raw_;
  }

private:
  void point(attn_args &raw) const noexcept {
    raw.offsets = offsets_.data();
    raw.lengths_q = lengths_q_.data();
    raw.lengths_k = lengths_k_.data();
    raw.weights = weights_.data();
    raw.weights_strides = weights_.strides().data();
    raw.lse = lse_.data();
    raw.lse_strides = lse_.strides().data();
    raw.scores = scores_.data();
    raw.scores_strides = scores_.strides().data();
    raw.bias = bias_.data();
    raw.bias_strides = bias_.strides().data();
    raw.mask = mask_.data();
    raw.mask_strides = mask_.strides().data();
    raw.alibi_slopes = alibi_slopes_.data();
    raw.sinks = sinks_.data();
    raw.centers = centers_.data();
    raw.centers_strides = centers_.strides().data();
    raw.predict_matrix = predict_matrix_.data();
    raw.predict_vector = predict_vector_.data();
    raw.predict_dim = static_cast<std::int64_t>(predict_vector_.size());
    raw.score_weight =
        raw.score_function == ATTN_SCORE_GENERAL ? score_matrix_.data() : score_vector_.data();
    raw.norm_gain = norm_gain_.data();
    raw.norm_shift = norm_shift_.data();
  }

  Self &self() noexcept {
    return static_cast<Self &>(*this);
  }

  attn_args raw_{};
  view<float, 4> weights_{}, scores_{};
  view<float, 3> lse_{};
  view<const float, 4> bias_{};
  view<const std::uint8_t, 4> mask_{};
  view<const float, 3> centers_{};
  view<const float, 2> predict_matrix_{}, score_matrix_{};
  span<const std::int64_t> offsets_{}, lengths_q_{}, lengths_k_{};
  span<const float> alibi_slopes_{}, sinks_{}, predict_vector_{}, score_vector_{}, norm_gain_{},
      norm_shift_{};
};

// The arguments of global and local: query (B, Hq, Nq, D), key (B, Hkv, Nk, D), value (B, Hkv, Nk, Dv) and output
// (B, Hq, Nq, Dv). Hq is a multiple of Hkv.
class args : public options<args> {
public:
  args(view<const float, 4> query, view<const float, 4> key, view<const float, 4> value,
       view<float, 4> output) noexcept
      : query_(query), key_(key), value_(value), output_(output) {}
  // Packed sequences: B + 1 numbers each. query and output, or key and value, then have a batch of 1 and as
  // many rows as there are in all sequences; the lengths Nq and Nk of all else are that of the longest.
  args &starts_q(span<const std::int64_t> starts) noexcept {
    starts_q_ = starts;
    return *this;
  }
  args &starts_k(span<const std::int64_t> starts) noexcept {
    starts_k_ = starts;
    return *this;
  }
  // Of the output's shape, and added to it.
  args &residual(view<const float, 4> added) noexcept {
    residual_ = added;
    return *this;
  }

  // Writes what the library takes, with pointers into this object: true, or a sentence and false.
  bool prepare(attn_args &raw, char (&sentence)[detail::check::room]) const noexcept {
    detail::check check(sentence);
    raw = numbers();
    if (!sizes(raw, check)) return false;
    const std::int64_t rows = query_.shape()[2], batch = starts_q_.size() ? 1 : raw.batch;
    if (!check.rows("output", output_, {batch, raw.heads_q, rows, raw.dim_v}) ||
        !check.rows("residual", residual_, {batch, raw.heads_q, rows, raw.dim_v}))
      return false;
    raw.query = query_.data();
    raw.key = key_.data();
    raw.value = value_.data();
    raw.output = output_.data();
    raw.query_strides = query_.strides().data();
    raw.key_strides = key_.strides().data();
    raw.value_strides = value_.strides().data();
    raw.output_strides = output_.strides().data();
    raw.residual = residual_.data();
    raw.residual_strides = residual_.strides().data();
    raw.starts_q = starts_q_.data();
    raw.starts_k = starts_k_.data();
    return fill(raw, raw.dim_v, check);
  }

private:
  // The length of the longest sequence, of so many rows in all; -1 if a start is outside.
  static std::int64_t longest(span<const std::int64_t> starts, std::int64_t rows) noexcept {
    if (starts.size() == 0) return rows;
    std::int64_t most = 0;
    for (std::size_t b = 0; b < starts.size(); b++) {
      const std::int64_t start = starts.data()[b], before = b ? starts.data()[b - 1] : start;
      if (start < before || start < 0 || start > rows) return -1;
      if (start - before > most) most = start - before;
    }
    return most;
  }

  // Sets all sizes, which zero cannot mean "as another one" here.
  bool sizes(attn_args &raw, detail::check &check) const noexcept {
    const auto &query = query_.shape(), &key = key_.shape();
    const std::int64_t packed_q = static_cast<std::int64_t>(starts_q_.size());
    const std::int64_t packed_k = static_cast<std::int64_t>(starts_k_.size());
    raw.size = sizeof raw;
    raw.batch = packed_q ? packed_q - 1 : packed_k ? packed_k - 1 : query[0];
    raw.heads_q = query[1];
    raw.heads_kv = key[1];
    raw.len_q = longest(starts_q_, query[2]);
    raw.len_k = longest(starts_k_, key[2]);
    raw.dim = query[3];
    raw.dim_v = value_.shape()[3];
    if (raw.len_q < 0)
      return check.fail("starts_q", "numbers that rise from 0 or more to at most the rows of query");
    if (raw.len_k < 0)
      return check.fail("starts_k", "numbers that rise from 0 or more to at most the rows of key");
    if (packed_q && packed_k && packed_q != packed_k)
      return check.fail("starts_k", "as many numbers as starts_q has");
    if (raw.heads_kv < 1 && raw.heads_q > 0) return check.fail("key", "at least one head");
    if (raw.dim_v < 1) return check.fail("value", "at least one column");
    const std::int64_t batch_q = packed_q ? 1 : raw.batch, batch_k = packed_k ? 1 : raw.batch;
    return check.rows("query", query_, {batch_q, raw.heads_q, query[2], raw.dim}) &&
           check.rows("key", key_, {batch_k, raw.heads_kv, key[2], raw.dim}) &&
           check.rows("value", value_, {batch_k, raw.heads_kv, key[2], raw.dim_v});
  }

  view<const float, 4> query_, key_, value_;
  view<float, 4> output_;
  view<const float, 4> residual_{};
  span<const std::int64_t> starts_q_{}, starts_k_{};
};

// The arguments of self: x (B, N, E) and output (B, N, E'), so many heads of the size dim. The weights, as PyTorch
// stores them, are dense: either qkv or q, k and v.
class layer : public options<layer> {
public:
  layer(view<const float, 3> x, view<float, 3> output, extent heads, extent dim) noexcept
      : x_(x), output_(output), heads_q_(heads.value), heads_kv_(heads.value), dim_(dim.value),
        dim_v_(dim.value) {}
  // Of keys and values, where there are fewer than of queries.
  layer &heads_kv(extent heads) noexcept {
    heads_kv_ = heads.value;
    return *this;
  }
  // The head size of values, where it is another.
  layer &dim_v(extent dim) noexcept {
    dim_v_ = dim.value;
    return *this;
  }
  // (Hq D + Hkv D + Hkv Dv, E), and a bias for each row.
  layer &qkv(view<const float, 2> weight, span<const float> bias = {}) noexcept {
    return set(qkv_, weight, bias);
  }
  // (Hq D, E)
  layer &q(view<const float, 2> weight, span<const float> bias = {}) noexcept {
    return set(q_, weight, bias);
  }
  // (Hkv D, E)
  layer &k(view<const float, 2> weight, span<const float> bias = {}) noexcept {
    return set(k_, weight, bias);
  }
  // (Hkv Dv, E)
  layer &v(view<const float, 2> weight, span<const float> bias = {}) noexcept {
    return set(v_, weight, bias);
  }
  // The output projection, (E', Hq Dv).
  layer &o(view<const float, 2> weight, span<const float> bias = {}) noexcept {
    return set(o_, weight, bias);
  }
  // base 0: 10000. dim: the first so many elements of each head rotate; 0: all.
  layer &rope(attn::rope kind, float base = 0, extent dim = 0) noexcept {
    raw_.rope = static_cast<std::int32_t>(kind);
    raw_.rope_base = base;
    raw_.rope_dim = dim.value;
    return *this;
  }
  // Of the output's shape, and added to it.
  layer &residual(view<const float, 3> added) noexcept {
    residual_ = added;
    return *this;
  }

  // Writes what the library takes, with pointers into this object and to attention: true, or a sentence and
  // false.
  bool prepare(attn_self_args &raw, attn_args &attention, std::int64_t (&strides)[7],
               char (&sentence)[detail::check::room]) const noexcept {
    detail::check check(sentence);
    const std::int64_t batch = x_.shape()[0], rows = x_.shape()[1], width = output_.shape()[2];
    if (!sizes(attention, check) || !weights(attention, check) || !check.rows("x", x_, x_.shape()) ||
        !check.rows("output", output_, {batch, rows, width}) ||
        !check.rows("residual", residual_, {batch, rows, width}))
      return false;
    for (std::size_t n = 0; n < 2; n++) {
      strides[n] = x_.strides()[n];
      strides[2 + n] = output_.strides()[n];
      strides[4 + 2 * n] = residual_.strides()[n]; // the one between is that of a head
    }
    raw = raw_;
    raw.size = sizeof raw;
    raw.attention = &attention;
    raw.dim_model = x_.shape()[2];
    raw.dim_output = width;
    raw.x = x_.data();
    raw.x_strides = strides;
    raw.output = output_.data();
    raw.output_strides = strides + 2;
    attention.residual = residual_.data();
    attention.residual_strides = strides + 4;
    point(raw);
    return fill(attention, width, check);
  }

private:
  struct projection {
    view<const float, 2> weight{};
    span<const float> bias{};
  };

  layer &set(projection &which, view<const float, 2> weight, span<const float> bias) noexcept {
    which.weight = weight;
    which.bias = bias;
    return *this;
  }

  bool sizes(attn_args &raw, detail::check &check) const noexcept {
    raw = numbers();
    raw.size = sizeof raw;
    raw.batch = x_.shape()[0];
    raw.len_q = raw.len_k = x_.shape()[1];
    raw.heads_q = heads_q_;
    raw.heads_kv = heads_kv_;
    raw.dim = dim_;
    raw.dim_v = dim_v_;
    const std::int64_t most = 1 << 30; // so that their products can be counted
    if (heads_q_ < 1 || heads_q_ > most || heads_kv_ < 1 || heads_kv_ > most)
      return check.fail("heads", "1 to 2^30");
    if (dim_ < 1 || dim_ > most || dim_v_ < 1 || dim_v_ > most) return check.fail("dim", "1 to 2^30");
    return output_.shape()[2] > 0 || check.fail("output", "at least one column");
  }

  bool weights(const attn_args &raw, detail::check &check) const noexcept {
    const std::int64_t width = x_.shape()[2], q = raw.heads_q * raw.dim, k = raw.heads_kv * raw.dim;
    const std::int64_t v = raw.heads_kv * raw.dim_v, heads = raw.heads_q * raw.dim_v,
                       out = output_.shape()[2];
    return projected("weight_qkv", qkv_, {q + k + v, width}, check) &&
           projected("weight_q", q_, {q, width}, check) && projected("weight_k", k_, {k, width}, check) &&
           projected("weight_v", v_, {v, width}, check) && projected("weight_o", o_, {out, heads}, check);
  }

  static bool projected(const char *name, const projection &given, const std::array<std::int64_t, 2> &shape,
                        detail::check &check) noexcept {
    char bias[] = "bias_qkv";
    std::snprintf(bias + 5, sizeof bias - 5, "%s", name + 7);
    return check.dense(name, given.weight, shape) && check.count(bias, given.bias, shape[0]);
  }

  void point(attn_self_args &raw) const noexcept {
    raw.weight_qkv = qkv_.weight.data();
    raw.weight_q = q_.weight.data();
    raw.weight_k = k_.weight.data();
    raw.weight_v = v_.weight.data();
    raw.weight_o = o_.weight.data();
    raw.bias_qkv = qkv_.bias.data();
    raw.bias_q = q_.bias.data();
    raw.bias_k = k_.bias.data();
    raw.bias_v = v_.bias.data();
    raw.bias_o = o_.bias.data();
  }

  attn_self_args raw_{};
  view<const float, 3> x_;
  view<float, 3> output_;
  view<const float, 3> residual_{};
  std::int64_t heads_q_, heads_kv_, dim_, dim_v_;
  projection qkv_{}, q_{}, k_{}, v_{}, o_{};
};

} // namespace attn

#endif
