// Products of other libraries on the arguments of gemm.h: peers for `normlab bench gemm` and for tests.
// Plain products only: one matrix, C in f32, no finish.
#pragma once

#include <vector>

#include "engine/kernel/gemm.h"

namespace engine {

struct GemmPeer {
  const char* name;
  bool (*takes)(DType dtype);  // of A and B
  void (*run)(const Gemm& g);
};

/// oneDNN where CMake found it. Which product trains models is a decision with figures: docs/decisions.md.
const std::vector<GemmPeer>& gemm_peers();

}  // namespace engine
