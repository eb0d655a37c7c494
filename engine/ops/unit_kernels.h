// Kernel arguments of unit.h.
#pragma once

#include "engine/core/dtype.h"
#include "engine/kernel/kernel.h"

namespace engine {

/// x[m, i, :] /= |x[m, i, :]|, or x[m, :, j] /= |x[m, :, j]| with `by_columns`; norms in double; zeros stay.
struct MakeUnit {
  void* x;  // [matrices, rows, columns], contiguous
  int64_t matrices, rows, columns;
  DType dtype;
  bool by_columns;
};

ENGINE_KERNEL(make_unit, MakeUnit)

}  // namespace engine
