// The 15 products of one GPT-2 124M training step at 1024 tokens (on a GPU at 16384), against the machine's
// multiply-add peak and against other libraries' products, all measured in turn in the same run: `normlab
// bench gemm`.
#pragma once

#include <vector>

#include "engine/bench/result.h"
#include "engine/core/dtype.h"
#include "engine/kernel/kernel.h"

namespace engine {

/// For each of f32 and bf16: a row per product, then their total weighted by the operations of the step
/// (12 layers and one head), then the totals of the peers. Of `repeats` samples of each product, spread over
/// the whole run, the best counts, as it does for the ceiling: on a shared machine a core is slower by half
/// for a second or so whenever a neighbour uses its other hardware thread.
/// On another device than the CPU the ceiling is the best product of the run, and peers have no row.
std::vector<BenchResult> bench_gemm(int repeats = 5, Device device = Device::cpu);

/// GFLOP/s of multiply-adds in registers, on all threads: the best of a few short samples. widened: of f32.
double multiply_add_peak(cpu::Bf16Product way);
/// The same of the way in which products of `dtype` are formed.
double multiply_add_peak(DType dtype = DType::f32);
/// A row for each way of multiplying bf16 that the processor has, and which of them is used; ceiling: the
/// best.
std::vector<BenchResult> bf16_peaks();

/// Kernel arguments: tasks of `rounds` rounds of independent multiply-adds.
struct FmaPeak {
  long tasks, rounds;
  float* sink;  // [tasks]
  double* flops_per_round;
  cpu::Bf16Product way;  // widened, pairs or amx
};

ENGINE_CPU_KERNEL(fma_peak, FmaPeak)

}  // namespace engine
