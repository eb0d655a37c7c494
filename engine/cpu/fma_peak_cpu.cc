// Read first: gemm_bench.h. Multiply-adds that never leave the registers: the ceiling of every product.
#include "engine/cpu/gemm_bench.h"
#include "engine/cpu/gemm_pack.h"

namespace engine::cpu::ENGINE_ISA {

void fma_peak(const FmaPeak& a) {
  parallel_for(a.tasks, [&](int64_t task) {
    // As many independent sums as the micro-kernel's: enough to hide the latency of a multiply-add.
    constexpr int n = kRows * kVectors;
    Vector<float> sum[n] = {}, x = Vector<float>{} + 1e-3f;
    for (int64_t i = 0; i < a.rounds; ++i) {
#pragma GCC unroll 32
      for (int j = 0; j < n; ++j) {
        sum[j] += x * x;
        asm volatile("" : "+v"(sum[j]));  // so that the compiler neither folds nor drops it
      }
    }
    for (int j = 1; j < n; ++j) sum[0] += sum[j];
    a.sink[task] = sum[0][0];
    if (task == 0) *a.flops_per_round = 2.0 * n * kLanes<float>;
  });
}

}  // namespace engine::cpu::ENGINE_ISA
