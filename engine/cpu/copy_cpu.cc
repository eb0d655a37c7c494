// Read first: copy.h, chunk.h.
#include "engine/kernel/copy.h"

#include "engine/cpu/chunk.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

// One row: n elements at constant distances.
template <class From, class To>
void copy_row(const From* from, int64_t from_stride, To* to, int64_t to_stride, int64_t n, bool accumulate) {
  if constexpr (std::is_same_v<Compute<From>, Compute<To>>) {
    if (from_stride == 1 && to_stride == 1) {
      if (std::is_same_v<From, To> && !accumulate) {
        __builtin_memcpy(to, from, size_t(n) * sizeof(To));
        return;
      }
      constexpr int64_t kLanes = kPacketLanes<Compute<From>>;
      int64_t i = 0;
      for (; i + kLanes <= n; i += kLanes) {
        const Packet<Compute<From>> x = load_packet(from + i);
        accumulate ? store_packet(to + i, simd::padd(load_packet(to + i), x)) : keep_packet(to + i, x);
      }
      from += i, to += i, n -= i;
    }
  }
  for (int64_t i = 0; i < n; ++i) {
    const auto x = Compute<To>(widen(from[i * from_stride]));
    To& y = to[i * to_stride];
    y = narrow<To>(accumulate ? Compute<To>(widen(y)) + x : x);
  }
}

// One element of any dtype, by way of double.
double element(const void* p, DType dtype, int64_t i) {
  switch (dtype) {
    case DType::i32: return double(static_cast<const int32_t*>(p)[i]);
    case DType::i64: return double(static_cast<const int64_t*>(p)[i]);
    case DType::u8: return double(static_cast<const uint8_t*>(p)[i]);
    default:
      return visit_float(dtype, [&](auto t) { return double(widen(static_cast<const decltype(t)*>(p)[i])); });
  }
}
void set_element(void* p, DType dtype, int64_t i, double value) {
  switch (dtype) {
    case DType::i32: static_cast<int32_t*>(p)[i] = int32_t(value); return;
    case DType::i64: static_cast<int64_t*>(p)[i] = int64_t(value); return;
    case DType::u8: static_cast<uint8_t*>(p)[i] = uint8_t(value); return;
    default:
      visit_float(dtype, [&](auto t) { static_cast<decltype(t)*>(p)[i] = narrow<decltype(t)>(value); });
  }
}

// Calls row(offset in from, offset in to, n) for rows of the last axis, long ones in pieces of kGrain.
template <class Row>
void each_row(const CopyArgs& a, Row row) {
  int64_t rows = 1;
  for (int i = 0; i + 1 < a.rank; ++i) rows *= a.size[i];
  const int last = a.rank - 1;
  const int64_t n = a.rank ? a.size[last] : 1, pieces = (n + kGrain - 1) / kGrain,
                grain = n >= kGrain ? 1 : kGrain / n;
  parallel_chunks(rows * pieces, grain, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first = task % pieces * kGrain;
      int64_t rest = task / pieces, from = 0, to = 0;
      for (int i = last - 1; i >= 0; --i) {
        const int64_t index = rest % a.size[i];
        rest /= a.size[i];
        from += index * a.from_stride[i];
        to += index * a.to_stride[i];
      }
      if (a.rank) from += first * a.from_stride[last], to += first * a.to_stride[last];
      row(from, to, first + kGrain < n ? kGrain : n - first);
    }
  });
}

}  // namespace

void copy(const CopyArgs& a) {
  const int64_t from_stride = a.rank ? a.from_stride[a.rank - 1] : 1,
                to_stride = a.rank ? a.to_stride[a.rank - 1] : 1;
  if (!is_float(a.from_dtype) && a.from_dtype == a.to_dtype) {  // ids and masks: move bytes
    const int64_t size = size_of(a.from_dtype);
    each_row(a, [&](int64_t from, int64_t to, int64_t n) {
      for (int64_t i = 0; i < n; ++i)
        __builtin_memcpy(static_cast<char*>(a.to) + (to + i * to_stride) * size,
                         static_cast<const char*>(a.from) + (from + i * from_stride) * size, size_t(size));
    });
    return;
  }
  if (!is_float(a.from_dtype) || !is_float(a.to_dtype)) {  // numbers of files, between any two dtypes
    each_row(a, [&](int64_t from, int64_t to, int64_t n) {
      for (int64_t i = 0; i < n; ++i)
        set_element(a.to, a.to_dtype, to + i * to_stride,
                    element(a.from, a.from_dtype, from + i * from_stride));
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
