// Several elements at once, widened to what is computed in. Included by kernel files (gpu.h has the rules).
//
// A path that takes N elements at a time asks for whole packs: bases aligned to 16 bytes, row lengths and
// strides that N divides. packs() says whether that holds; kernels are instantiated for N and for 1.
#pragma once

#include <initializer_list>
#include <type_traits>

#include "engine/cuda/gpu.h"

namespace engine::ENGINE_GPU {

/// v = x[0, N), in accesses of up to 16 bytes.
template <int N, class T, class C>
GPU_INLINE void load_n(const Global<T>& x, C (&v)[N], Where where = Where::here()) {
  using E = std::remove_const_t<T>;
  constexpr int kMost = 16 / int(sizeof(E)), W = N < kMost ? N : kMost;
  if constexpr (N == 1) {
    const E element = x[GPU_AT(0, where)];
    v[0] = C(as_compute(element));
  } else {
#pragma unroll
    for (int i = 0; i < N; i += W) {
      const Pack<E, W> pack = load_pack<Pack<E, W>>(x + i GPU_WHERE(where));
#pragma unroll
      for (int j = 0; j < W; ++j) v[i + j] = C(as_compute(pack.v[j]));
    }
  }
}

/// y[0, N) = v, or += v (added in what T is computed in or wider, rounded once).
template <int N, class T, class C>
GPU_INLINE void store_n(const Global<T>& y, const C (&v)[N], bool accumulate, Where where = Where::here()) {
  constexpr int kMost = 16 / int(sizeof(T)), W = N < kMost ? N : kMost;
  C sum[N];
#pragma unroll
  for (int j = 0; j < N; ++j) sum[j] = v[j];
  if (accumulate) {
    C before[N];
    load_n(y, before, where);
#pragma unroll
    for (int j = 0; j < N; ++j) sum[j] += before[j];
  }
  if constexpr (N == 1) {
    y[GPU_AT(0, where)] = as_stored<T>(sum[0]);
  } else {
#pragma unroll
    for (int i = 0; i < N; i += W) {
      Pack<T, W> pack;
#pragma unroll
      for (int j = 0; j < W; ++j) pack.v[j] = as_stored<T>(sum[i + j]);
      store_pack(y + i, pack GPU_WHERE(where));
    }
  }
}

/// The same for a dtype that is known at run time: one kernel for all combinations of its operands' dtypes.
/// All lanes take the same branch.
template <int N, class C>
GPU_INLINE void load_any(const void* p, DType dtype, int64_t i, C (&v)[N], Where where = Where::here()) {
  switch (dtype) {
    case DType::f64: return load_n(global(static_cast<const double*>(p)) + i, v, where);
    case DType::bf16: return load_n(global(static_cast<const bf16*>(p)) + i, v, where);
    case DType::f16: return load_n(global(static_cast<const f16*>(p)) + i, v, where);
    default: return load_n(global(static_cast<const float*>(p)) + i, v, where);
  }
}
template <int N, class C>
GPU_INLINE void store_any(void* p, DType dtype, int64_t i, const C (&v)[N], bool accumulate,
                          Where where = Where::here()) {
  switch (dtype) {
    case DType::f64: return store_n(global(static_cast<double*>(p)) + i, v, accumulate, where);
    case DType::bf16: return store_n(global(static_cast<bf16*>(p)) + i, v, accumulate, where);
    case DType::f16: return store_n(global(static_cast<f16*>(p)) + i, v, accumulate, where);
    default: return store_n(global(static_cast<float*>(p)) + i, v, accumulate, where);
  }
}
template <class C>
GPU_INLINE C load_any(const void* p, DType dtype, int64_t i, Where where = Where::here()) {
  C v[1];
  load_any(p, dtype, i, v, where);
  return v[0];
}
template <class C>
GPU_INLINE void store_any(void* p, DType dtype, int64_t i, C value, bool accumulate,
                          Where where = Where::here()) {
  const C v[1] = {value};
  store_any(p, dtype, i, v, accumulate, where);
}

/// The row and column of a thread that takes N elements of [rows, n]; N divides n.
template <int N>
struct Place {
  int64_t row, column;
  bool inside;
  GPU_INLINE Place(int64_t rows, int64_t n) {
    const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, per_row = n / N;
    inside = i < rows * per_row;
    row = inside ? i / per_row : 0, column = inside ? i % per_row * N : 0;
  }
};

// ---- On the host: which path, which grid ------------------------------------------------------------------
/// Elements of a pack of 16 bytes of the widest of these dtypes would not do: of the narrowest, so that it
/// loads a whole one.
inline int pack_elements(std::initializer_list<DType> dtypes) {
  int most = 1;
  for (const DType t : dtypes) most = 16 / int(size_of(t)) > most ? 16 / int(size_of(t)) : most;
  return most;
}
/// Whether rows may be taken in packs of `elements`: all bases aligned, all lengths and strides whole packs.
inline bool packs(int elements, std::initializer_list<const void*> bases,
                  std::initializer_list<int64_t> lengths) {
  for (const void* p : bases)
    if (reinterpret_cast<uintptr_t>(p) % 16) return false;
  for (const int64_t n : lengths)
    if (n % elements) return false;
  return true;
}

constexpr int64_t ceil_divide(int64_t n, int64_t by) { return (n + by - 1) / by; }
/// Blocks of a grid in one dimension, for `n` pieces of work at `per_block` a block; none for n = 0, which
/// nobody may launch.
inline dim3 blocks_for(int64_t n, int64_t per_block) {
  const int64_t blocks = ceil_divide(n, per_block);
  check(blocks <= 0x7fffffff, "cuda: ", n, " pieces of work are more than a grid of blocks of ", per_block,
        " can do");
  return dim3(unsigned(blocks));
}

/// f(integral_constant N): N elements at a time where `packed`, else one.
template <class T, class F>
void visit_width(bool packed, F&& f) {
  if (packed)
    f(std::integral_constant<int, 16 / int(sizeof(T))>());
  else
    f(std::integral_constant<int, 1>());
}

}  // namespace engine::ENGINE_GPU
