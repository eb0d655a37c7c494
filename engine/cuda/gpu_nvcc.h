// nvcc's side of gpu.h: thin names over CUDA, and the only inline PTX.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <type_traits>

#include "engine/core/allocator.h"
#include "engine/cuda/real/register.h"

namespace engine::ENGINE_GPU {

/// The stand-in's functions take the line of their caller; here that is nothing.
struct Where {
  static constexpr __host__ __device__ Where here() { return {}; }
};
#define GPU_WHERE(where)
#define GPU_AT(i, where) (i)
GPU_INLINE void block_sync(Where) { __syncthreads(); }

template <class T>
using Global = T*;
/// A type of its own, so that what is stored through it is known to go to shared memory.
template <class T>
struct SharedPointer {
  T* p;
  GPU_INLINE T& operator[](int64_t i) const { return p[i]; }
  GPU_INLINE SharedPointer operator+(int64_t i) const { return {p + i}; }
  GPU_INLINE operator T*() const { return p; }
};
template <class T>
GPU_INLINE T* global(T* p) {
  return p;
}
template <class T, int N>
struct alignas(16) SharedArray {
  T elements[N];
  GPU_INLINE T& operator[](int64_t i) { return elements[i]; }
  GPU_INLINE SharedPointer<T> at(int64_t i) { return {elements + i}; }
};
template <class Shared>
GPU_INLINE Shared& block_shared() {
  extern __shared__ __align__(128) unsigned char memory[];
  return *reinterpret_cast<Shared*>(memory);
}
template <class P, class T>
GPU_INLINE P load_pack(T* p) {
  return *reinterpret_cast<const P*>(p);
}
template <class P, class T>
GPU_INLINE P load_pack(SharedPointer<T> p) {
  return load_pack<P>(p.p);
}
template <class P, class T>
GPU_INLINE void store_pack(SharedPointer<T> p, const P& pack) {
  *reinterpret_cast<P*>(p.p) = pack;
}
/// To global memory. Sixteen bytes are one instruction by hand: left to the compiler, a copy of the struct
/// has become four stores, and twelve.
template <class P, class T>
GPU_INLINE void store_pack(T* p, const P& pack) {
  if constexpr (sizeof(P) == 16) {
    uint32_t w[4];
    __builtin_memcpy(w, &pack, 16);
    asm volatile("st.global.v4.b32 [%0], {%1,%2,%3,%4};" ::"l"(p), "r"(w[0]), "r"(w[1]), "r"(w[2]), "r"(w[3])
                 : "memory");
  } else {
    *reinterpret_cast<P*>(p) = pack;
  }
}

// ---- Asynchronous copies (8.0 and later) ------------------------------------------------------------------
GPU_INLINE uint32_t shared_address(const void* p) { return uint32_t(__cvta_generic_to_shared(p)); }
/// dst[0, 16 bytes) = src, or zeros unless `valid`; arrives at the wait for its group.
GPU_INLINE void cp_async_16(void* dst, const void* src, bool valid) {
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(dst)), "l"(src),
               "r"(bytes)
               : "memory");
}
GPU_INLINE void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kLeft>
GPU_INLINE void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
}

// ---- Tensor cores (fragments: host/matrix.h) --------------------------------------------------------------
GPU_INLINE void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
GPU_INLINE void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
template <class T>
GPU_INLINE void mma_16816(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  if constexpr (std::is_same_v<T, bf16>)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// ---- Elements ---------------------------------------------------------------------------------------------
/// An element as what is computed in, and a result as what is stored, rounded to nearest even.
template <class T>
GPU_INLINE Compute<T> as_compute(T x) {
  if constexpr (std::is_same_v<T, bf16>)
    return __uint_as_float(uint32_t(x.bits) << 16);
  else if constexpr (std::is_same_v<T, f16>)
    return __half2float(__ushort_as_half(x.bits));
  else
    return x;
}
template <class T, class C>
GPU_INLINE T as_stored(C x) {
  if constexpr (std::is_same_v<T, bf16>)
    return bf16{__bfloat16_as_ushort(__float2bfloat16_rn(float(x)))};
  else if constexpr (std::is_same_v<T, f16>)
    return f16{__half_as_ushort(__float2half_rn(float(x)))};
  else
    return T(x);
}
/// Two elements side by side, the first in the lower half.
template <class T>
GPU_INLINE uint32_t pack_pair(float first, float second) {
  uint32_t pair;
  if constexpr (std::is_same_v<T, bf16>)
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  else
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  return pair;
}
GPU_INLINE float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// ---- Launches ---------------------------------------------------------------------------------------------
struct NoShared {};
struct Stream {
  cudaStream_t handle = nullptr;
};
/// The stream that launches go to.
inline Stream current_stream() { return {static_cast<cudaStream_t>(runtime().stream())}; }

/// Memory for what several launches of one op hand on; given back behind them, in the order of the stream.
class Scratch {
 public:
  explicit Scratch(size_t bytes) : bytes_(bytes), p_(allocate(Device::cuda, bytes)) {}
  ~Scratch() { release(Device::cuda, p_, bytes_); }
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

/// Puts kernel(args) on the stream.
template <class Shared, class Args>
void launch(void (*kernel)(Args), dim3 grid, int threads, const Stream& stream, const Args& args) {
  static_assert(std::is_trivially_copyable_v<Args> && sizeof(Args) <= 4096,
                "a kernel takes one plain struct");
  const size_t bytes = std::is_empty_v<Shared> ? 0 : sizeof(Shared);
  constexpr size_t kWithoutAsking = 48 * 1024;
  if (bytes > kWithoutAsking)
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes));
  kernel<<<grid, threads, bytes, stream.handle>>>(args);
  if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess) [[unlikely]]
    refuse_launch(int(error), cudaGetErrorString(error));
}

}  // namespace engine::ENGINE_GPU
