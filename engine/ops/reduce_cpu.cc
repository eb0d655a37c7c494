// Read first: reduce_kernels.h, engine/cpu/any.h.
#include "engine/ops/reduce_kernels.h"

#include "engine/cpu/any.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

// Sum of n neighbours, added up in double.
template <class C>
double sum_row(const SumArgs& a, int64_t first, int64_t n) {
  C buffer[kChunk];
  double sum = 0;
  each_chunk(0, n, [&](int64_t i, int64_t m) {
    sum += in(load_any(a.x, a.x_dtype, first + i, 1, m, buffer), m).template cast<double>().sum();
  });
  return sum;
}

// Sums of columns over `rows` rows of `inner` elements, added up in C from top to bottom.
template <class C>
void sum_columns(const SumArgs& a, int64_t first, int64_t rows, double* sums) {
  C buffer[kChunk], column[kChunk];
  each_chunk(0, a.inner, [&](int64_t i, int64_t m) {
    out(column, m).setZero();
    for (int64_t r = 0; r < rows; ++r)
      out(column, m) += in(load_any(a.x, a.x_dtype, first + r * a.inner + i, 1, m, buffer), m);
    out(sums + i, m) = in(column, m).template cast<double>();
  });
}

template <class C>
void sum_all(const SumArgs& a) {
  const int64_t pieces = sum_pieces(a.n, a.inner), rows = sum_piece_rows(a.inner);
  const int64_t work = (a.n < rows ? a.n : rows) * a.inner,
                grain = work >= kGrain ? 1 : kGrain / (work + 1) + 1;
  parallel_chunks(a.outer * pieces, grain, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t o = task / pieces, from = task % pieces * rows, m = a.n - from < rows ? a.n - from : rows;
      double* sums = a.partials + task * a.inner;
      if (a.inner == 1)
        *sums = sum_row<C>(a, o * a.n + from, m);
      else
        sum_columns<C>(a, (o * a.n + from) * a.inner, m, sums);
    }
  });
  const int64_t columns = a.outer * a.inner;
  parallel_chunks(columns, kChunk, [&](int64_t begin, int64_t end) {
    double sums[kChunk];
    for (int64_t c = begin; c < end; ++c) {
      const double* partial = a.partials + c / a.inner * pieces * a.inner + c % a.inner;
      double sum = 0;
      for (int64_t piece = 0; piece < pieces; ++piece) sum += partial[piece * a.inner];
      sums[c - begin] = a.factor * sum;
    }
    store_any(a.y, a.y_dtype, begin, sums, end - begin, a.accumulate);
  });
}

template <class C>
void spread_rows(const SpreadArgs& a) {
  // inner == 1: rows of n equal elements; otherwise n copies of a row of `inner` elements.
  const bool repeat = a.inner == 1;
  const int64_t rows = repeat ? a.outer : a.outer * a.n, length = repeat ? a.n : a.inner;
  const int64_t pieces = (length + kGrain - 1) / kGrain, grain = length >= kGrain ? 1 : kGrain / length;
  const C factor = C(a.factor);
  parallel_chunks(rows * pieces, grain, [&](int64_t begin, int64_t end) {
    C dy_buffer[kChunk], dx_buffer[kChunk];
    for (int64_t task = begin; task < end; ++task) {
      const int64_t row = task / pieces, first = task % pieces * kGrain;
      each_chunk(first, first + kGrain < length ? first + kGrain : length, [&](int64_t i, int64_t m) {
        const C* dy = repeat ? load_any(a.dy, a.dy_dtype, row, 0, m, dy_buffer)
                             : load_any(a.dy, a.dy_dtype, row / a.n * a.inner + i, 1, m, dy_buffer);
        const int64_t at = row * length + i;
        C* dx = target_any(a.dx, a.dx_dtype, at, a.accumulate, dx_buffer);
        out(dx, m) = factor * in(dy, m);
        store_any(a.dx, a.dx_dtype, at, dx, m, a.accumulate);
      });
    }
  });
}

template <class T>
void max_rows(const MaxArgs& a) {
  const int64_t grain = a.n >= kGrain ? 1 : kGrain / a.n;
  parallel_chunks(a.rows, grain, [&](int64_t begin, int64_t end) {
    Compute<T> buffer[kChunk];
    for (int64_t r = begin; r < end; ++r) {
      const T* x = static_cast<const T*>(a.x) + r * a.x_stride;
      Compute<T> largest = widen(x[0]);
      each_chunk(0, a.n, [&](int64_t i, int64_t m) {
        const Compute<T> top = in(load(x + i, m, buffer), m).template maxCoeff<Eigen::PropagateNaN>();
        if (largest == largest && !(top <= largest)) largest = top;  // NaN stays
      });
      static_cast<T*>(a.y)[r] = narrow<T>(largest);
    }
  });
}

}  // namespace

void sum(const SumArgs& a) { a.x_dtype == DType::f64 ? sum_all<double>(a) : sum_all<float>(a); }
void spread(const SpreadArgs& a) {
  a.dx_dtype == DType::f64 ? spread_rows<double>(a) : spread_rows<float>(a);
}
void max_last(const MaxArgs& a) {
  visit_float(a.dtype, [&](auto t) { max_rows<decltype(t)>(a); });
}

}  // namespace engine::cpu::ENGINE_ISA
