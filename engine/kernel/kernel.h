// How a kernel is declared: once, for every backend.
//
// A kernel is a function void name(const Args&) on a plain struct, whose header (x_kernels.h) knows dtypes
// and shapes and nothing else. ENGINE_KERNEL(name, Args) there declares
//
//   cpu::base::name, cpu::avx2::name, cpu::avx512::name    x_cpu.cc, compiled once per processor level
//   (isa.h),
//                                                          in namespace cpu::ENGINE_ISA
//   cuda::name, cuda_host::name                            x_cuda.cu, for a GPU and for the stand-in that
//   runs the same
//                                                          kernel on the host, in namespace ENGINE_GPU
//   kernel::name(device, args)                             the one switch: what ops call
//
// Backends that a build has are named by definitions: ENGINE_HAS_avx2, ENGINE_HAS_cuda_host, ...
// (cmake/box.cmake). A kernel that one of them lacks is a link error; a device that the build lacks is an
// Error when it is called.
//
// Kernel files must not use templates or inline functions that other files could share (std containers, say):
// the linker keeps one copy of each, and it may be one that this processor cannot run. tests/lint checks it
// with nm.
#pragma once

#include "engine/core/device.h"
#include "engine/kernel/denormals.h"
#include "engine/kernel/isa.h"

#if defined(ENGINE_HAS_avx2)
#define ENGINE_AVX2_DECLARE(name, Args) \
  namespace avx2 {                      \
  void name(const Args&);               \
  }
#define ENGINE_AVX2_CASE(name) \
  case Isa::avx2:              \
    return avx2::name(args);
#else
#define ENGINE_AVX2_DECLARE(name, Args)
#define ENGINE_AVX2_CASE(name)
#endif
#if defined(ENGINE_HAS_avx512)
#define ENGINE_AVX512_DECLARE(name, Args) \
  namespace avx512 {                      \
  void name(const Args&);                 \
  }
#define ENGINE_AVX512_CASE(name) \
  case Isa::avx512:              \
    return avx512::name(args);
#else
#define ENGINE_AVX512_DECLARE(name, Args)
#define ENGINE_AVX512_CASE(name)
#endif
#if defined(ENGINE_HAS_cuda)
#define ENGINE_CUDA_DECLARE(name, Args) \
  namespace cuda {                      \
  void name(const Args&);               \
  }
#define ENGINE_CUDA_CASE(name) \
  case Device::cuda:           \
    return cuda::name(args);
#else
#define ENGINE_CUDA_DECLARE(name, Args)
#define ENGINE_CUDA_CASE(name)
#endif
#if defined(ENGINE_HAS_cuda_host)
#define ENGINE_CUDA_HOST_DECLARE(name, Args) \
  namespace cuda_host {                      \
  void name(const Args&);                    \
  }
#define ENGINE_CUDA_HOST_CASE(name) \
  case Device::cuda_host:           \
    return cuda_host::name(args);
#else
#define ENGINE_CUDA_HOST_DECLARE(name, Args)
#define ENGINE_CUDA_HOST_CASE(name)
#endif

// A kernel that only the CPU has: cpu::name(args).
#define ENGINE_CPU_KERNEL(name, Args)         \
  namespace cpu {                             \
  namespace base {                            \
  void name(const Args&);                     \
  }                                           \
  ENGINE_AVX2_DECLARE(name, Args)             \
  ENGINE_AVX512_DECLARE(name, Args)           \
  static inline void name(const Args& args) { \
    const FlushDenormals flush;               \
    switch (isa()) {                          \
      ENGINE_AVX2_CASE(name)                  \
      ENGINE_AVX512_CASE(name)                \
      default: return base::name(args);       \
    }                                         \
  }                                           \
  }

#define ENGINE_KERNEL(name, Args)                            \
  ENGINE_CPU_KERNEL(name, Args)                              \
  ENGINE_CUDA_DECLARE(name, Args)                            \
  ENGINE_CUDA_HOST_DECLARE(name, Args)                       \
  namespace kernel {                                         \
  static inline void name(Device device, const Args& args) { \
    switch (device) {                                        \
      case Device::cpu:                                      \
        return cpu::name(args);                              \
        ENGINE_CUDA_CASE(name)                               \
        ENGINE_CUDA_HOST_CASE(name)                          \
      default: fail_without_backend(device);                 \
    }                                                        \
  }                                                          \
  }
