// Activations and their derivatives for one element: the formulas of activation_chunk.h. Included by kernel
// files.
#pragma once

#include "engine/cuda/gpu.h"
#include "engine/ops/activation_kind.h"

namespace engine::ENGINE_GPU {

template <class C>
struct Activated {
  C value, slope;
};

/// s = 1 / (1 + e^-x), s' = s (1 - s) written as (e s) s, which keeps both tails' precision.
template <class C>
GPU_INLINE Activated<C> logistic(C x) {
  const C most = sizeof(C) == 8 ? C(700) : C(88), e = std::exp(-x > most ? most : -x), s = 1 / (1 + e);
  return {s, e * s * s};
}

/// act(x) and act'(x). Who uses one of the two pays for one: everything is inlined.
template <class C>
GPU_INLINE Activated<C> activated(Activation activation, C x) {
  switch (activation) {
    case Activation::relu:
      return {x <= 0 ? C(0) : x, x <= 0 ? C(0) : C(1)};  // derivative 0 at 0; NaN stays NaN
    case Activation::relu2: {
      const C r = x <= 0 ? C(0) : x;
      return {r * r, r + r};
    }
    case Activation::sigmoid: return logistic(x);
    case Activation::silu: {
      const Activated<C> s = logistic(x);
      return {x * s.value, s.value + x * s.slope};
    }
    case Activation::tanh: {
      const C e = std::exp(C(-2) * std::fabs(x)), s = 1 / (1 + e);
      return {std::tanh(x), C(4) * e * s * s};
    }
    case Activation::gelu_tanh: {  // x sigmoid(v), v = 2 sqrt(2/pi) (x + 0.044715 x^3)
      const C a = C(1.5957691216057307), b = C(1.5957691216057307 * 0.044715), x2 = x * x;
      const Activated<C> s = logistic(x * (a + b * x2));
      return {x * s.value, s.value + x * s.slope * (a + C(3) * b * x2)};
    }
    case Activation::gelu: {  // x Phi(x)
      const C phi = C(0.5) * std::erfc(x * C(-0.7071067811865475244));
      return {x * phi, phi + x * std::exp(C(-0.5) * x * x) * C(0.39894228040143267794)};
    }
    default: return {x, C(1)};
  }
}

}  // namespace engine::ENGINE_GPU
