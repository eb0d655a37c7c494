// The stand-in's side of gpu.h: what gpu_nvcc.h is for nvcc.
#pragma once

#include "engine/core/allocator.h"
#include "engine/cuda/host/device_functions.h"

namespace engine::ENGINE_GPU {

// What kernels may name. (Not all of the namespace: ops have functions of their own that are called copy,
// sum, ...)
using standin::__all_sync, standin::__any_sync, standin::__ballot_sync, standin::__ffs, standin::__popc;
using standin::__shfl_down_sync, standin::__shfl_sync, standin::__shfl_up_sync, standin::__shfl_xor_sync;
using standin::__syncthreads, standin::__syncwarp;
using standin::block_shared, standin::global, standin::load_pack, standin::store_pack;
using standin::current_stream, standin::dim3, standin::Stream;
using standin::Global, standin::SharedArray, standin::SharedPointer;
using standin::Where;
#define GPU_WHERE(where) , where                // passes the caller's line on
#define GPU_AT(i, where) standin::At(i, where)  // an index that stands in the caller's line
GPU_INLINE void block_sync(Where where) { standin::__syncthreads(where); }

/// dst[0, 16 bytes) = src, or zeros unless `valid`; arrives at the wait for its group.
template <class T, class U>
GPU_INLINE void cp_async_16(SharedPointer<T> dst, Global<U> src, bool valid, Where where = Where::here()) {
  standin::begin_copy(reinterpret_cast<char*>(dst.p), src.block, reinterpret_cast<const char*>(src.p), valid,
                      where);
}
GPU_INLINE void cp_async_commit() { standin::commit_copies(); }
template <int kLeft>
GPU_INLINE void cp_async_wait(Where where = Where::here()) {
  standin::wait_for_copies(kLeft, where);
}

template <class T>
GPU_INLINE void ldmatrix_x4(uint32_t (&r)[4], SharedPointer<T> row, Where where = Where::here()) {
  standin::load_matrices(r, row.p, false, where);
}
template <class T>
GPU_INLINE void ldmatrix_x4_trans(uint32_t (&r)[4], SharedPointer<T> row, Where where = Where::here()) {
  standin::load_matrices(r, row.p, true, where);
}
template <class T>
GPU_INLINE void mma_16816(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1,
                          Where where = Where::here()) {
  standin::multiply_fragments<T>(d, a, b0, b1, where);
}

template <class T>
GPU_INLINE Compute<T> as_compute(T x) {
  return widen(x);
}
template <class T, class C>
GPU_INLINE T as_stored(C x) {
  return narrow<T>(x);
}
/// Two elements side by side, the first in the lower half.
template <class T>
GPU_INLINE uint32_t pack_pair(float first, float second) {
  return uint32_t(narrow<T>(first).bits) | uint32_t(narrow<T>(second).bits) << 16;
}
GPU_INLINE float exp2_fast(float x) { return std::exp2(x); }

/// Memory for what several launches of one op hand on; given back behind them, in the order of the stream.
class Scratch {
 public:
  explicit Scratch(size_t bytes) : bytes_(bytes), p_(allocate(Device::cuda_host, bytes)) {}
  ~Scratch() { release(Device::cuda_host, p_, bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  template <class T>
  T* as() const {
    return static_cast<T*>(p_);
  }

 private:
  size_t bytes_;
  void* p_;
};

struct NoShared {};

/// Puts kernel(args) on the stream.
template <class Shared, class Args>
void launch(void (*kernel)(Args), dim3 grid, int threads, Stream& stream, const Args& args,
            Where where = Where::here()) {
  const size_t bytes = std::is_empty_v<Shared> ? 0 : sizeof(Shared);
  stream.launch(standin::make_launch(kernel, grid, threads, bytes, args, where));
}

}  // namespace engine::ENGINE_GPU
