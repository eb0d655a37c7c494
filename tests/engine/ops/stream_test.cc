// Large results go past the caches (engine/cpu/stream.h) and 16-bit ones through the processor's own
// rounding: neither may change a bit.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <functional>

#include "engine/core/tensor.h"
#include "engine/ops/activation.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/embedding.h"
#include "engine/ops/norm.h"
#include "engine/ops/softmax.h"

using namespace engine;

namespace {

Tensor drawn(const Shape& shape, DType dtype, uint64_t seed) {
  const Tensor t = Tensor::empty(shape, dtype);
  visit_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    uint32_t state = uint32_t(seed);  // of a quick generator: millions are drawn
    for (int64_t i = 0; i < t.numel(); ++i) {
      state = state * 1664525u + 1013904223u;
      t.data<T>()[i] = narrow<T>(float(int32_t(state)) * 0x1p-29f);
    }
  });
  return t;
}

// y of f(x) and the gradient of x for the cotangents dy.
struct Result {
  Tensor y, dx;
};
using Op = std::function<Tensor(const Tensor&)>;
Result run(const Op& f, Tensor x, const Tensor& dy) {
  x = x.detach();
  Tape tape;
  Tensor y;
  {
    const TapeScope scope(tape);
    tape.watch(x);
    y = f(x);
  }
  tape.backward(std::span(&y, 1), std::span(&dy, 1));
  return {y, tape.gradient(x)};
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.bytes() == b.bytes() && std::memcmp(a.raw(), b.raw(), size_t(a.bytes())) == 0;
}

}  // namespace

TEST_CASE("a large result has the bits of its parts") {
  const auto normed = [](NormKind kind) {
    return [kind](const Tensor& x) {
      const Tensor weight = Tensor::full({x.size(-1)}, 1.25, DType::f32);
      return norm(x, {.kind = kind, .weight = weight}, x.dtype());
    };
  };
  const std::vector<std::pair<const char*, Op>> ops = {
      {"gelu", [](const Tensor& x) { return activate(x, Activation::gelu); }},
      {"swiglu", [](const Tensor& x) { return glu(x, affine(x, 0.5), Activation::silu); }},
      {"softmax", softmax},
      {"layer_norm", normed(NormKind::ln)},
      {"rms_norm", normed(NormKind::rms)},
      {"add", [](const Tensor& x) { return add(x, affine(x, 0.75)); }},
  };
  // A row is no whole number of packets in the second: then nothing is streamed but what is one long row.
  for (const int64_t width : {1024, 1029})
    for (DType dtype : {DType::f32, DType::bf16, DType::f16})
      for (const auto& [name, f] : ops) {
        const int64_t rows = dtype == DType::f32 ? 3100 : 6200, part = rows / 10;
        INFO(name << " " << dtype << " [" << rows << ", " << width << "]");
        const Tensor x = drawn({rows, width}, dtype, 1), dy = drawn({rows, width}, dtype, 2);
        const Result whole = run(f, x, dy);
        REQUIRE(whole.y.bytes() > int64_t(12) << 20);
        for (int64_t at = 0; at < rows; at += part) {
          const Result alone = run(f, x.slice(0, at, at + part), dy.slice(0, at, at + part));
          CHECK(same_bits(whole.y.slice(0, at, at + part), alone.y));
          CHECK(same_bits(whole.dx.slice(0, at, at + part), alone.dx));
        }
      }
}

TEST_CASE("large dropout has the mask of small dropout") {
  const int64_t n = (int64_t(4) << 20) + 5;
  const Tensor x = drawn({n}, DType::f32, 3);
  Rng rng{9}, again{9};
  const Tensor whole = dropout(x, 0.25, rng), start = dropout(x.slice(0, 0, 4096), 0.25, again);
  CHECK(same_bits(whole.slice(0, 0, 4096), start));
  int64_t dropped = 0;
  for (int64_t i = 0; i < n; ++i) {
    const float y = whole.data<float>()[i], kept = x.data<float>()[i] / 0.75f;
    dropped += y == 0;
    if (y != 0 && std::fabs(y - kept) > 1e-6f * std::fabs(kept)) FAIL("element " << i << " is " << y);
  }
  CHECK(double(dropped) / double(n) == Approx(0.25).margin(0.002));
}

TEST_CASE("rounding to bf16 and f16 gives the bits of narrow()") {
  // Every upper half, with lower halves around the ties.
  const uint32_t lower[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
  const int64_t n = 6 << 16;
  const Tensor x = Tensor::empty({1, n}, DType::f32);
  for (int64_t i = 0; i < n; ++i) x.data<float>()[i] = bits_to_float(uint32_t(i / 6) << 16 | lower[i % 6]);
  const Tensor ids = Tensor::zeros({1}, DType::i32);
  for (DType dtype : {DType::bf16, DType::f16}) {
    // A lookup multiplies by its scale, so it takes denormals for zero; a cast only moves.
    const Tensor computed = embedding(ids, x, 1, dtype), moved = cast(x, dtype);
    int64_t wrong = 0;
    visit_float(dtype, [&](auto zero) {
      using T = decltype(zero);
      for (int64_t i = 0; i < n; ++i) {
        const float value = x.data<float>()[i];
        const T expected = narrow<T>(value), *a = moved.data<T>() + i, *b = computed.data<T>() + i;
        if (std::isnan(value)) {
          wrong += !std::isnan(widen(*a)) + !std::isnan(widen(*b));
          continue;
        }
        wrong += std::memcmp(a, &expected, sizeof(T)) != 0;
        if (std::fabs(value) >= 0x1p-126f) wrong += std::memcmp(b, &expected, sizeof(T)) != 0;
      }
    });
    INFO(dtype);
    CHECK(wrong == 0);
  }
}
