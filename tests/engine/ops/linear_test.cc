// Products: messages, gradient buffers of other dtypes, accumulation, epilogues at the edges of tiles.
#include "engine/ops/linear.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "engine/cpu/parallel.h"
#include "engine/kernel/gemm.h"
#include "engine/ops/view.h"
#include "largest_gap.h"
#include "wide_work_scope.h"

using namespace engine;
using Catch::Matchers::Equals;

namespace {

Tensor draw(const Shape& shape, DType dtype, uint64_t seed) {
  Rng rng{seed};
  std::vector<double> values(size_t(shape.numel()));
  for (double& value : values) value = rng.normal();
  return Tensor::from(values, shape, dtype);
}

// Plain loops in double; C starts as `c` when accumulating.
std::vector<double> reference(const Gemm& g, const std::vector<double>& a, const std::vector<double>& b,
                              const std::vector<double>& c) {
  std::vector<double> result = g.accumulate ? c : std::vector<double>(c.size());
  for (int64_t i = 0; i < g.m; ++i)
    for (int64_t j = 0; j < g.n; ++j)
      for (int64_t p = 0; p < g.k; ++p)
        result[size_t(i * g.n + j)] += a[size_t(g.a.transposed ? p * g.m + i : i * g.k + p)] *
                                       b[size_t(g.b.transposed ? j * g.k + p : p * g.n + j)];
  return result;
}

struct WholeNumbers {
  int64_t m, n, k;
  int64_t largest_a, largest_b;
  bool a_transposed, b_transposed, accumulate;
};

/// Products of whole numbers up to `largest`, whose sums are below 2^24, have no rounding.
void check_exact(DType dtype, const WholeNumbers& w) {
  INFO(dtype << " " << w.m << "x" << w.n << "x" << w.k << (w.a_transposed ? ", a transposed" : "")
             << (w.b_transposed ? ", b transposed" : "") << (w.accumulate ? ", accumulated" : ""));
  Rng rng{uint64_t(w.a_transposed + 2 * w.b_transposed)};
  const auto draw_whole = [&](const Shape& shape, int64_t largest) {
    std::vector<double> values(size_t(shape.numel()));
    for (double& x : values) x = std::round((2 * rng.uniform() - 1) * double(largest));
    return Tensor::from(values, shape, dtype);
  };
  const Tensor a = draw_whole({w.m, w.k}, w.largest_a), b = draw_whole({w.k, w.n}, w.largest_b),
               c = Tensor::full({w.m, w.n}, 3, DType::f32);
  const Gemm g{.a = {a.raw(), w.a_transposed ? w.m : w.k, dtype, w.a_transposed},
               .b = {b.raw(), w.b_transposed ? w.k : w.n, dtype, w.b_transposed},
               .m = w.m,
               .n = w.n,
               .k = w.k,
               .c = c.raw(),
               .c_stride = w.n,
               .accumulate = w.accumulate};
  const auto want = reference(g, a.to_vector(), b.to_vector(), c.to_vector());
  kernel::gemm(Device::cpu, g);
  REQUIRE(largest_gap(c.to_vector(), want) == 0);
}

}  // namespace

TEST_CASE("gemm: every pair of dtypes and transposes, small and many-tiled, stored and accumulated") {
  struct Sizes {
    int64_t m, n, k;
  };
  struct Types {
    DType a, b, c;
    double tolerance;
  };
  const DType f64 = DType::f64, f32 = DType::f32, bf16 = DType::bf16, f16 = DType::f16;
  for (const Sizes& s : {Sizes{1, 1, 1}, Sizes{3, 5, 7}, Sizes{14, 32, 16}, Sizes{131, 83, 29},
                         Sizes{17, 300, 1301}, Sizes{40, 33, 2400}, Sizes{4, 3, 0}})
    for (const Types& t :
         {Types{f64, f64, f64, 1e-12}, Types{f32, f32, f32, 1e-3}, Types{bf16, bf16, f32, 1e-3},
          Types{f16, f16, f16, 0.2}, Types{f32, bf16, bf16, 1.0}, Types{f16, f32, f32, 1e-3}})
      for (int form = 0; form < 16; ++form) {
        const bool ta = form & 1, tb = form & 2, accumulate = form & 4, wide = form & 8;
        INFO(s.m << "x" << s.n << "x" << s.k << " " << t.a << " " << t.b << " " << t.c << " form " << form);
        const Tensor a = draw({s.m, s.k}, t.a, 1), b = draw({s.k, s.n}, t.b, 2), c = draw({s.m, s.n}, t.c, 3);
        const Gemm g{.a = {a.raw(), ta ? s.m : s.k, t.a, ta},
                     .b = {b.raw(), tb ? s.k : s.n, t.b, tb},
                     .m = s.m,
                     .n = s.n,
                     .k = s.k,
                     .c = c.raw(),
                     .c_stride = s.n,
                     .c_dtype = t.c,
                     .accumulate = accumulate,
                     .wide = wide};
        const auto want = reference(g, a.to_vector(), b.to_vector(), c.to_vector());
        kernel::gemm(Device::cpu, g);
        CHECK(largest_gap(c.to_vector(), want) <= t.tolerance);
      }
}

