// test_options.cpp - each option of attn.hpp does what the field of attn.h does: the same bits.
// SPDX-License-Identifier: BSD-3-Clause
#include <attn/attn.hpp>

#include <cmath>
#include <functional>
#include <memory>
#include <vector>

#include "check.hpp"

using attn::status;

namespace {

using floats = std::vector<float>;
using numbers = std::vector<std::int64_t>;
using bytes = std::vector<std::uint8_t>;

constexpr std::int64_t B = 2, Hq = 4, Hkv = 2, N = 5, K = 7, D = 4, Dv = 6, E = 8, P = 3;

floats wave(std::int64_t count, float step) {
  floats made(static_cast<std::size_t>(count));
  for (std::size_t n = 0; n < made.size(); n++) made[n] = std::sin(static_cast<float>(n + 1) * step);
  return made;
}

const floats q = wave(B * Hq * N * D, 0.3f), k = wave(B * Hkv * K * D, 0.7f),
             v = wave(B * Hkv * K * Dv, 1.1f), bias = wave(B * Hq * N * K, 0.9f),
             residual = wave(B * Hq * N * Dv, 0.2f), slopes = wave(Hq, 0.1f), sinks = wave(Hq, 0.4f),
             centers = wave(B * Hq * N, 0.6f), predict = wave(P * D, 0.8f), vector = wave(P, 0.9f),
             general = wave(D * D, 1.3f), additive = wave(D, 1.7f), gain = wave(E, 1.9f),
             shift = wave(E, 2.1f);
const numbers lengths_q{4, 5}, lengths_k{7, 3}, offsets{1, -2}, starts_q{0, 2, 5}, starts_k{0, 7, 7};

// What a call leaves behind.
struct results {
  floats output = floats(B * Hq * N * Dv), weights = floats(B * Hq * N * K), scores = weights,
         lse = floats(B * Hq * N);
};

bool same(const results &a, const results &b) {
  const auto equal = [](const floats &x, const floats &y) {
    return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
  };
  return equal(a.output, b.output) && equal(a.weights, b.weights) && equal(a.scores, b.scores) &&
         equal(a.lse, b.lse);
}

attn_args plain_c(results &to) {
  attn_args raw{};
  raw.size = sizeof raw;
  raw.batch = B;
  raw.heads_q = Hq;
  raw.heads_kv = Hkv;
  raw.len_q = N;
  raw.len_k = K;
  raw.dim = D;
  raw.dim_v = Dv;
  raw.query = q.data();
  raw.key = k.data();
  raw.value = v.data();
  raw.output = to.output.data();
  raw.has_window = 1; // so that attn_local takes it
  raw.window_left = 3;
  raw.window_right = 2;
  return raw;
}

attn::args plain_cpp(results &to) {
  const attn::view query(q, {B, Hq, N, D}), key(k, {B, Hkv, K, D}), value(v, {B, Hkv, K, Dv});
  return attn::args(query, key, value, attn::view(to.output, {B, Hq, N, Dv})).window(3, 2);
}

struct option {
  const char *name;
  std::function<void(attn::args &, results &)> cpp;
  std::function<void(attn_args &, results &)> c;
};

const bytes mask = [] {
  bytes made(B * K);
  for (std::size_t n = 0; n < made.size(); n++) made[n] = n % 3 != 0;
  return made;
}();
const std::unique_ptr<bool[]> flags = [] {
  auto made = std::make_unique<bool[]>(mask.size());
  for (std::size_t n = 0; n < mask.size(); n++) made[n] = mask[n];
  return made;
}();
const std::int64_t mask_strides[] = {K, 0, 0, 1};

void c_mask(attn_args &raw, results &) {
  raw.mask = mask.data();
  raw.mask_strides = mask_strides;
}

const option rules[] = {
    {"none", [](auto &, auto &) {}, [](auto &, auto &) {}},
    {"scale", [](auto &a, auto &) { a.scale(0); }, [](auto &r, auto &) { r.has_scale = 1; }},
    {"causal", [](auto &a, auto &) { a.causal(); }, [](auto &r, auto &) { r.causal = 1; }},
    {"window", [](auto &a, auto &) { a.window(-1, 0); },
     [](auto &r, auto &) { r.window_left = -1, r.window_right = 0; }},
    {"prefix", [](auto &a, auto &) { a.window_prefix(2); }, [](auto &r, auto &) { r.window_prefix = 2; }},
    {"dilation", [](auto &a, auto &) { a.window_dilation(2); },
     [](auto &r, auto &) { r.window_dilation = 2; }},
    {"offset", [](auto &a, auto &) { a.offset(2); }, [](auto &r, auto &) { r.offset = 2; }},
    {"offsets", [](auto &a, auto &) { a.offsets(offsets); },
     [](auto &r, auto &) { r.offsets = offsets.data(); }},
    {"softcap", [](auto &a, auto &) { a.softcap(0.5f); }, [](auto &r, auto &) { r.softcap = 0.5f; }},
    {"bias",
     [](auto &a, auto &) {
       a.bias(attn::view(bias, {B, Hq, N, K}));
     },
     [](auto &r, auto &) { r.bias = bias.data(); }},
    {"alibi", [](auto &a, auto &) { a.alibi_slopes(slopes); },
     [](auto &r, auto &) { r.alibi_slopes = slopes.data(); }},
    {"mask",
     [](auto &a, auto &) {
       a.mask(attn::view(mask, {B, 1, 1, K}).broadcast({B, Hq, N, K}));
     },
     c_mask},
    {"flags",
     [](auto &a, auto &) {
       const attn::view all(attn::span<const bool>(flags.get(), mask.size()), {B, 1, 1, K});
       a.mask(all.broadcast({B, Hq, N, K}));
     },
     c_mask},
    {"lengths_q", [](auto &a, auto &) { a.lengths_q(lengths_q); },
     [](auto &r, auto &) { r.lengths_q = lengths_q.data(); }},
    {"lengths_k", [](auto &a, auto &) { a.lengths_k(lengths_k); },
     [](auto &r, auto &) { r.lengths_k = lengths_k.data(); }},
    {"sinks", [](auto &a, auto &) { a.sinks(sinks); }, [](auto &r, auto &) { r.sinks = sinks.data(); }},
    {"centers",
     [](auto &a, auto &) {
       a.centers(attn::view(centers, {B, Hq, N})).sigma(0.7f);
     },
     [](auto &r, auto &) { r.centers = centers.data(), r.sigma = 0.7f; }},
    {"predict",
     [](auto &a, auto &) {
       a.predict(attn::view(predict, {P, D}), vector);
     },
     [](auto &r, auto &) {
       r.predict_matrix = predict.data(), r.predict_vector = vector.data(), r.predict_dim = P;
     }},
    {"general",
     [](auto &a, auto &) {
       a.score_general(attn::view(general, {D, D}));
     },
     [](auto &r, auto &) { r.score_function = ATTN_SCORE_GENERAL, r.score_weight = general.data(); }},
    {"additive", [](auto &a, auto &) { a.score_additive(additive); },
     [](auto &r, auto &) { r.score_function = ATTN_SCORE_ADDITIVE, r.score_weight = additive.data(); }},
};

const option more[] = {
    {"weights",
     [](auto &a, auto &to) {
       a.weights(attn::view(to.weights, {B, Hq, N, K}));
     },
     [](auto &r, auto &to) { r.weights = to.weights.data(); }},
    {"lse",
     [](auto &a, auto &to) {
       a.lse(attn::view(to.lse, {B, Hq, N}));
     },
     [](auto &r, auto &to) { r.lse = to.lse.data(); }},
    {"scores",
     [](auto &a, auto &to) {
       a.scores(attn::view(to.scores, {B, Hq, N, K}), attn::stage::masked);
     },
     [](auto &r, auto &to) { r.scores = to.scores.data(), r.scores_stage = 2; }},
    {"residual",
     [](auto &a, auto &) {
       a.residual(attn::view(residual, {B, Hq, N, Dv}));
     },
     [](auto &r, auto &) { r.residual = residual.data(); }},
    {"norm",
     [](auto &a, auto &) {
       a.norm(attn::norm::layer, 0.1f)
           .norm_gain(attn::span(gain.data(), Dv))
           .norm_shift(attn::span(shift.data(), Dv));
     },
     [](auto &r, auto &) {
       r.norm = ATTN_NORM_LAYER, r.norm_epsilon = 0.1f, r.norm_gain = gain.data(),
       r.norm_shift = shift.data();
     }},
};

void check(attn::context &context, const option &tried) {
  results by_c, by_cpp;
  attn_args raw = plain_c(by_c);
  attn::args arguments = plain_cpp(by_cpp);
  tried.c(raw, by_c);
  tried.cpp(arguments, by_cpp);
  if (attn_local(context.get(), &raw) != ATTN_OK) std::puts(context.last_error());
  CHECK(context.try_local(arguments) == status::ok);
  results again;
  attn_args unchanged = plain_c(again);
  CHECK(attn_local(context.get(), &unchanged) == ATTN_OK);
  if (!same(by_c, by_cpp)) std::printf("%s: not the same\n", tried.name);
  CHECK(same(by_c, by_cpp));
  CHECK(same(by_c, again) == (std::strcmp(tried.name, "none") == 0)); // the option did something
}

void test_packed(attn::context &context) {
  results by_c, by_cpp;
  attn_args raw = plain_c(by_c);
  const std::int64_t strides_q[] = {0, N * D, D}, strides_out[] = {0, N * Dv, Dv};
  const std::int64_t strides_k[] = {0, K * D, D}, strides_v[] = {0, K * Dv, Dv};
  raw.query_strides = strides_q;
  raw.key_strides = strides_k;
  raw.value_strides = strides_v;
  raw.output_strides = strides_out;
  raw.len_q = 3;
  raw.starts_q = starts_q.data();
  raw.starts_k = starts_k.data();
  raw.lse = by_c.lse.data();
  CHECK(attn_local(context.get(), &raw) == ATTN_OK);
  const attn::view query(q, {1, Hq, N, D}), key(k, {1, Hkv, K, D}), value(v, {1, Hkv, K, Dv});
  attn::args arguments(query, key, value, attn::view(by_cpp.output, {1, Hq, N, Dv}));
  arguments.window(3, 2).starts_q(starts_q).starts_k(starts_k).lse(attn::view(by_cpp.lse, {B, Hq, 3}));
  CHECK(context.try_local(arguments) == status::ok);
  CHECK(same(by_c, by_cpp));
}

void test_layouts(attn::context &context) {
  results dense, swapped;
  CHECK(context.try_local(plain_cpp(dense)) == status::ok);
  floats turned(q.size());
  for (std::int64_t n = 0; n < B * Hq * N * D; n++) {
    const std::int64_t b = n / (Hq * N * D), h = n / (N * D) % Hq, i = n / D % N, d = n % D;
    turned[static_cast<std::size_t>(((b * N + i) * Hq + h) * D + d)] = q[static_cast<std::size_t>(n)];
  }
  const attn::view query = attn::view(turned, {B, N, Hq, D}).swapped(1, 2);
  const attn::view key(k, {B, Hkv, K, D}), value(v, {B, Hkv, K, Dv});
  attn::args arguments(query, key, value, attn::view(swapped.output, {B, Hq, N, Dv}));
  CHECK(context.try_local(arguments.window(3, 2)) == status::ok);
  CHECK(same(dense, swapped));
}

// A layer of 2 heads over 1 head of keys, weights packed by C and one by one by C++.
void test_layer(attn::context &context) {
  constexpr std::int64_t H = 2, rows = H * D + D + Dv;
  const floats x = wave(B * N * E, 0.35f), weight = wave(rows * E, 0.15f), add = wave(rows, 0.25f);
  const floats out_weight = wave(E * H * Dv, 0.45f), out_add = wave(E, 0.55f);
  floats by_c(B * N * E), packed(by_c), single(by_c);
  attn_args attention{};
  attention.size = sizeof attention;
  attention.batch = B;
  attention.heads_q = H;
  attention.heads_kv = 1;
  attention.len_q = attention.len_k = N;
  attention.dim = D;
  attention.dim_v = Dv;
  attention.causal = 1;
  attention.residual = x.data();
  attention.norm = ATTN_NORM_RMS;
  attention.norm_gain = gain.data();
  attn_self_args raw{};
  raw.size = sizeof raw;
  raw.attention = &attention;
  raw.dim_model = E;
  raw.x = x.data();
  raw.output = by_c.data();
  raw.weight_qkv = weight.data();
  raw.bias_qkv = add.data();
  raw.weight_o = out_weight.data();
  raw.bias_o = out_add.data();
  raw.rope = ATTN_ROPE_HALF;
  raw.rope_base = 100;
  raw.rope_dim = 2;
  CHECK(attn_self(context.get(), &raw) == ATTN_OK);

  const attn::view input(x, {B, N, E});
  attn::layer layer(input, attn::view(packed, {B, N, E}), H, D);
  layer.heads_kv(1)
      .dim_v(Dv)
      .qkv(attn::view(weight, {rows, E}), add)
      .o(attn::view(out_weight, {E, H * Dv}), out_add);
  layer.rope(attn::rope::half, 100, 2).causal().residual(input);
  layer.norm(attn::norm::rms).norm_gain(gain);
  CHECK(context.try_self(layer) == status::ok);
  CHECK(packed == by_c);
  attn_plan plan{};
  CHECK(context.try_explain(layer, plan) == status::ok && plan.scratch_bytes > 0);

  const auto part = [&](std::int64_t first, std::int64_t count) {
    return attn::view(attn::span(weight.data() + first * E, static_cast<std::size_t>(count * E)),
                      {count, E});
  };
  const auto bias_of = [&](std::int64_t first, std::int64_t count) {
    return attn::span(add.data() + first, static_cast<std::size_t>(count));
  };
  attn::layer split(input, attn::view(single, {B, N, E}), H, D);
  split.heads_kv(1).dim_v(Dv).o(attn::view(out_weight, {E, H * Dv}), out_add).causal().residual(input);
  split.q(part(0, H * D), bias_of(0, H * D)).k(part(H * D, D), bias_of(H * D, D));
  split.v(part(H * D + D, Dv), bias_of(H * D + D, Dv)).rope(attn::rope::half, 100, 2);
  split.norm(attn::norm::rms).norm_gain(gain);
  CHECK(context.try_self(split) == status::ok);
  CHECK(single == by_c);

  split.q(attn::view(weight, {2, E}));
  CHECK(context.try_self(split) == status::argument);
  CHECK_TEXT(context.last_error(), "weight_q: expected the shape (8, 8), got (2, 8)");
  layer.o(attn::view(out_weight, {E, H * Dv}), attn::span(add.data(), 3));
  CHECK(context.try_self(layer) == status::argument);
  CHECK_TEXT(context.last_error(), "bias_o: expected 8 numbers, got 3");
}

} // namespace

int main() {
  attn::context context(nullptr);
  CHECK(attn::context::try_create(context) == status::ok);
  for (const option &tried : rules) check(context, tried);
  for (const option &tried : more) check(context, tried);
  test_packed(context);
  test_layouts(context);
  test_layer(context);
}
