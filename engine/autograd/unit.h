// The gradient of a result itself: 1, the same tensor every time, so that a recorded step (core/graph.h) needs no
// copy from the host.
#pragma once

#include "engine/core/tensor.h"

namespace engine {

/// One element that is 1, of a floating dtype.
Tensor unit_gradient(DType dtype, Device device);

}  // namespace engine
