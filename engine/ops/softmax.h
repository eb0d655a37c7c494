// Softmax over the last axis, statistics in at least f32.
#pragma once

#include "engine/autograd/tape.h"

namespace engine {

/// p = exp(x - max) / sum. Saves p.
Tensor softmax(const Tensor& x);
Tensor log_softmax(const Tensor& x);

}  // namespace engine
