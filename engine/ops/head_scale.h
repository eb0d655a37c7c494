// HeadScale: one learned factor per attention head.
//
//   y[r, h, :] = gain[h] * x[r, h, :]        x [..., heads * n], gain [heads]
//
// Source: NormFormer, arXiv 2110.09456, section 2.1 (before the output projection); fairseq applies the same
// op to the channel blocks after it (norm placement `gain=outer`).
#pragma once

#include "engine/autograd/tape.h"

namespace engine {

/// x [..., heads * n] with uniform rows, f64 f32 bf16 f16; gain [heads] in x's compute dtype. Output
/// contiguous, x's dtype.
Tensor head_scale(const Tensor& x, const Tensor& gain);

}  // namespace engine
