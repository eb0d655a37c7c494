// Activations of the feed-forward network, plain and gated.
//
//   gelu        x Phi(x), Phi the normal distribution function (erf)     Hendrycks & Gimpel, arXiv 1606.08415
//   gelu_tanh   x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3): the tanh form, written so that tails keep
//               their precision
//   relu2       max(0, x)^2                                              So et al., arXiv 2109.08668
//   silu        x sigmoid(x)
//   glu         act(gate) * up                                           Shazeer, arXiv 2002.05202
#pragma once

#include "engine/autograd/tape.h"
#include "engine/ops/activation_kind.h"

namespace engine {

/// y = act(x), x's shape and dtype; floating. Saves x.
Tensor activate(const Tensor& x, Activation activation);
/// y = act(gate) * up, equal shapes and dtypes. Saves both.
Tensor glu(const Tensor& gate, const Tensor& up, Activation activation);

}  // namespace engine
