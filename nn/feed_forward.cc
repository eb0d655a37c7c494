// Read first: feed_forward.h.
#include "nn/feed_forward.h"

#include <cmath>

#include "engine/ops/elementwise.h"
#include "engine/ops/view.h"
#include "nn/experts.h"

namespace nn {

engine::Activation engine_activation(Activation activation) {
  switch (activation) {
    case Activation::gelu:
    case Activation::geglu: return engine::Activation::gelu;
    case Activation::gelu_tanh:
    case Activation::geglu_tanh: return engine::Activation::gelu_tanh;
    case Activation::relu:
    case Activation::reglu: return engine::Activation::relu;
    case Activation::relu2: return engine::Activation::relu2;
    case Activation::silu:
    case Activation::swiglu: return engine::Activation::silu;
  }
  return engine::Activation::identity;
}

FeedForward::FeedForward(const FfnSlots& slots, const FeedForwardSizes& sizes, const Scope& scope,
                         const NormDefaults& defaults)
    : sizes_(sizes), mid_norm_(slots.mid, scope.sub("mid_norm"), defaults) {
  if (sizes.experts > 0) {
    router_ = LinearLayer(scope.sub("router"));
    expert_up_ = scope.get("experts.up.weight");
    expert_gate_ = scope.find("experts.gate.weight");
    expert_down_ = scope.get("experts.down.weight");
    return;
  }
  up_ = LinearLayer(scope.sub("up"));
  down_ = LinearLayer(scope.sub("down"));
  if (is_glu(sizes.activation)) gate_ = LinearLayer(scope.sub("gate"));
  if (sizes.uv_factor != 0) uv_scale_ = scope.get("uv_scale");
}

Tensor FeedForward::hidden(const Tensor& u, DType dtype) const {
  const engine::Activation act = engine_activation(sizes_.activation);
  if (!is_glu(sizes_.activation) && !uv_scale_) return up_(u, {.activation = act, .dtype = dtype});
  Tensor up = up_(u, {.dtype = dtype});
  Tensor gate = gate_.weight ? gate_(u, {.dtype = dtype}) : Tensor();
  if (uv_scale_) {  // nGPT: u <- s_u u, v <- s_v sqrt(d) v, so that the gate works on numbers of order one
    const int64_t f = up.size(-1);
    const auto scaled = [&](const Tensor& x, int64_t begin, double factor) {
      const Tensor s = engine::affine(engine::slice(use(*uv_scale_), 0, begin, begin + f), factor);
      return engine::mul(x, engine::cast(s, x.dtype()));
    };
    const double root = std::sqrt(double(u.size(-1)));
    up = scaled(up, 0, gate.defined() ? sizes_.uv_factor : sizes_.uv_factor * root);
    if (gate.defined()) gate = scaled(gate, f, sizes_.uv_factor * root);
  }
  return gate.defined() ? engine::glu(gate, up, act) : engine::activate(up, act);
}

Tensor FeedForward::operator()(const Tensor& u, const Context& context,
                               std::vector<Tensor>* auxiliary) const {
  if (sizes_.experts > 0) return experts(u, auxiliary);
  const DType compute = context.precision.compute, wide = context.precision.stream;
  // In a 16-bit model what products do not read stays f32 where there is little of it (engine::keeps_wide).
  const int64_t elements = u.numel() / u.size(-1) * up_.weight->compute.size(0);
  const DType between = engine::keeps_wide(u.device(), elements) ? wide : compute;
  if (!is_glu(sizes_.activation) && !uv_scale_ && context.dropout.activation == 0) {
    // What comes next takes the pre-activation: nothing else is kept of it.
    const engine::Activation act = engine_activation(sizes_.activation);
    if (mid_norm_) return down_(mid_norm_(up_(u, {.dtype = between}), compute, act), {.dtype = wide});
    return down_(up_(u), {.input_activation = act, .dtype = wide});
  }
  Tensor h = hidden(u, between);
  if (context.dropout.activation > 0) h = engine::dropout(h, context.dropout.activation, *context.rng);
  h = mid_norm_ ? mid_norm_(h, compute) : engine::cast(h, compute);
  return down_(h, {.dtype = wide});
}

Tensor FeedForward::experts(const Tensor& u, std::vector<Tensor>* auxiliary) const {
  return mixture_of_experts(u,
                            {.router = router_.weight,
                             .up = expert_up_,
                             .gate = expert_gate_,
                             .down = expert_down_,
                             .activation = engine_activation(sizes_.activation),
                             .experts_per_token = sizes_.experts_per_token,
                             .normalize = sizes_.router_normalize},
                            auxiliary);
}

}  // namespace nn
