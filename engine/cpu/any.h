// Loads and stores whose dtype is known at run time, a chunk at a time: for kernels whose operands may differ
// in dtype, so that they are compiled once per compute type (float, double) and not per combination.
//
// Read first: chunk.h. Included by kernel files only.
#pragma once

#include "engine/cpu/chunk.h"

namespace engine::cpu::ENGINE_ISA {

/// Elements p[i], p[i + stride], ... (n of them, n <= kChunk) as C: in place where they are that, else in
/// `buffer`. A stride of 0 repeats one element.
template <class C>
static inline const C* load_any(const void* p, DType dtype, int64_t i, int64_t stride, int64_t n, C* buffer) {
  return visit_float(dtype, [&](auto zero) -> const C* {
    using T = decltype(zero);
    const T* from = static_cast<const T*>(p) + i;
    if (stride == 0) {
      out(buffer, n).setConstant(C(widen(*from)));
      return buffer;
    }
    if constexpr (std::is_same_v<C, Compute<T>>) {
      if (stride == 1) return load(from, n, buffer);
    }
    for (int64_t j = 0; j < n; ++j) buffer[j] = C(widen(from[j * stride]));
    return buffer;
  });
}

/// p[i .. i + n) = values, or += values (added in C, rounded once).
template <class C>
static inline void store_any(void* p, DType dtype, int64_t i, const C* values, int64_t n, bool accumulate) {
  visit_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    T* to = static_cast<T*>(p) + i;
    if constexpr (std::is_same_v<C, Compute<T>>) {
      store(to, values, n, accumulate);
    } else {
      for (int64_t j = 0; j < n; ++j) to[j] = narrow<T>(accumulate ? C(widen(to[j])) + values[j] : values[j]);
    }
  });
}

/// Where results of a chunk are formed: the destination itself when it can hold them, else `buffer`, from
/// which store_any() rounds or adds them.
template <class C>
ENGINE_INLINE C* target_any(void* p, DType dtype, int64_t i, bool accumulate, C* buffer) {
  return dtype == dtype_of<C>() && !accumulate ? static_cast<C*>(p) + i : buffer;
}

}  // namespace engine::cpu::ENGINE_ISA
