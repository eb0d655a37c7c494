// Rotary position embedding, half-split pairs (i, i + n/2).
//
//   angle(t, i) = (offset + t) theta^(-2i/n);  y_i = x_i cos - x_{i+n/2} sin;  y_{i+n/2} = x_{i+n/2} cos +
//   x_i sin
//
// Angles and tables in double, whatever the dtype. Source: Su et al., arXiv 2104.09864; the half-split order
// is GPT-NeoX's and Llama's.
#pragma once

#include "engine/autograd/tape.h"

namespace engine {

/// x [B, T, heads * n] with uniform rows; n even. Position of row t is offset + t. Output contiguous.
Tensor rope(const Tensor& x, int64_t heads, double theta, int64_t offset = 0);

}  // namespace engine
