// Which processor level the CPU kernels run at, and how a kernel is declared once and compiled for each.
//
// A kernel is a function void name(const Args&) on a plain struct. Its file (x_cpu.cc) is compiled once per
// level, with ENGINE_ISA naming the level's namespace:
//
//   x_kernels.h, declares and dispatches
//     namespace engine::cpu { ENGINE_CPU_KERNEL(norm_forward, NormForward) }
//
//   x_cpu.cc
//     namespace engine::cpu::ENGINE_ISA { void norm_forward(const NormForward& a) {...} }
//
// cpu::norm_forward(args) then calls the best level that this processor has. NORMLAB_ISA=base|avx2|avx512
// forces one. Kernel files must not use templates or inline functions that other files could share (std
// containers, say): the linker keeps one copy of each, and it may be one that this processor cannot run.
// tests/lint checks it with nm.
#pragma once

#include "engine/cpu/denormals.h"

namespace engine::cpu {

enum class Isa { base, avx2, avx512 };

/// The level in use: the best that is compiled in and that the processor has, or NORMLAB_ISA's.
Isa isa();
const char* name_of(Isa level);
/// How products of bf16 with bf16 are formed: widened to f32, or as pairs by VDPBF16PS (AVX512-BF16) where
/// the processor has it. NORMLAB_BF16=widened|pairs|emulated_pairs forces one; the last does what VDPBF16PS
/// does on any AVX-512 processor, slowly, so that the way there is tested everywhere.
enum class Bf16Product { widened, pairs, emulated_pairs };
Bf16Product bf16_product();
const char* name_of(Bf16Product way);
/// Whether kernels round to bf16 by the processor's instruction (VCVTNEPS2BF16), which comes with VDPBF16PS
/// and is chosen with it: any other NORMLAB_BF16 rounds in integer arithmetic.
extern const bool bf16_rounding;

}  // namespace engine::cpu

#if defined(ENGINE_HAS_avx2)
#define ENGINE_ISA_DECLARE_AVX2(name, Args) \
  namespace avx2 {                          \
  void name(const Args&);                   \
  }
#define ENGINE_ISA_CASE_AVX2(name) \
  case Isa::avx2:                  \
    return avx2::name(args);
#else
#define ENGINE_ISA_DECLARE_AVX2(name, Args)
#define ENGINE_ISA_CASE_AVX2(name)
#endif
#if defined(ENGINE_HAS_avx512)
#define ENGINE_ISA_DECLARE_AVX512(name, Args) \
  namespace avx512 {                          \
  void name(const Args&);                     \
  }
#define ENGINE_ISA_CASE_AVX512(name) \
  case Isa::avx512:                  \
    return avx512::name(args);
#else
#define ENGINE_ISA_DECLARE_AVX512(name, Args)
#define ENGINE_ISA_CASE_AVX512(name)
#endif

#define ENGINE_CPU_KERNEL(name, Args)         \
  namespace base {                            \
  void name(const Args&);                     \
  }                                           \
  ENGINE_ISA_DECLARE_AVX2(name, Args)         \
  ENGINE_ISA_DECLARE_AVX512(name, Args)       \
  static inline void name(const Args& args) { \
    const FlushDenormals flush;               \
    switch (isa()) {                          \
      ENGINE_ISA_CASE_AVX2(name)              \
      ENGINE_ISA_CASE_AVX512(name)            \
      default: return base::name(args);       \
    }                                         \
  }
