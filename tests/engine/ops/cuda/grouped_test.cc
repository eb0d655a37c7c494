// Products of groups that only the device knows, and unit vectors in place: CUDA kernels on the stand-in against
// the CPU's.
#include <catch2/catch.hpp>

#include "engine/ops/grouped_linear_kernels.h"
#include "engine/ops/unit_kernels.h"
#include "twin.h"

namespace engine {
namespace cuda_host {
void grouped_product(const GroupedProduct&);
void grouped_gradient(const GroupedGradient&);
void make_unit(const MakeUnit&);
}  // namespace cuda_host
namespace {

const int32_t* ints(void* p) { return static_cast<const int32_t*>(p); }

TEST_CASE("cuda: products of groups of rows, some of them empty") {
  const std::vector<int32_t> begins = {0, 0, 33, 70, 70, 71};  // an empty group in front, one inside
  const int64_t groups = int64_t(begins.size()) - 1, rows = begins.back(), n = 37, k = 45;
  Twin offsets(DType::i32, groups + 1);
  offsets.fill([&](int64_t i) { return begins[size_t(i)]; });
  for (const DType t : kFloats)
    for (const bool accumulate : {false, true}) {
      INFO(t << (accumulate ? " added" : ""));
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
        return GroupedProduct{on(dy), on(w), ints(on(offsets)), groups, rows, k, n, on(dx), t, t, false,
                              accumulate};
      });
      CHECK(dx.difference() <= limit);
      on_both(cpu::grouped_gradient, cuda_host::grouped_gradient, [&](auto on) {
        return GroupedGradient{on(dy), on(x), ints(on(offsets)), groups, rows, n, k, on(dw), t, c, accumulate};
      });
      CHECK(dw.difference() <= limit);
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

}  // namespace
}  // namespace engine
