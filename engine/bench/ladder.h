// One product, written five times: from the three loops of its definition to packed panels, each rung in a
// few lines and each runnable (`normlab bench ladder`). docs/07-kernels-cpu.md climbs it; the top is the
// engine's own product (engine/cpu/gemm_cpu.cc).
#pragma once

#include <string>
#include <vector>

#include "engine/bench/result.h"
#include "engine/kernel/kernel.h"

namespace engine {

/// Kernel arguments: C = A B, all f32, row-major and without gaps, on the calling thread. m a multiple of
/// kLadderRows, n of kLadderCols: tiles of every processor level divide these, so no rung has edges.
struct LadderProduct {
  const float* a;  // [m, k]
  const float* b;  // [k, n]
  float* c;        // [m, n]
  int64_t m, n, k;
};
constexpr int64_t kLadderRows = 168, kLadderCols = 96;

ENGINE_CPU_KERNEL(ladder_loops, LadderProduct)
ENGINE_CPU_KERNEL(ladder_rows, LadderProduct)
ENGINE_CPU_KERNEL(ladder_blocks, LadderProduct)
ENGINE_CPU_KERNEL(ladder_registers, LadderProduct)
ENGINE_CPU_KERNEL(ladder_packed, LadderProduct)

/// A rung: its name on the command line, what it adds, and the product. The engine's own is the last.
struct LadderRung {
  std::string name, about;
  void (*run)(const LadderProduct& g);
};
const std::vector<LadderRung>& ladder_rungs();

struct LadderOptions {
  int repeats = 3;                      // samples of each rung, in turn; the best counts, as in bench_gemm()
  int64_t m = 1008, n = 768, k = 3072;  // the second product of a GPT-2 124M feed-forward layer
};

/// GFLOP/s of the rungs (of the one that is named, when one is) on one thread, then of the engine's product
/// on all threads; beside each the multiply-add peak of as many threads. Error: an unknown rung, named with
/// the nearest.
std::vector<BenchResult> bench_ladder(const std::string& rung = {}, const LadderOptions& options = {});

}  // namespace engine
