// Read first: gemm_bench.h. Multiply-adds that never leave the registers: the ceiling of every product.
#include "engine/bench/gemm_bench.h"
#include "engine/cpu/gemm_pack.h"
#include "engine/cpu/tiles.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

template <class M>
void count(const FmaPeak& a) {
  using C = typename M::Sum;
  using P = typename M::Packed;
  // As many independent sums as the micro-kernel's: enough to hide the latency of a multiply-add.
  constexpr int n = kRows * kVectors;
  parallel_for(a.tasks, [&](int64_t task) {
    Vector<C> sum[n];
#pragma GCC unroll 32
    for (int j = 0; j < n; ++j) sum[j] = Vector<C>{};
    const Vector<P> row = Vector<P>{};
    for (int64_t i = 0; i < a.rounds; ++i) {
#pragma GCC unroll 32
      for (int j = 0; j < n; ++j) {
        M::multiply_add(sum[j], P(0), row);
        // In a vector register, so that the compiler neither folds nor drops it.
#if defined(__aarch64__)
        asm volatile("" : "+w"(sum[j]));
#else
        asm volatile("" : "+v"(sum[j]));
#endif
      }
    }
#pragma GCC unroll 32
    for (int j = 1; j < n; ++j) sum[0] += sum[j];
    a.sink[task] = sum[0][0];
    if (task == 0) *a.flops_per_round = 2.0 * M::kDepth * n * kLanes<C>;
  });
}

#if defined(__AVX512F__)
void count_tiles(const FmaPeak& a) {
  parallel_for(a.tasks, [&](int64_t task) {
    const TileUse<false> tiles;
    for (int64_t i = 0; i < a.rounds; ++i)
      asm volatile(
          "tdpbf16ps %tmm6, %tmm4, %tmm0\n\ttdpbf16ps %tmm7, %tmm4, %tmm1\n\t"
          "tdpbf16ps %tmm6, %tmm5, %tmm2\n\ttdpbf16ps %tmm7, %tmm5, %tmm3");
    a.sink[task] = 0;
    if (task == 0) *a.flops_per_round = 4 * 2.0 * 16 * 16 * kTileDepth;
  });
}
#endif

}  // namespace

void fma_peak(const FmaPeak& a) {
#if defined(__AVX512F__)
  if (a.way == Bf16Product::pairs) return count<Bf16Pairs<false>>(a);
  if (a.way == Bf16Product::amx) return count_tiles(a);
#endif
  count<Widened<float>>(a);
}

}  // namespace engine::cpu::ENGINE_ISA
