// Unit vectors in place and the sinusoidal table, against plain loops; the same for any number of threads.
#include "engine/ops/unit.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "engine/cpu/parallel.h"
#include "engine/ops/positions.h"
#include "largest_gap.h"

using namespace engine;

namespace {

// [2, 70, 130]; row 3 and column 5 of each matrix are zero.
Tensor matrices(DType dtype) {
  std::vector<double> values;
  for (int64_t i = 0; i < 2 * 70 * 130; ++i)
    values.push_back(i / 130 % 70 == 3 || i % 130 == 5 ? 0 : double((i * 37) % 101) - 50);
  return Tensor::from(values, {2, 70, 130}, dtype);
}

double line(const std::vector<double>& x, int64_t first, int64_t count, int64_t step) {
  double squares = 0;
  for (int64_t i = 0; i < count; ++i) squares += x[size_t(first + i * step)] * x[size_t(first + i * step)];
  return std::sqrt(squares);
}

}  // namespace

TEST_CASE("make_unit divides rows or columns by their norms and leaves zeros") {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const double rounding = dtype == DType::f64 ? 1e-14 : dtype == DType::f32 ? 1e-6 : 1e-2;
    const std::vector<double> before = matrices(dtype).to_vector();
    for (const Lines lines : {Lines::rows, Lines::columns}) {
      const Tensor x = matrices(dtype);
      const uint32_t version = x.storage()->version;
      make_unit(x, lines);
      CHECK(x.storage()->version > version);
      const std::vector<double> after = x.to_vector();
      double worst = 0;
      for (int64_t i = 0; i < x.numel(); ++i) {
        const double norm = lines == Lines::rows ? line(before, i / 130 * 130, 130, 1)
                                                 : line(before, i / (70 * 130) * 70 * 130 + i % 130, 70, 130);
        const double expected = norm > 0 ? before[size_t(i)] / norm : 0;
        worst = larger(worst, after[size_t(i)] - expected);
      }
      CHECK(worst <= rounding);
    }
  }
  CHECK_THROWS_WITH(make_unit(Tensor::zeros({4}, DType::f32), Lines::rows),
                    "make_unit: needs contiguous floating matrices, got f32 [4]");
  CHECK_NOTHROW(make_unit(Tensor::zeros({0, 3}, DType::f32), Lines::columns));
}

TEST_CASE("make_unit gives the same bits on any number of threads") {
  const int threads = cpu::thread_count();
  for (const Lines lines : {Lines::rows, Lines::columns}) {
    std::vector<std::vector<double>> results;
    for (const int n : {1, 3}) {
      cpu::set_thread_count(n);
      const Tensor x = matrices(DType::f32);
      make_unit(x, lines);
      results.push_back(x.to_vector());
    }
    CHECK(results[0] == results[1]);
  }
  cpu::set_thread_count(threads);
}

TEST_CASE("the sinusoidal table is sines, then cosines, and grows without changing") {
  const Tensor y = sinusoidal_table(2, 5, 6, DType::f64);
  const std::vector<double> values = y.to_vector();
  for (int64_t t = 0; t < 5; ++t)
    for (int64_t j = 0; j < 3; ++j) {
      const double angle = double(t + 2) * std::pow(10000.0, -double(j) / 2);
      CHECK(values[size_t(t * 6 + j)] == Approx(std::sin(angle)).margin(1e-14));
      CHECK(values[size_t(t * 6 + 3 + j)] == Approx(std::cos(angle)).margin(1e-14));
    }
  SinusoidalRows rows(6, DType::f64, Device::cpu);
  const std::vector<double> first = rows.rows(0, 3).to_vector();
  CHECK(rows.rows(2, 5).to_vector() == values);
  CHECK(rows.rows(0, 3).to_vector() == first);
  CHECK_THROWS_WITH(sinusoidal_table(0, 1, 5, DType::f32),
                    "sinusoidal_table: the width must be even and at least 4, got 5");
}
