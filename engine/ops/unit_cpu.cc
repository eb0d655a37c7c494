// Read first: unit_kernels.h, engine/cpu/chunk.h.
#include "engine/ops/unit_kernels.h"

#include <cmath>

#include "engine/cpu/chunk.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

double inverse(double squares) { return squares > 0 ? 1 / std::sqrt(squares) : 0; }

template <class T>
void rows(const MakeUnit& a) {
  using C = Compute<T>;
  const int64_t grain = a.columns >= kGrain ? 1 : kGrain / a.columns;
  parallel_chunks(a.matrices * a.rows, grain, [&](int64_t begin, int64_t end) {
    C buffer[kChunk], result[kChunk];
    for (int64_t r = begin; r < end; ++r) {
      T* x = static_cast<T*>(a.x) + r * a.columns;
      double squares = 0;
      each_chunk(0, a.columns, [&](int64_t i, int64_t m) {
        squares += in(load(x + i, m, buffer), m).template cast<double>().square().sum();
      });
      const double factor = inverse(squares);
      each_chunk(0, a.columns, [&](int64_t i, int64_t m) {
        out(result, m) = (in(load(x + i, m, buffer), m).template cast<double>() * factor).template cast<C>();
        store(x + i, result, m, false);
      });
    }
  });
}

// A task is a few columns from top to bottom, a row of them at a time.
constexpr int64_t kColumns = 64;

template <class T>
void columns(const MakeUnit& a) {
  using C = Compute<T>;
  const int64_t pieces = (a.columns + kColumns - 1) / kColumns;
  parallel_for(a.matrices * pieces, [&](int64_t task) {
    const int64_t first = task % pieces * kColumns, m = a.columns - first < kColumns ? a.columns - first : kColumns;
    T* x = static_cast<T*>(a.x) + task / pieces * a.rows * a.columns + first;
    C buffer[kColumns], result[kColumns];
    double factor[kColumns];
    out(factor, m).setZero();
    for (int64_t r = 0; r < a.rows; ++r)
      out(factor, m) += in(load(x + r * a.columns, m, buffer), m).template cast<double>().square();
    for (int64_t j = 0; j < m; ++j) factor[j] = inverse(factor[j]);
    for (int64_t r = 0; r < a.rows; ++r) {
      out(result, m) =
          (in(load(x + r * a.columns, m, buffer), m).template cast<double>() * in(factor, m)).template cast<C>();
      store(x + r * a.columns, result, m, false);
    }
  });
}

}  // namespace

void make_unit(const MakeUnit& a) {
  visit_float(a.dtype, [&](auto t) { a.by_columns ? columns<decltype(t)>(a) : rows<decltype(t)>(a); });
}

}  // namespace engine::cpu::ENGINE_ISA
