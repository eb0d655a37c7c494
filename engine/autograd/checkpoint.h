// Activation checkpointing: run a piece of the network without saving anything, and run it again during
// backward.
//
// The second run records on a nested tape of its own. Dropout repeats because its random numbers are a
// function of the Rng's offset, which is put back before the second run. Parameters inside accumulate into
// their arenas as always. Source: Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost",
// arXiv 1604.06174.
#pragma once

#include <functional>
#include <vector>

#include "engine/autograd/tape.h"
#include "engine/base/philox.h"

namespace engine {

using Segment = std::function<std::vector<Tensor>(const std::vector<Tensor>& inputs)>;

/// outputs = segment(inputs), with only `inputs` kept for backward. `rng` (may be null) is what the segment
/// draws from. The segment must compute the same outputs each time it is called, and what it refers to must
/// outlive the backward. Every tensor that needs a gradient comes in through `inputs` (one that is captured
/// instead is an Error) and every one that is differentiated goes out through the outputs; parameters are
/// found wherever they are used.
std::vector<Tensor> checkpoint(const Segment& segment, const std::vector<Tensor>& inputs, Rng* rng = nullptr);

/// True while a checkpointed segment runs, in its first run or again.
bool inside_checkpoint();

}  // namespace engine
