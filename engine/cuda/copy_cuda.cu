// Read first: engine/kernel/copy.h, engine/cuda/vectors.h. A thread copies one element, or a pack of them
// where both sides have whole rows of packs.
#include "engine/cuda/vectors.h"
#include "engine/kernel/copy.h"

namespace engine::ENGINE_GPU {
namespace {

constexpr int kThreads = 256;

struct CopyPlan {
  CopyArgs a;
  int64_t n;  // elements, or packs: the last axis counts in packs
};

// Where element `i` of the shape stands in either tensor.
struct CopyPlace {
  int64_t from = 0, to = 0;
  GPU_INLINE CopyPlace(const CopyArgs& a, int64_t i, int elements) {
#pragma unroll
    for (int axis = kMaxRank - 1; axis >= 0; --axis) {
      if (axis >= a.rank) continue;
      const int64_t index = i % a.size[axis] * (axis == a.rank - 1 ? elements : 1);
      i /= a.size[axis];
      from += index * a.from_stride[axis], to += index * a.to_stride[axis];
    }
  }
};

template <class From, class To, int N>
__global__ void __launch_bounds__(kThreads, 1) copy_kernel(CopyPlan plan) {
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= plan.n) return;
  const CopyPlace at(plan.a, i, N);
  std::conditional_t<std::is_same_v<From, double> || std::is_same_v<To, double>, double, float> v[N];
  load_n(global(static_cast<const From*>(plan.a.from)) + at.from, v);
  store_n(global(static_cast<To*>(plan.a.to)) + at.to, v, plan.a.accumulate);
}

// Ids and masks, and equal floats: bits move.
template <class T>
__global__ void __launch_bounds__(kThreads, 1) move_kernel(CopyPlan plan) {
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= plan.n) return;
  const CopyPlace at(plan.a, i, 1);
  const T bits = global(static_cast<const T*>(plan.a.from))[at.from];
  global(static_cast<T*>(plan.a.to))[at.to] = bits;
}

// Numbers of files, between any two dtypes.
template <class F>
GPU_INLINE void visit_any(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f64: return f(double());
    case DType::bf16: return f(bf16());
    case DType::f16: return f(f16());
    case DType::i32: return f(int32_t());
    case DType::i64: return f(int64_t());
    case DType::u8: return f(uint8_t());
    default: return f(float());
  }
}
__global__ void __launch_bounds__(kThreads, 1) convert_kernel(CopyPlan plan) {
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= plan.n) return;
  const CopyPlace at(plan.a, i, 1);
  double value = 0;
  visit_any(plan.a.from_dtype, [&](auto zero) {
    using T = decltype(zero);
    const T stored = global(static_cast<const T*>(plan.a.from))[at.from];
    if constexpr (std::is_integral_v<T>)
      value = double(stored);
    else
      value = double(as_compute(stored));
  });
  visit_any(plan.a.to_dtype, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_integral_v<T>)
      global(static_cast<T*>(plan.a.to))[at.to] = T(value);
    else
      global(static_cast<T*>(plan.a.to))[at.to] = as_stored<T>(value);
  });
}

bool rows_of_packs(const CopyArgs& a, int elements) {
  if (a.rank == 0 || a.from_stride[a.rank - 1] != 1 || a.to_stride[a.rank - 1] != 1) return false;
  if (!packs(elements, {a.from, a.to}, {a.size[a.rank - 1]})) return false;
  for (int axis = 0; axis + 1 < a.rank; ++axis)
    if (!packs(elements, {}, {a.from_stride[axis], a.to_stride[axis]})) return false;
  return true;
}

template <class From, class To>
void copy_floats(CopyPlan plan) {
  constexpr int kPack = 16 / int(sizeof(From) < sizeof(To) ? sizeof(From) : sizeof(To));
  if (rows_of_packs(plan.a, kPack)) {
    plan.a.size[plan.a.rank - 1] /= kPack, plan.n /= kPack;
    launch<NoShared>(copy_kernel<From, To, kPack>, blocks_for(plan.n, kThreads), kThreads, current_stream(),
                     plan);
  } else {
    launch<NoShared>(copy_kernel<From, To, 1>, blocks_for(plan.n, kThreads), kThreads, current_stream(),
                     plan);
  }
}

}  // namespace

void copy(const CopyArgs& a) {
  CopyPlan plan{a, 1};
  for (int axis = 0; axis < a.rank; ++axis) plan.n *= a.size[axis];
  if (plan.n == 0) return;
  const auto move = [&](auto bits) {
    launch<NoShared>(move_kernel<decltype(bits)>, blocks_for(plan.n, kThreads), kThreads, current_stream(),
                     plan);
  };
  if (a.from_dtype != a.to_dtype && !(is_float(a.from_dtype) && is_float(a.to_dtype)))
    return launch<NoShared>(convert_kernel, blocks_for(plan.n, kThreads), kThreads, current_stream(), plan);
  if (a.from_dtype == DType::i32) return move(int32_t());
  if (a.from_dtype == DType::i64) return move(int64_t());
  if (a.from_dtype == DType::u8) return move(uint8_t());
  visit_float(a.from_dtype, [&](auto from) {
    visit_float(a.to_dtype, [&](auto to) { copy_floats<decltype(from), decltype(to)>(plan); });
  });
}

}  // namespace engine::ENGINE_GPU
