// Large results go past the caches (engine/cpu/stream.h) and 16-bit ones through the processor's own
// rounding: neither may change a bit.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <functional>

#include "engine/core/tensor.h"
#include "engine/ops/activation.h"
#include "engine/ops/attention.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/embedding.h"
#include "engine/ops/head_scale.h"
#include "engine/ops/linear.h"
#include "engine/ops/norm.h"
#include "engine/ops/rope.h"
#include "engine/ops/softmax.h"
#include "engine/ops/view.h"
#include "wide_work_scope.h"

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

namespace {

// An op on rows x [rows, width] of any length whose rows do not know of each other.
struct RowOp {
  const char* name;
  int64_t width;
  Op run;
};

Tensor constants(int64_t n, DType like, double value) {
  return Tensor::full({n}, value, compute_dtype(like));
}

std::vector<RowOp> row_ops() {
  std::vector<RowOp> ops;
  const auto norm_in_groups = [&](NormKind kind, int64_t groups, int64_t n) {
    ops.push_back(
        {"norm in groups", groups * n, [=](const Tensor& x) {
           return norm(x,
                       {.kind = kind,
                        .weight = constants(n, x.dtype(), 1.25),
                        .alpha = kind == NormKind::dyt ? constants(1, x.dtype(), 0.5).reshape({}) : Tensor(),
                        .groups = groups},
                       x.dtype());
         }});
  };
  // Blocks that are no whole number of packets, in rows that are, and in rows that are not.
  for (const NormKind kind : {NormKind::ln, NormKind::rms, NormKind::l2, NormKind::dyt})
    norm_in_groups(kind, 8, 40), norm_in_groups(kind, 16, 17);
  norm_in_groups(NormKind::rms, 3, 7);
  norm_in_groups(NormKind::ln, 32, 1);
  norm_in_groups(NormKind::ln, 8, 64);
  const auto add = [&](const char* name, int64_t width, const Op& run) { ops.push_back({name, width, run}); };
  for (const int64_t width : {320, 333}) {
    add("norm to another dtype", width, [](const Tensor& x) {
      if (x.dtype() == DType::f64) return affine(x, 1);
      const DType other = x.dtype() == DType::f32 ? DType::bf16 : DType::f32;
      return norm(x, {.kind = NormKind::rms, .weight = constants(x.size(-1), x.dtype(), 1.25)}, other);
    });
    add("residual_add", width, [](const Tensor& x) {
      return residual_add(x, affine(x, 0.5), {.branch = {.learned = constants(x.size(-1), x.dtype(), 0.75)}});
    });
    add("residual_add_norm", width, [](const Tensor& x) {
      const auto [joined, normed] = residual_add_norm(
          x, affine(x, 0.5), {}, {.kind = NormKind::ln, .weight = constants(x.size(-1), x.dtype(), 1.25)},
          x.dtype());
      return sub(normed, joined);
    });
    add("log_softmax", width, log_softmax);
    add("square", width, square);
    add("softcap", width, [](const Tensor& x) { return softcap(x, 3); });
    add("mul by a row", width, [](const Tensor& x) { return mul(x, slice(affine(x, 0.5), -1, 3, 4)); });
    add("glu of parts", 2 * width, [width](const Tensor& x) {
      const auto parts = split(x, -1, {width, width});
      return glu(parts[0], parts[1], Activation::silu);
    });
    add("concat", width, [](const Tensor& x) { return concat({x, affine(x, 2)}, -1); });
    add("contiguous part", width, [](const Tensor& x) { return contiguous(slice(x, -1, 1, x.size(-1))); });
    add("linear", width, [](const Tensor& x) {
      const Tensor weight = drawn({48, x.size(-1)}, x.dtype(), 6), bias = constants(48, x.dtype(), 0.25);
      return linear(x, weight, bias, {.activation = Activation::gelu});
    });
  }
  add("cast", 333, [](const Tensor& x) {
    return x.dtype() == DType::f64 ? affine(x, 1)
                                   : cast(x, x.dtype() == DType::f32 ? DType::bf16 : DType::f32);
  });
  for (const int64_t n : {40, 17})
    add("head_scale", 8 * n, [](const Tensor& x) { return head_scale(x, constants(8, x.dtype(), 1.5)); });
  for (const int64_t n : {40, 18})
    add("rope", 8 * n,
        [n](const Tensor& x) {  // every row is position 0 of a batch entry and turns all the same
          return reshape(rope(reshape(contiguous(x), {x.size(0), 1, 8 * n}), 8, 1e4, 5), {x.size(0), 8 * n});
        });
  for (const int64_t n : {24, 13})
    add("attention", 3 * 4 * n, [n](const Tensor& x) {  // 5 rows are a batch entry
      const auto qkv = split(reshape(contiguous(x), {x.size(0) / 5, 5, 12 * n}), -1, {4 * n, 4 * n, 4 * n});
      return reshape(attention(qkv[0], qkv[1], qkv[2], {.heads = 4, .kv_heads = 4, .causal = true}),
                     {x.size(0), 4 * n});
    });
  return ops;
}

}  // namespace

TEST_CASE("large and small calls of every family give the same bits", "[medium]") {
  const WideWorkScope none(0);  // what is small would be done in double
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64})
    for (const RowOp& op : row_ops())
      for (const bool strided : {false, true}) {
        INFO(op.name << " " << dtype << " width " << op.width << (strided ? ", rows apart" : ""));
        // The part begins where a chunk of any kernel begins, so that what is summed or widened together is
        // the same.
        const int64_t part = 5 * 512;
        const Tensor sample = op.run(drawn({5, op.width}, dtype, 1));
        const int64_t row_bytes =
            std::min(op.width * size_of(dtype), sample.size(-1) * size_of(sample.dtype()));
        const int64_t rows = ((int64_t(12) << 20) / row_bytes / part + 1) * part;
        const auto part_of = [&](const Tensor& t) { return t.slice(0, part, 2 * part); };
        Tensor x = drawn({rows, op.width + (strided ? 3 : 0)}, dtype, 1);
        if (strided) x = x.slice(1, 0, op.width);
        const Tensor dy = drawn({rows, sample.size(-1)}, sample.dtype(), 2);
        const Result whole = run(op.run, x, dy), alone = run(op.run, part_of(x), part_of(dy));
        CHECK(same_bits(contiguous(part_of(whole.y)), contiguous(alone.y)));
        CHECK(same_bits(contiguous(part_of(whole.dx)), contiguous(alone.dx)));
      }
}

TEST_CASE("a large norm of heads begins its packets where memory allows it") {
  // 8 heads of 40 in f32: a head begins 160 bytes on, which is no multiple of a packet of 64.
  const int64_t rows = 10240, n = 40, heads = 8;
  const Tensor x = drawn({rows, heads * n}, DType::f32, 1), weight = Tensor::full({n}, 1, DType::f32);
  REQUIRE(x.bytes() >= int64_t(12) << 20);
  const NormArguments arguments{.kind = NormKind::rms, .weight = weight, .groups = heads};
  const Tensor y = norm(x, arguments, DType::f32), part = norm(x.slice(0, 0, 1024), arguments, DType::f32);
  CHECK(same_bits(y.slice(0, 0, 1024), part));
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
