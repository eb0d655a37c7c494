// A product whose finished tiles a kernel takes out of the cache instead of having them stored: that is how
// linear adds bias, activation and residual. Read first: engine/kernel/gemm.h. Included by kernel files only
// (chunk.h says why).
#pragma once

#include "engine/kernel/gemm.h"

namespace engine::cpu {

/// A finished piece of C, rows [row, row + rows) x columns [col, col + cols), in the compute dtype (f64 or
/// f32).
struct GemmTile {
  int64_t batch, row, col, rows, cols;
  const void* values;
  int64_t stride;
};
/// Told of every tile once, from any thread. Tiles do not overlap and cover C.
using GemmFinish = void (*)(const void* context, const GemmTile& tile);

/// With `finish`, c is not used.
struct FinishedGemm : Gemm {
  GemmFinish finish = nullptr;
  const void* context = nullptr;
};

}  // namespace engine::cpu

namespace engine::cpu::ENGINE_ISA {

/// The product on all threads. It uses scratch slots 4 to 7 of the threads it runs on (chunk.h).
void finished_gemm(const FinishedGemm& g);

}  // namespace engine::cpu::ENGINE_ISA
