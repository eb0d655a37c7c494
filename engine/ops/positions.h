// The sinusoidal position table.
//
//   y[t, j] = sin((first + t) w_j), y[t, width / 2 + j] = cos((first + t) w_j), w_j = 10000^(-j / (width / 2 - 1))
//
// Source: Vaswani et al., arXiv 1706.03762, section 3.5, in fairseq's concatenated form.
#pragma once

#include <mutex>

#include "engine/core/tensor.h"

namespace engine {

/// Positions first, first + 1, ...: [positions, width] in `dtype` on `device`, computed in double and rounded
/// once. width is even and at least 4.
Tensor sinusoidal_table(int64_t first, int64_t positions, int64_t width, DType dtype,
                        Device device = Device::cpu);

/// A table that is computed once and grows when later positions are asked for. Threads may share it.
class SinusoidalRows {
 public:
  SinusoidalRows(int64_t width, DType dtype, Device device) : width_(width), dtype_(dtype), device_(device) {}
  /// [positions, width]
  Tensor rows(int64_t first, int64_t positions);

 private:
  int64_t width_;
  DType dtype_;
  Device device_;
  std::mutex mutex_;
  Tensor table_;  // from position 0 on
};

}  // namespace engine
