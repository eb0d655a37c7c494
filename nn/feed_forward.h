// The feed-forward branch: dense, gated, or a mixture of experts. Read first: norm_spec.h. Then: block.h.
#pragma once

#include "nn/choices.h"
#include "nn/context.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace nn {

struct FeedForwardSizes {
  Activation activation = Activation::gelu;
  int64_t experts = 0, experts_per_token = 0;  // experts 0: dense
  bool router_normalize = false;
  double uv_factor =
      0;  // nGPT: up and gate are scaled by uv_scale * factor (gate also by sqrt(d)); 0: not nGPT
};

/// The elementwise function of an activation; for GLU forms the one on the gate.
engine::Activation engine_activation(Activation activation);

class FeedForward {
 public:
  FeedForward(const FfnSlots& slots, const FeedForwardSizes& sizes, const Scope& scope,
              const NormDefaults& defaults);

  /// u [..., d] in the compute dtype; the branch's output before the `out` norm, in the stream's dtype
  /// (experts: u's).
  Tensor operator()(const Tensor& u, const Context& context, std::vector<Tensor>* auxiliary) const;

 private:
  Tensor hidden(const Tensor& u, DType dtype) const;  // act(up u), or act(gate u) * up u
  Tensor experts(const Tensor& u, std::vector<Tensor>* auxiliary) const;

  FeedForwardSizes sizes_;
  NormLayer mid_norm_;
  LinearLayer up_, gate_, down_, router_;
  Parameter *expert_up_ = nullptr, *expert_gate_ = nullptr, *expert_down_ = nullptr, *uv_scale_ = nullptr;
};

}  // namespace nn