// Sizes at which tiles take many row panels, blocks of k and of columns, and a gradient past the caches.
TEST_CASE("gemm: bf16 products of whole numbers are exact at sizes of many blocks") {
  struct Sizes {
    int64_t m, n, k;
  };
  for (const Sizes& s :
       {Sizes{545, 70, 1601}, Sizes{33, 900, 1600}, Sizes{520, 544, 40}, Sizes{70, 40, 4099}})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) check_exact(DType::bf16, {s.m, s.n, s.k, 50, 50, ta, tb, ta != tb});
}

// Every way of forming f16 products keeps all 11 bits of both factors and adds up in f32.
TEST_CASE("gemm: f16 products of whole numbers are exact while their sums are below 2^24") {
  struct Sizes {
    int64_t m, n, k, largest_b;
  };
  for (const Sizes& s : {Sizes{32, 32, 8, 1023}, Sizes{45, 70, 57, 127}, Sizes{9, 1, 3, 2047},
                         Sizes{200, 130, 409, 19}, Sizes{33, 100, 1601, 5}})
    for (int form = 0; form < 16; ++form) {
      const bool ta = form & 1, tb = form & 2, accumulate = form & 4, swap = form & 8;
      check_exact(DType::f16,
                  {s.m, s.n, s.k, swap ? s.largest_b : 2047, swap ? 2047 : s.largest_b, ta, tb, accumulate});
    }
}

TEST_CASE("gemm: infinities, NaN and the smallest numbers of f16 act in products as they do by themselves") {
  const int64_t m = 40, n = 37, k = 19;
  const double inf = INFINITY, special[] = {inf, -inf, NAN, 0, -0.0, 0x1p-24, -0x1p-24, 65504, 0x1.008p0};
  for (int form = 0; form < 4; ++form) {
    const bool ta = form & 1, tb = form & 2;
    Rng rng{uint64_t(form)};
    const auto numbers = [&](const Shape& shape, bool rare) {
      std::vector<double> values(size_t(shape.numel()));
      for (double& x : values)
        x = rng.uniform() < (rare ? 0.02 : 0.3) ? special[int(rng.uniform() * std::size(special))] : 1;
      return Tensor::from(values, shape, DType::f16);
    };
    for (const bool rare : {false, true}) {
      const Tensor a = numbers({m, k}, rare), b = numbers({k, n}, rare),
                   c = Tensor::zeros({m, n}, DType::f32);
      const Gemm g{.a = {a.raw(), ta ? m : k, DType::f16, ta},
                   .b = {b.raw(), tb ? k : n, DType::f16, tb},
                   .m = m,
                   .n = n,
                   .k = k,
                   .c = c.raw(),
                   .c_stride = n};
      const auto want = reference(g, a.to_vector(), b.to_vector(), c.to_vector());
      kernel::gemm(Device::cpu, g);
      const auto got = c.to_vector();
      size_t finite = 0, infinite = 0, none = 0;
      for (size_t i = 0; i < want.size(); ++i) {
        INFO("form " << form << ", element " << i << ": " << got[i] << ", not " << want[i]);
        if (std::isnan(want[i])) {
          ++none;
          REQUIRE(std::isnan(got[i]));
        } else if (std::isinf(want[i])) {
          ++infinite;
          REQUIRE(got[i] == want[i]);
        } else {
          ++finite;
          REQUIRE(std::abs(got[i] - want[i]) <= 1e-6 * 19 * 65504.0 * 65504.0);
        }
      }
      if (!rare) CHECK(none > 100);
      if (rare) {
        CHECK(finite > 100);
        CHECK(infinite > 20);
      }
    }
  }
}

