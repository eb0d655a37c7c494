// Elementwise arithmetic with broadcasting, casts and dropout.
//
// Broadcasting is NumPy's: shapes are aligned at their last axes, an axis of size 1 stretches. Operands are
// floating; when their dtypes differ the result has the wider one's (f64 > f32 > bf16, f16; bf16 with f16 is
// an error). 16-bit dtypes are computed in f32 and rounded once. The gradient of a stretched operand is
// summed in at least f32, in a fixed order.
#pragma once

#include "engine/autograd/tape.h"
#include "engine/base/philox.h"

namespace engine {

Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);

/// y = factor x + offset.
Tensor affine(const Tensor& x, double factor, double offset = 0);
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor square(const Tensor& x);
/// |x|; its derivative at 0 is 1.
Tensor abs(const Tensor& x);
/// cap * tanh(x / cap): Gemma-2's soft cap.
Tensor softcap(const Tensor& x, double cap);

/// `value` everywhere, written by a kernel: a recorded step may do so, which may not copy from the host.
Tensor constant(const Shape& shape, double value, DType dtype, Device device);

/// The same values in another floating dtype.
Tensor cast(const Tensor& x, DType dtype);

/// y = x * m / (1 - p), m = 0 with probability p, drawn by Philox from rng (which advances); the mask is
/// drawn again in backward, never stored. p = 0 returns x. Error: p outside [0, 1).
Tensor dropout(const Tensor& x, double p, Rng& rng);

}  // namespace engine
