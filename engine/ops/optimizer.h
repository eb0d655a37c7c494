// Optimizer steps, gradient norm and clipping over flat arenas: one pass over memory each. Not recorded on a
// tape.
//
// One factor folds the loss scale, the division by the scored token count and clipping into one multiply of
// every gradient: `gradient_factor`, or what form_factor() has formed on the device. Parameters and moments
// f32 (f64 when checking), gradients f32 (f64; f16 under memory-efficient fp16, where parameters are f16
// too). Updates are computed in f32 (f64 in f64).
#pragma once

#include <vector>

#include "engine/core/tensor.h"
#include "engine/ops/optimizer_kernels.h"  // DecaySpan, Clipping
#include "engine/ops/scalars_in_memory.h"

namespace engine {

/// Sum of squares of all elements, accumulated in double over fixed chunks; not finite when any element is
/// not.
double sum_of_squares(const Tensor& flat);
/// The same before it is added up: one sum for each kSquaresBlock elements, the last of what is left. Added
/// in order they are sum_of_squares().
std::vector<double> sums_of_squares(const Tensor& flat);
constexpr int64_t kSquaresBlock = 16384;

/// Forms norm, factor, unclipped and finite of `scalars` from the gradients and from the loss scale and count
/// of scored positions that stand there, without waiting for the device.
void form_factor(const Tensor& gradients, const ScalarsInMemory& scalars, const Clipping& clipping);

/// What an update knows beside its tensors: for arenas, whose parts decay differently and whose factor stands
/// on the device. Without it the whole decays by weight_decay and is multiplied by gradient_factor.
struct ArenaStep {
  /// The update's numbers. The factor is read there; an update whose gradients are not finite changes
  /// nothing.
  const ScalarsInMemory* scalars = nullptr;
  std::vector<DecaySpan> spans;
  int64_t low_begin = 0;  // where in the parameters the copy in another dtype begins
};

struct AdamOptions {
  double lr = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  int64_t step = 1;  // t of the bias corrections: 1 for the first update
  double gradient_factor = 1;
  ArenaStep arena = {};
};

/// PyTorch's AdamW (Loshchilov & Hutter, arXiv 1711.05101):
///   p -= lr wd p;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  p -= lr/(1-b1^t) m / (sqrt(v)/sqrt(1-b2^t)
///   + eps)
/// `low`, when defined, receives the updated parameters (or a part of them, from arena.low_begin on) in its
/// dtype: the compute copy under mixed precision.
void adamw_step(const Tensor& parameters, const Tensor& gradients, const Tensor& m, const Tensor& v,
                const AdamOptions& options, const Tensor& low = {});

/// fairseq's Adam: eps is added to the uncorrected sqrt(v), and decay comes first:
///   p -= wd lr p;  p -= lr sqrt(1-b2^t)/(1-b1^t) m / (sqrt(v) + eps)
/// Under memory-efficient fp16 the gradient is multiplied by the factor in f16, then widened.
void fairseq_adam_step(const Tensor& parameters, const Tensor& gradients, const Tensor& m, const Tensor& v,
                       const AdamOptions& options, const Tensor& low = {});

struct NagOptions {
  double lr = 0, previous_lr = 0, momentum = 0.99, weight_decay = 0, gradient_factor = 1;
  ArenaStep arena = {};
};
/// fairseq's Nesterov accelerated gradient (norms: rho = lr / previous_lr, or lr when previous_lr is 0):
///   p *= 1 - lr wd;  p += mu^2 rho buf - (1 + mu) lr g;  buf = mu rho buf - lr g
void nag_step(const Tensor& parameters, const Tensor& gradients, const Tensor& buffer,
              const NagOptions& options, const Tensor& low = {});

struct SgdOptions {
  double lr = 0, momentum = 0, weight_decay = 0, gradient_factor = 1;
  ArenaStep arena = {};
};
/// PyTorch's SGD: g += wd p;  buf = momentum buf + g;  p -= lr buf. `buffer` may be undefined when momentum
/// is 0.
void sgd_step(const Tensor& parameters, const Tensor& gradients, const Tensor& buffer,
              const SgdOptions& options, const Tensor& low = {});

/// average = decay average + (1 - decay) parameters: exponential moving average of the weights.
void ema_step(const Tensor& average, const Tensor& parameters, double decay);

/// to = from in another dtype, on all threads: refreshes compute copies.
void convert(const Tensor& from, const Tensor& to);

}  // namespace engine