TEST_CASE("gemm: a wide product of f32 is rounded once, another is not") {
  const int64_t m = 20, n = 30, k = 1000;
  for (DType other : {DType::f32, DType::bf16, DType::f16}) {
    const Tensor a = draw({m, k}, DType::f32, 1), b = draw({k, n}, other, 2),
                 c = Tensor::zeros({m, n}, DType::f32);
    Gemm g{.a = {a.raw(), k, DType::f32},
           .b = {b.raw(), n, other},
           .m = m,
           .n = n,
           .k = k,
           .c = c.raw(),
           .c_stride = n};
    const std::vector<double> want = reference(g, a.to_vector(), b.to_vector(), c.to_vector());
    const auto rounded_once = [&] {
      const std::vector<double> got = c.to_vector();
      for (size_t i = 0; i < want.size(); ++i)
        if (got[i] != double(float(want[i]))) return false;
      return true;
    };
    for (const bool wide : {true, false}) {
      g.wide = wide;
      kernel::gemm(Device::cpu, g);
      CHECK(rounded_once() == wide);
    }
  }
}

TEST_CASE("gemm: any number of threads gives the same bits") {
  const int before = cpu::thread_count();
  for (DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
    const Tensor a = draw({131, 2000}, dtype, 1), b = draw({2000, 277}, dtype, 2);
    std::vector<std::vector<double>> results;
    for (int threads : {1, 2, 3, 8}) {
      cpu::set_thread_count(threads);
      results.push_back(matmul(a, b).to_vector());
    }
    for (const auto& result : results) CHECK(result == results[0]);
  }
  cpu::set_thread_count(before);
}

TEST_CASE("linear: messages") {
  const Tensor x = Tensor::zeros({8, 3}, DType::f32), w = Tensor::zeros({5, 3}, DType::f32);
  const auto bad = [](const Tensor& x, const Tensor& w, const Tensor& b, const LinearOptions& o,
                      const char* text) { CHECK_THROWS_WITH(linear(x, w, b, o), Equals(text)); };
  const auto zeros = [](const Shape& s, DType t) { return Tensor::zeros(s, t); };
  bad(zeros({8, 128, 768}, DType::f32), zeros({768, 3072}, DType::f32), {}, {},
      "linear: weight [768, 3072] needs input last dim 3072, got [8, 128, 768]");
  bad(zeros({2, 3}, DType::i32), w, {}, {}, "linear: needs a floating input, got i32");
  bad(zeros({}, DType::f32), w, {}, {},
      "linear: needs input [..., in] and weight [out, in], got [] and [5, 3]");
  bad(x, zeros({3}, DType::f32), {}, {},
      "linear: needs input [..., in] and weight [out, in], got [8, 3] and [3]");
  bad(x, zeros({5, 3}, DType::bf16), {}, {}, "linear: weight of a f32 input must be f32, got bf16");
  bad(x, w, zeros({4}, DType::f32), {}, "linear: weight [5, 3] needs bias [5], got [4]");
  bad(x, w, zeros({5}, DType::f64), {}, "linear: bias of a f32 input must be f32, got f64");
  bad(x, w, {}, {.dtype = DType::f64}, "linear: f32 input cannot give f64 output");
  bad(x, w, {}, {.residual = zeros({8, 3}, DType::f32)},
      "linear: residual must be the output's f32 [8, 5], got f32 [8, 3]");
  bad(x, w, {}, {.residual = zeros({8, 5}, DType::bf16)},
      "linear: residual must be the output's f32 [8, 5], got bf16 [8, 5]");
}

TEST_CASE("matmul: messages") {
  const auto bad = [](const Shape& a, const Shape& b, const char* text, Transpose ta = Transpose::no) {
    CHECK_THROWS_WITH(matmul(Tensor::zeros(a, DType::f32), Tensor::zeros(b, DType::f32), ta), Equals(text));
  };
  bad({2, 3}, {4, 5}, "matmul: inner sizes 3 and 4 differ: [2, 3] times [4, 5]");
  bad({2, 3}, {4, 5}, "matmul: inner sizes 2 and 4 differ: [2, 3] transposed times [4, 5]", Transpose::yes);
  bad({3}, {3, 5}, "matmul: operands need at least two axes, got [3] and [3, 5]");
  bad({2, 2, 3}, {3, 3, 5},
      "matmul: leading axes must be equal, or absent on one side, got [2, 2, 3] and [3, 3, 5]");
  CHECK_THROWS_WITH(matmul(Tensor::zeros({2, 3}, DType::f32), Tensor::zeros({3, 2}, DType::bf16)),
                    Equals("matmul: needs two floating operands of one dtype, got f32 and bf16"));
}

