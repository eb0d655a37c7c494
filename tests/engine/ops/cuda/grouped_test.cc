// Products of groups that only the device knows, and unit vectors in place: CUDA kernels on the stand-in against
// the CPU's.
#include <catch2/catch.hpp>

#include "engine/cuda/host/access.h"
#include "engine/cuda/host/count.h"
#include "engine/cuda/host/settings.h"
#include "engine/ops/grouped_linear_kernels.h"
#include "engine/ops/rows_kernels.h"
#include "engine/ops/unit_kernels.h"
#include "twin.h"

namespace engine {
namespace cuda_host {
void gather_rows(const GatherRows&);
void scatter_rows(const ScatterRows&);
void grouped_product(const GroupedProduct&);
void grouped_gradient(const GroupedGradient&);
void make_unit(const MakeUnit&);
}  // namespace cuda_host
namespace {

const int32_t* ints(void* p) { return static_cast<const int32_t*>(p); }

void check_products(const std::vector<int32_t>& begins, int64_t n, int64_t k, DType t, bool accumulate) {
  INFO(t << " n " << n << " k " << k << (accumulate ? " added" : ""));
  const int64_t groups = int64_t(begins.size()) - 1, rows = begins.back();
  Twin offsets(DType::i32, groups + 1);
  offsets.fill([&](int64_t i) { return begins[size_t(i)]; });
  const DType c = compute_dtype(t);
  const double limit = t == DType::f64 ? 1e-12 : 2e-5 + 2 * rounding_of(t);
  Twin x(t, rows * k), w(t, groups * n * k), y(t, rows * n), dy(t, rows * n), dx(t, rows * k),
      dw(c, groups * n * k);
  x.normal(1), w.normal(2), y.normal(3), dy.normal(4), dx.normal(5), dw.normal(6);
  on_both(cpu::grouped_product, cuda_host::grouped_product, [&](auto on) {
    return GroupedProduct{on(x), on(w), ints(on(offsets)), groups, rows, n, k, on(y), t, t, true, accumulate};
  });
  CHECK(y.difference() <= limit);
  on_both(cpu::grouped_product, cuda_host::grouped_product, [&](auto on) {
    return GroupedProduct{on(dy), on(w), ints(on(offsets)), groups, rows, k, n, on(dx), t,
                          t,      false, accumulate};
  });
  CHECK(dx.difference() <= limit);
  on_both(cpu::grouped_gradient, cuda_host::grouped_gradient, [&](auto on) {
    return GroupedGradient{on(dy), on(x), ints(on(offsets)), groups, rows, n, k, on(dw), t, c, accumulate};
  });
  CHECK(dw.difference() <= limit);
}

TEST_CASE("cuda: products of groups of rows, some of them empty") {
  for (const DType t : kFloats)
    for (const bool accumulate : {false, true})
      check_products({0, 0, 33, 70, 70, 71}, 37, 45, t, accumulate);  // an empty group in front, one inside
}

TEST_CASE("cuda: products of groups of rows on tensor cores") {
  for (const DType t : {DType::bf16, DType::f16})
    for (const bool accumulate : {false, true}) {
      standin::settings().count = true;
      standin::reset_traffic();
      check_products({0, 0, 33, 170, 170, 171}, 136, 72, t, accumulate);
      standin::settings().count = false;
      CHECK(standin::total_traffic().matrix_flop > 0);
      CHECK(standin::total_traffic().conflict_factor() == 1);
    }
}

TEST_CASE("cuda: rows and columns of matrices made unit vectors, zeros left") {
  for (const DType t : kFloats)
    for (const bool by_columns : {false, true}) {
      INFO(t << (by_columns ? " columns" : " rows"));
      const int64_t matrices = 2, rows = 45, columns = 67;
      Twin x(t, matrices * rows * columns);
      x.fill([&](int64_t i) {
        const bool zero = i / columns % rows == 3 || i % columns == 5;
        return zero ? 0.0 : double((i * 7) % 19) - 9;
      });
      on_both(cpu::make_unit, cuda_host::make_unit,
              [&](auto on) { return MakeUnit{on(x), matrices, rows, columns, t, by_columns}; });
      CHECK(x.difference() <= rounding_of(t));
    }
}

/// What the stand-in says when f's kernel runs.
template <class F>
std::string complaint(F&& f) {
  try {
    f();
    standin::current_stream().synchronize();
  } catch (const standin::KernelError& e) {
    return e.what();
  }
  return "nothing";
}

TEST_CASE("cuda: groups, matrices and indices that reach beyond memory are caught in the kernel's line") {
  using Catch::Matchers::Contains;
  constexpr int64_t kRows = 5, kWidth = 16;
  Twin x(DType::bf16, kRows * kWidth), odd(DType::f32, kRows * kWidth), w(DType::bf16, kWidth * kWidth),
      y(DType::bf16, kRows * kWidth), far(DType::i32, kRows + 1), ids(DType::i32, kRows);
  x.normal(1), odd.normal(2), w.normal(3), y.normal(4);
  far.fill([](int64_t i) { return i == 1 ? kRows + 3 : i; });  // the second says three rows too many
  ids.fill([](int64_t i) { return i == 2 ? kRows : i; });
  const auto product = [&](Twin& a, Twin& b, DType t) {
    cuda_host::grouped_product({a.on(true), b.on(true), ints(far.on(true)), 1, kRows, kWidth, kWidth,
                                y.on(true), t, DType::bf16, true, false});
  };
  CHECK_THAT(complaint([&] { product(x, w, DType::bf16); }),
             Contains("engine/ops/product_tiles_cuda.h:") && Contains("of a block of 160 bytes"));
  CHECK_THAT(complaint([&] { product(odd, odd, DType::f32); }),
             Contains("engine/ops/product_tiles_cuda.h:") && Contains("of a block of 320 bytes"));
  CHECK_THAT(complaint([&] {
               cuda_host::make_unit({odd.on(true), 1, kRows + 1, kWidth, DType::f32, false});
             }),
             Contains("engine/ops/unit_cuda.cu:") && Contains("of a block of 320 bytes"));
  CHECK_THAT(complaint([&] {
               cuda_host::gather_rows({odd.on(true), ints(ids.on(true)), nullptr, y.on(true), kRows, kWidth,
                                       DType::f32, DType::bf16, 1, false});
             }),
             Contains("engine/ops/rows_cuda.cu:") && Contains("of a block of 320 bytes"));
  CHECK_THAT(complaint([&] {
               cuda_host::scatter_rows({odd.on(true), ints(ids.on(true)), ints(far.on(true)), nullptr,
                                        y.on(true), kRows, kWidth, DType::f32, DType::bf16, 1, false});
             }),
             Contains("engine/ops/rows_cuda.cu:") && Contains("of a block of"));
}

}  // namespace
}  // namespace engine
