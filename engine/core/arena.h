// Arena: one flat allocation that is handed out in slices, so that an optimizer, a norm or an all-reduce can
// walk all parameters (or gradients, or moments) as one long vector.
#pragma once

#include "engine/core/tensor.h"

namespace engine {

class Arena {
 public:
  Arena() = default;
  /// A zeroed arena of `elements` elements.
  Arena(int64_t elements, DType dtype, Device device) : flat_(Tensor::zeros({elements}, dtype, device)) {}

  bool defined() const { return flat_.defined(); }
  const Tensor& flat() const { return flat_; }
  /// A contiguous view of `shape` that begins at element `offset`.
  Tensor slice(int64_t offset, const Shape& shape) const {
    return flat_.slice(0, offset, offset + shape.numel()).reshape(shape);
  }

 private:
  Tensor flat_;
};

/// Offsets of slices are rounded up to this many elements, so that each slice starts on a cache line.
constexpr int64_t kArenaAlignment = 32;

}  // namespace engine