TEST_CASE("linear: parameter gradients take their arena's dtype and accumulate") {
  for (DType compute : {DType::f32, DType::bf16, DType::f16})
    for (DType arena : {DType::f32, DType::f16}) {
      Parameter w, b;
      w.value = w.compute = draw({9, 6}, compute, 1);
      b.value = b.compute = draw({9}, DType::f32, 2);
      w.grad = Tensor::full({9, 6}, 7, arena),
      b.grad = Tensor::full({9}, 7, arena);  // garbage: not yet written
      const Tensor x = draw({4, 6}, compute, 3);
      const Tensor dy = Tensor::full({4, 9}, 0.5, compute);
      for (int pass = 1; pass <= 2; ++pass) {
        Tape tape;
        Tensor y;
        {
          const TapeScope scope(tape);
          y = linear(x, use(w), use(b));
        }
        tape.backward(std::span(&y, 1), std::span(&dy, 1));
        std::vector<double> want(54, 0.0);
        const auto xs = x.to_vector();
        for (size_t i = 0; i < 54; ++i)
          for (size_t r = 0; r < 4; ++r) want[i] += 0.5 * pass * xs[r * 6 + i % 6];
        CHECK(largest_gap(w.grad.to_vector(), want) < (arena == DType::f16 ? 1e-2 : 1e-5));
        CHECK(b.grad.to_vector() == std::vector<double>(9, 2.0 * pass));
      }
    }
}

TEST_CASE("linear: a bf16 input can give an f32 output, unrounded") {
  const Tensor x = draw({5, 40}, DType::bf16, 1), w = draw({33, 40}, DType::bf16, 2);
  const Tensor y = linear(x, w, {}, {.dtype = DType::f32});
  REQUIRE(y.dtype() == DType::f32);
  const Tensor exact = linear(Tensor::from(x.to_vector(), x.shape()), Tensor::from(w.to_vector(), w.shape()));
  CHECK(largest_gap(y.to_vector(), exact.to_vector()) < 1e-5);
}

TEST_CASE("linear: a bf16 layer rounds an f32 gradient for large products, not for small ones or its bias") {
  struct Sizes {
    int64_t m, n, k;
    double gradient;  // that the products see
  };
  for (const Sizes& s : {Sizes{64, 9, 6, 1 + 0x1p-10}, Sizes{2048, 32, 24, 1}}) {
    Parameter w, b;
    w.value = w.compute = draw({s.n, s.k}, DType::bf16, 1);
    b.value = b.compute = draw({s.n}, DType::f32, 2);
    w.grad = Tensor::zeros({s.n, s.k}, DType::f32), b.grad = Tensor::zeros({s.n}, DType::f32);
    const Tensor x = draw({s.m, s.k}, DType::bf16, 3);
    const Tensor dy = Tensor::full({s.m, s.n}, 1 + 0x1p-10, DType::f32);  // 1 in bf16
    Tape tape;
    Tensor y;
    {
      const TapeScope scope(tape);
      y = linear(x, use(w), use(b), {.dtype = DType::f32});
    }
    tape.backward(std::span(&y, 1), std::span(&dy, 1));
    std::vector<double> want(size_t(s.n * s.k), 0.0);
    const auto xs = x.to_vector();
    for (size_t i = 0; i < want.size(); ++i)
      for (size_t r = 0; r < size_t(s.m); ++r) want[i] += s.gradient * xs[r * size_t(s.k) + i % size_t(s.k)];
    CHECK(largest_gap(w.grad.to_vector(), want) < 2e-7 * double(s.m));
    CHECK(b.grad.to_vector() == std::vector<double>(size_t(s.n), double(s.m) * (1 + 0x1p-10)));
  }
}

TEST_CASE("linear: a part of a wider tensor is read and differentiated in place") {
  Tensor wide = draw({6, 20}, DType::f64, 1);
  const Tensor w = draw({3, 5}, DType::f64, 2);
  Tape tape;
  Tensor y;
  {
    const TapeScope scope(tape);
    tape.watch(wide);
    y = linear(slice(wide, 1, 4, 9), w);
  }
  const Tensor dy = Tensor::full({6, 3}, 1, DType::f64);
  tape.backward(std::span(&y, 1), std::span(&dy, 1));
  const auto dx = tape.gradient(wide).to_vector(), ws = w.to_vector();
  for (size_t r = 0; r < 6; ++r)
    for (size_t i = 0; i < 20; ++i) {
      const double want = i >= 4 && i < 9 ? ws[i - 4] + ws[i + 1] + ws[i + 6] : 0;
      CHECK(dx[r * 20 + i] == Approx(want).margin(1e-14));
    }
}
