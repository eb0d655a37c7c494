// The gradient of a result itself: 1, the same tensor every time. A recorded step (core/graph.h) reads it
// without a copy from the host, and an op that takes no other gradient knows it without asking the device.
#pragma once

#include "engine/core/tensor.h"

namespace engine {

/// One element that is 1, of a floating dtype.
Tensor unit_gradient(DType dtype, Device device);
/// Whether `g` is that tensor. False says nothing about its value.
bool is_unit_gradient(const Tensor& g);

}  // namespace engine
