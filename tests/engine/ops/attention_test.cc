// Attention beyond the op table: messages, memory, the cache layout.
#include "engine/ops/attention.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "engine/ops/view.h"

using namespace engine;

namespace {
Tensor normal(const Shape& shape, uint64_t seed, DType dtype = DType::f32) {
  Rng rng{seed};
  std::vector<double> values(size_t(shape.numel()));
  for (double& value : values) value = rng.normal();
  return Tensor::from(values, shape, dtype);
}
}  // namespace

TEST_CASE("attention explains what is wrong with its inputs") {
  const Tensor q = normal({2, 3, 8}, 1), kv = normal({2, 5, 4}, 2);
  const auto error = [&](const Tensor& a, const Tensor& b, const Tensor& c, const AttentionOptions& o,
                         const char* message) { CHECK_THROWS_WITH(attention(a, b, c, o), message); };
  const AttentionOptions grouped{.heads = 2, .kv_heads = 1};
  error(q, kv, normal({2, 5, 4}, 2, DType::f64), grouped,
        "attention: q, k and v need one floating dtype, got f32, f32 and f64");
  error(Tensor::from_ids({1}, {1, 1, 1}), kv, kv, grouped,
        "attention: q, k and v need one floating dtype, got i32, f32 and f32");
  error(normal({3, 8}, 1), kv, kv, grouped,
        "attention: needs q [B, T, heads * n], k and v [B, S, kv_heads * n], got [3, 8], [2, 5, 4] and [2, "
        "5, 4]");
  error(q, kv, kv, {.heads = 3, .kv_heads = 2},
        "attention: kv_heads must divide heads, got 3 heads and 2 kv_heads");
  error(q, kv, kv, {.heads = 3, .kv_heads = 1}, "attention: 3 heads do not divide last dim of q [2, 3, 8]");
  error(q, kv, kv, {.heads = 2, .kv_heads = 2},
        "attention: q [2, 3, 8] with 2 heads and 2 kv_heads needs k and v [2, S, 8], got [2, 5, 4] and [2, "
        "5, 4]");
  error(q, normal({2, 0, 4}, 1), normal({2, 0, 4}, 1), grouped, "attention: 3 queries and no keys");
  error(normal({2, 6, 8}, 1), kv, kv, {.heads = 2, .kv_heads = 1, .causal = true},
        "attention: with causal or key_mask the 6 queries are the last of the keys, got 5 keys");
  error(q, kv, kv, {.heads = 2, .kv_heads = 1, .scale = -1},
        "attention: scale and softcap must be >= 0, got -1 and 0");
  error(q, kv, kv, {.heads = 2, .kv_heads = 1, .dropout = 1}, "attention: dropout must be in [0, 1), got 1");
  error(q, kv, kv, {.heads = 2, .kv_heads = 1, .dropout = 0.5}, "attention: dropout 0.5 needs an rng");
  error(q, kv, kv, {.heads = 2, .kv_heads = 1, .key_mask = Tensor::zeros({2, 3}, DType::u8)},
        "attention: key_mask must be u8 [2, 5], got u8 [2, 3]");
  error(q, kv, kv, {.heads = 2, .kv_heads = 1, .key_mask = Tensor::zeros({2, 5}, DType::f32)},
        "attention: key_mask must be u8 [2, 5], got f32 [2, 5]");
}

TEST_CASE("attention saves O(T): its inputs, its output and one number per row") {
  for (int64_t time : {64, 256, 512}) {
    Tensor q = normal({2, time, 24}, 1), k = normal({2, time, 24}, 2), v = normal({2, time, 24}, 3);
    Tape tape;
    const TapeScope scope(tape);
    tape.watch(q);
    attention(q, k, v, {.heads = 3, .kv_heads = 3, .causal = true});
    const int64_t wide = time == 64 ? 2 : 1;  // a small one keeps its output and its rows' numbers in f64
    CHECK(tape.saved_bytes() == (3 + wide) * q.bytes() + 2 * 3 * time * 4 * wide);
  }
}

TEST_CASE(
    "attention: the gradients of a row of keys cancel, as softmax does not see what all have in common") {
  // Values with a large common part make large numbers that must cancel.
  Tensor q = normal({2, 40, 24}, 1), k = normal({2, 40, 24}, 2), v = normal({2, 40, 24}, 3);
  for (int64_t i = 0; i < v.numel(); ++i) v.data<float>()[i] += 30;
  Tape tape;
  Tensor o;
  {
    const TapeScope scope(tape);
    tape.watch(k);
    o = attention(q, k, v, {.heads = 3, .kv_heads = 3});
  }
  const Tensor cotangent = normal(o.shape(), 4);
  tape.backward(std::span(&o, 1), std::span(&cotangent, 1));
  const std::vector<double> dk = tape.gradient(k).to_vector();
  double sums = 0, squares = 0;
  for (int64_t b = 0; b < 2; ++b)
    for (int64_t c = 0; c < 24; ++c) {
      double sum = 0;
      for (int64_t t = 0; t < 40; ++t) {
        const double x = dk[size_t((b * 40 + t) * 24 + c)];
        sum += x, squares += x * x;
      }
      sums += sum * sum;
    }
  INFO(std::sqrt(sums / squares));
  CHECK(std::sqrt(sums / squares) < 1e-6);
}

