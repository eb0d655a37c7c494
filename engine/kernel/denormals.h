// Inside kernels, numbers too small for a full mantissa (below 1.2e-38 in f32) count as zero.
//
// Processors handle them in microcode, a hundred times slower, and training makes them: tails of softmax and
// GELU, moments of rows that no longer get gradients. A masked LM of the demo ran at a fifth of its speed
// after 3,000 updates. f16 and bf16 conversions are not affected; f16's own small numbers are full numbers in
// f32.
#pragma once

#include <cstdint>

namespace engine::cpu {

/// While it lives, the calling thread's arithmetic takes such numbers for zero and gives zero for them.
class FlushDenormals {
 public:
#if defined(__SSE__)
  [[gnu::always_inline]] FlushDenormals() : before_(__builtin_ia32_stmxcsr()) {
    __builtin_ia32_ldmxcsr(uint32_t(before_) | 0x8040u);  // FTZ: results, DAZ: operands
  }
  [[gnu::always_inline]] ~FlushDenormals() { __builtin_ia32_ldmxcsr(uint32_t(before_)); }
#elif defined(__aarch64__)
  [[gnu::always_inline]] FlushDenormals() {
    asm volatile("mrs %0, fpcr" : "=r"(before_));
    asm volatile("msr fpcr, %0" : : "r"(before_ | (uint64_t(1) << 24)));  // FZ
  }
  [[gnu::always_inline]] ~FlushDenormals() { asm volatile("msr fpcr, %0" : : "r"(before_)); }
#endif
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  uint64_t before_ = 0;
};

}  // namespace engine::cpu
