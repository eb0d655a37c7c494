// Read first: copy_kernels.h, engine/cpu/kernel.h.
#include "engine/ops/copy_kernels.h"

#include "engine/cpu/kernel.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

// One row: n elements at constant distances.
template <class From, class To>
void copy_row(const From* from, int64_t from_stride, To* to, int64_t to_stride, int64_t n, bool accumulate) {
  if constexpr (std::is_same_v<Compute<From>, Compute<To>>) {
    if (from_stride == 1 && to_stride == 1) {
      Compute<From> buffer[kChunk];
      each_chunk(0, n,
                 [&](int64_t i, int64_t m) { store(to + i, load(from + i, m, buffer), m, accumulate); });
      return;
    }
  }
  for (int64_t i = 0; i < n; ++i) {
    const auto x = Compute<To>(widen(from[i * from_stride]));
    To& y = to[i * to_stride];
    y = narrow<To>(accumulate ? Compute<To>(widen(y)) + x : x);
  }
}

template <class Row>
void each_row(const CopyArgs& a, Row row) {
  int64_t rows = 1;
  for (int i = 0; i + 1 < a.rank; ++i) rows *= a.size[i];
  const int64_t n = a.rank ? a.size[a.rank - 1] : 1;
  const int64_t grain = n >= kGrain ? 1 : kGrain / (n < 1 ? 1 : n);
  parallel_chunks(rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      int64_t rest = r, from = 0, to = 0;
      for (int i = a.rank - 2; i >= 0; --i) {
        const int64_t index = rest % a.size[i];
        rest /= a.size[i];
        from += index * a.from_stride[i];
        to += index * a.to_stride[i];
      }
      row(from, to, n);
    }
  });
}

}  // namespace

void copy(const CopyArgs& a) {
  const int64_t from_stride = a.rank ? a.from_stride[a.rank - 1] : 1,
                to_stride = a.rank ? a.to_stride[a.rank - 1] : 1;
  if (!is_float(a.from_dtype)) {  // ids and masks: move bytes
    const int64_t size = size_of(a.from_dtype);
    each_row(a, [&](int64_t from, int64_t to, int64_t n) {
      for (int64_t i = 0; i < n; ++i)
        __builtin_memcpy(static_cast<char*>(a.to) + (to + i * to_stride) * size,
                         static_cast<const char*>(a.from) + (from + i * from_stride) * size, size_t(size));
    });
    return;
  }
  visit_float(a.from_dtype, [&](auto f) {
    visit_float(a.to_dtype, [&](auto t) {
      using From = decltype(f);
      using To = decltype(t);
      each_row(a, [&](int64_t from, int64_t to, int64_t n) {
        copy_row(static_cast<const From*>(a.from) + from, from_stride, static_cast<To*>(a.to) + to, to_stride,
                 n, a.accumulate);
      });
    });
  });
}

}  // namespace engine::cpu::ENGINE_ISA
