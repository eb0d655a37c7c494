// Read first: positions.h, positions_kernels.h.
#include "engine/ops/positions.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/ops/positions_kernels.h"

namespace engine {

Tensor sinusoidal_table(int64_t first, int64_t positions, int64_t width, DType dtype, Device device) {
  check(width >= 4 && width % 2 == 0, "sinusoidal_table: the width must be even and at least 4, got ", width);
  check(first >= 0 && positions >= 0 && is_float(dtype), "sinusoidal_table: ", positions, " positions from ",
        first, " in ", dtype);
  const Tensor y = Tensor::empty({positions, width}, dtype, Device::cpu);
  if (positions > 0) cpu::sinusoidal({y.raw(), first, positions, width, dtype});
  return y.to(device);
}

Tensor SinusoidalRows::rows(int64_t first, int64_t positions) {
  const std::lock_guard lock(mutex_);
  const int64_t end = first + positions, have = table_.defined() ? table_.size(0) : 0;
  if (end > have) table_ = sinusoidal_table(0, std::max(end, 2 * have), width_, dtype_, device_);
  return table_.slice(0, first, end);
}

}  // namespace engine
