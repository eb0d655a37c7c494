// Copies, elementwise ops and reductions: CUDA kernels on the stand-in against the CPU's.
#include <catch2/catch.hpp>

#include "engine/kernel/copy.h"
#include "engine/ops/elementwise_kernels.h"
#include "engine/ops/reduce_kernels.h"
#include "twin.h"

namespace engine {
namespace cuda_host {
void copy(const CopyArgs&);
void binary_forward(const BinaryForward&);
void binary_backward(const BinaryBackward&);
void unary_forward(const UnaryForward&);
void unary_backward(const UnaryBackward&);
void dropout(const DropoutArgs&);
void sum(const SumArgs&);
void spread(const SpreadArgs&);
void max_last(const MaxArgs&);
}  // namespace cuda_host
namespace {

TEST_CASE("cuda: copies of every pair of dtypes, in packs and one by one, set and added") {
  for (const DType from : kFloats)
    for (const DType to : kFloats)
      for (const bool accumulate : {false, true})
        for (const int64_t n : {64, 27}) {
          INFO(from << " to " << to << ", rows of " << n << (accumulate ? ", added" : ""));
          Twin x(from, 5 * (n + 16)), y(to, 7 * (n + 32));
          x.normal(1), y.normal(2);
          on_both(cpu::copy, cuda_host::copy, [&](auto on) {
            return CopyArgs{on(x), on(y), from, to, 2, {5, n}, {n + 16, 1}, {n + 32, 1}, accumulate};
          });
          CHECK(y.difference() <= (accumulate ? rounding_of(to) : 0));
        }
}

TEST_CASE("cuda: copies with swapped axes, of ids and masks, of one element") {
  Twin x(DType::f32, 2 * 3 * 5), y(DType::f32, 30);
  x.normal();
  on_both(cpu::copy, cuda_host::copy, [&](auto on) {
    return CopyArgs{on(x), on(y), DType::f32, DType::f32, 3, {5, 3, 2}, {1, 5, 15}, {6, 2, 1}, false};
  });
  CHECK(y.difference() == 0);
  Twin ids(DType::i32, 20), more(DType::i32, 20), mask(DType::u8, 20), masks(DType::u8, 20);
  ids.fill([](int64_t i) { return i * i; });
  mask.fill([](int64_t i) { return i % 3; });
  on_both(cpu::copy, cuda_host::copy, [&](auto on) {
    return CopyArgs{on(ids), on(more), DType::i32, DType::i32, 2, {4, 5}, {1, 4}, {5, 1}, false};
  });
  on_both(cpu::copy, cuda_host::copy, [&](auto on) {
    return CopyArgs{on(mask), on(masks), DType::u8, DType::u8, 1, {20}, {1}, {1}, false};
  });
  CHECK(more.difference() == 0);
  CHECK(masks.difference() == 0);
  on_both(cpu::copy, cuda_host::copy,
          [&](auto on) { return CopyArgs{on(x), on(y), DType::f32, DType::f32, 0, {}, {}, {}, true}; });
  CHECK(y.difference() == 0);
}

TEST_CASE("cuda: a op b, stretched and side by side, and its gradients") {
  for (const DType t : kFloats)
    for (const BinaryOp op : {BinaryOp::add, BinaryOp::sub, BinaryOp::mul, BinaryOp::div}) {
      INFO(t << " op " << int(op));
      for (const int64_t n : {96, 35}) {
        Twin a(t, n), b(t, n), y(t, n);
        a.normal(1), b.normal(2, 0.1, 1.5);
        on_both(cpu::binary_forward, cuda_host::binary_forward,
                [&](auto on) { return BinaryForward{on(a), on(b), on(y), 1, {n}, {1}, {1}, t, t, t, op}; });
        CHECK(y.difference() <= rounding_of(t));
      }
      Twin a(t, 4 * 5), b(DType::f32, 3), y(t, 60), dy(t, 60), g(compute_dtype(t), 60);
      a.normal(1), b.normal(2, 0.1, 1.5), dy.normal(3), g.normal(4);
      if (t == DType::f64) continue;  // an f64 result has f64 operands
      on_both(cpu::binary_forward, cuda_host::binary_forward, [&](auto on) {
        return BinaryForward{on(a), on(b), on(y), 3, {4, 3, 5}, {5, 0, 1}, {0, 1, 0}, t, DType::f32, t, op};
      });
      CHECK(y.difference() <= rounding_of(t));
      for (const bool of_a : {true, false}) {
        on_both(cpu::binary_backward, cuda_host::binary_backward, [&](auto on) {
          return BinaryBackward{on(a),     on(b),     on(dy), on(g),      3, {4, 3, 5},
                                {5, 0, 1}, {0, 1, 0}, t,      DType::f32, t, compute_dtype(t),
                                op,        of_a,      true};
        });
        CHECK(g.difference() <= 1e-6);
      }
    }
}

TEST_CASE("cuda: f(x) and its gradient") {
  for (const DType t : kFloats)
    for (const UnaryOp op : {UnaryOp::affine, UnaryOp::exp, UnaryOp::log, UnaryOp::sqrt, UnaryOp::square,
                             UnaryOp::abs, UnaryOp::softcap})
      for (const int64_t n : {1024, 333})
        for (const DType dx_dtype : {t, compute_dtype(t)}) {
          INFO(t << " op " << int(op) << " n " << n << " into " << dx_dtype);
          Twin x(t, n), y(t, n), dy(t, n), dx(dx_dtype, n);
          x.normal(1, 0.2, 1.5), dy.normal(2), dx.normal(3);
          on_both(cpu::unary_forward, cuda_host::unary_forward,
                  [&](auto on) { return UnaryForward{on(x), on(y), n, t, op, 2.5, 0.25}; });
          CHECK(y.difference() <= rounding_of(t));
          on_both(cpu::unary_backward, cuda_host::unary_backward, [&](auto on) {
            return UnaryBackward{on(x), on(dy), on(dx), n, t, dx_dtype, op, 2.5, true};
          });
          CHECK(dx.difference() <= rounding_of(dx_dtype));
        }
}

TEST_CASE("cuda: dropout draws the CPU's mask, bit for bit") {
  for (const DType t : kFloats)
    for (const int64_t n : {256, 1003})
      for (const double p : {0.1, 0.5}) {
        INFO(t << " n " << n << " p " << p);
        Twin x(t, n), y(t, n);
        x.normal();
        on_both(cpu::dropout, cuda_host::dropout, [&](auto on) {
          return DropoutArgs{on(x), on(y), n, t, t, 77, (uint64_t(1) << 40) + 5, p, false};
        });
        CHECK(y.difference() <= (p == 0.5 ? 0 : rounding_of(t)));
        int64_t dropped = 0;
        for (int64_t i = 0; i < n; ++i) dropped += y.value(i) == 0;
        CHECK(std::fabs(double(dropped) - double(n) * p) < 5 * std::sqrt(double(n)));
      }
}

TEST_CASE("cuda: sums over an axis of any shape, spread and largest") {
  struct Size {
    int64_t outer, n, inner;
  };
  for (const DType t : kFloats) {
    for (const Size s :
         {Size{1, 20000, 1}, Size{3, 70, 5}, Size{2, 100, 40}, Size{1, 5, 600}, Size{4, 0, 3}}) {
      INFO(t << " [" << s.outer << ", " << s.n << ", " << s.inner << "]");
      Twin x(t, s.outer * s.n * s.inner), y(compute_dtype(t), s.outer * s.inner),
          partials(DType::f64, s.outer * sum_pieces(s.n, s.inner) * s.inner);
      x.normal(1, 1, 0.5), y.normal(2);
      on_both(cpu::sum, cuda_host::sum, [&](auto on) {
        return SumArgs{
            on(x), on(y), static_cast<double*>(on(partials)), s.outer, s.n, s.inner, t, compute_dtype(t),
            0.5,   true};
      });
      CHECK(y.difference() <= (t == DType::f64 ? 1e-13 : 1e-6));
      Twin dx(t, s.outer * s.n * s.inner);
      dx.normal(3);
      on_both(cpu::spread, cuda_host::spread, [&](auto on) {
        return SpreadArgs{on(y), on(dx), s.outer, s.n, s.inner, compute_dtype(t), t, 3, true};
      });
      CHECK(dx.difference() <= rounding_of(t));
    }
    for (const int64_t n : {1, 31, 1000, 3000}) {
      Twin x(t, 5 * n), y(t, 5);
      x.normal();
      if (n > 31) x.fill([&](int64_t i) { return i == n + 7 ? NAN : double(i % 77) - 100; });
      on_both(cpu::max_last, cuda_host::max_last, [&](auto on) { return MaxArgs{on(x), on(y), 5, n, n, t}; });
      CHECK(y.difference() == 0);
      CHECK(std::isnan(y.value(1)) == (n > 31));
    }
  }
}

}  // namespace
}  // namespace engine
