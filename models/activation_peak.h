// How much memory a micro-step takes beside weights, gradients and moments: arithmetic on the config, held
// against measured peaks by tests/train/memory_plan_test.cc. Read first: flops.h, which counts what is only
// kept.
#pragma once

#include "models/config.h"

namespace models {

struct MicroStep {
  int64_t batch = 1, context = 1;
  bool half = false;                // bf16 or f16 branches beside an f32 residual stream
  bool activation_dropout = false;  // keeps the activation's output beside its input
  bool recompute = false;           // activation checkpointing: a layer keeps what it was given
  double scored = 1;                // share of the tokens that the head sees
};

/// The most bytes of tensors at once, with the rounding of their sizes: what forward keeps for backward, and
/// beside it either the head at work or the backward pass of the last layer.
double activation_peak(const ModelConfig& config, const MicroStep& step);

}  // namespace models
