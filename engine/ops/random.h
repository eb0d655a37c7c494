// Tensors of random numbers: what parameters begin as.
//
// Element i is a pure function of (seed, offset, i), so any number of threads draws the same tensor. Numbers
// are drawn in f32 whatever the tensor is stored in: an f64 model starts from the weights of the f32 one.
#pragma once

#include "engine/base/philox.h"
#include "engine/core/tensor.h"
#include "engine/ops/random_kernels.h"  // Law

namespace engine {

/// values = scale * draws. Values are contiguous, f32 or f64. Takes ceil(n / 4) Philox blocks of `rng`:
/// element i uses word i % 4 of block i / 4; normal draws come in pairs from two words (Box and Muller, "A
/// Note on the Generation of Random Normal Deviates", 1958).
void fill_random(const Tensor& values, Law law, double scale, Rng& rng);

}  // namespace engine