// Sizes of real heads, whose products go in pairs or on tiles where the processor has them: more than 64
// queries.
TEST_CASE("attention in 16 bits is that of doubles on the same numbers, within its rounding") {
  struct Sizes {
    int64_t queries, keys, heads, kv_heads, n;
    bool causal;
  };
  for (const Sizes& s : {Sizes{131, 131, 2, 2, 64, true}, Sizes{67, 70, 1, 1, 80, false},
                         Sizes{200, 200, 4, 2, 32, true}, Sizes{97, 160, 1, 1, 128, true}})
    for (const DType dtype : {DType::bf16, DType::f16}) {
      INFO(dtype << " " << s.queries << "x" << s.keys << ", " << s.heads << " heads of " << s.n);
      const AttentionOptions options{.heads = s.heads, .kv_heads = s.kv_heads, .causal = s.causal};
      const Tensor given[] = {
          normal({2, s.queries, s.heads * s.n}, 1, dtype), normal({2, s.keys, s.kv_heads * s.n}, 2, dtype),
          normal({2, s.keys, s.kv_heads * s.n}, 3, dtype), normal({2, s.queries, s.heads * s.n}, 4, dtype)};
      // Output and gradients with the numbers as `in` holds them.
      const auto results = [&](DType in) {
        const auto cast = [&](const Tensor& x) { return Tensor::from(x.to_vector(), x.shape(), in); };
        Tensor q = cast(given[0]), k = cast(given[1]), v = cast(given[2]), o;
        const Tensor cotangent = cast(given[3]);
        Tape tape;
        {
          const TapeScope scope(tape);
          for (Tensor* x : {&q, &k, &v}) tape.watch(*x);
          o = attention(q, k, v, options);
        }
        tape.backward(std::span(&o, 1), std::span(&cotangent, 1));
        return std::vector<std::vector<double>>{o.to_vector(), tape.gradient(q).to_vector(),
                                                tape.gradient(k).to_vector(), tape.gradient(v).to_vector()};
      };
      const auto ours = results(dtype), exact = results(DType::f64);
      for (size_t t = 0; t < ours.size(); ++t) {
        double error = 0, size = 0;
        for (size_t i = 0; i < exact[t].size(); ++i)
          error += std::pow(ours[t][i] - exact[t][i], 2), size += exact[t][i] * exact[t][i];
        INFO("output, dq, dk, dv: " << t << ", " << std::sqrt(error / size));
        CHECK(std::sqrt(error / size) <= (dtype == DType::bf16 ? 6e-3 : 1e-3));
      }
    }
}

TEST_CASE("attention over part of a cache gives the bits of attention over a copy of it") {
  const Tensor q = normal({2, 2, 8}, 1), cache = normal({2, 90, 4}, 2), keys = cache.slice(1, 0, 70);
  const AttentionOptions options{.heads = 2, .kv_heads = 1, .causal = true};
  CHECK(attention(q, keys, keys, options).to_vector() ==
        attention(q, contiguous(keys), contiguous(keys), options).to_vector());
}

TEST_CASE("attention step by step over a cache agrees with the whole sequence") {
  const int64_t time = 140;
  const Tensor q = normal({1, time, 12}, 1, DType::f64), k = normal({1, time, 6}, 2, DType::f64),
               v = normal({1, time, 6}, 3, DType::f64);
  const AttentionOptions options{.heads = 4, .kv_heads = 2, .causal = true};
  const std::vector<double> whole = attention(q, k, v, options).to_vector();
  const double rounding = 1e-15;  // of averages of numbers near 1, which may cancel
  for (int64_t t = 0; t < time; ++t) {
    const std::vector<double> step =
        attention(q.slice(1, t, t + 1), k.slice(1, 0, t + 1), v.slice(1, 0, t + 1), options).to_vector();
    for (size_t i = 0; i < step.size(); ++i)
      CHECK(step[i] == Approx(whole[size_t(t) * 12 + i]).epsilon(1e-13).margin(rounding));
  }
}

TEST_CASE("attention draws the same dropout again and leaves the rng behind it") {
  const Tensor x = normal({1, 5, 8}, 1);
  Rng rng{3}, again{3};
  const AttentionOptions options{.heads = 2, .kv_heads = 2, .dropout = 0.5};
  AttentionOptions first = options, second = options;
  first.rng = &rng, second.rng = &again;
  CHECK(attention(x, x, x, first).to_vector() == attention(x, x, x, second).to_vector());
  CHECK(rng.offset == 2 * 5 * 2);
  const std::vector<double> next = attention(x, x, x, first).to_vector();
  again = {3};
  CHECK(next != attention(x, x, x, second).to_vector());
}
