// Read first: experts.h, engine/ops/routing.h.
#include "nn/experts.h"

#include "engine/ops/elementwise.h"
#include "engine/ops/grouped_linear.h"
#include "engine/ops/linear.h"
#include "engine/ops/reduce.h"
#include "engine/ops/routing.h"
#include "engine/ops/softmax.h"
#include "engine/ops/view.h"

namespace nn {
namespace {

// logits and probabilities [N, E] in at least f32.
void add_auxiliary_losses(const Tensor& logits, const Tensor& probabilities, const engine::Routing& routing,
                          std::vector<Tensor>& losses) {
  const int64_t experts = logits.size(1);
  // tokens * E * sum_e f_e mean(p_e) = E * sum over tokens and experts of f_e p_e
  losses.push_back(
      engine::affine(engine::sum_all(engine::mul(probabilities, routing.share)), kLoadBalanceWeight * double(experts)));
  const Tensor z =
      engine::sub(engine::slice(logits, -1, 0, 1), engine::slice(engine::log_softmax(logits), -1, 0, 1));
  losses.push_back(engine::affine(engine::sum_all(engine::square(z)), kRouterZWeight));
}

}  // namespace

Tensor mixture_of_experts(const Tensor& u, const ExpertArguments& a, std::vector<Tensor>* auxiliary) {
  const DType wide = engine::compute_dtype(u.dtype());
  const int64_t d = u.size(-1), tokens = u.numel() / d;
  const Tensor x = engine::reshape(engine::contiguous(u), {tokens, d});
  const Tensor logits = engine::linear(x, use(*a.router), {}, {.dtype = wide});
  const Tensor probabilities = engine::softmax(logits);
  const engine::Routing routing = engine::route_top_k(probabilities, a.experts_per_token, a.normalize);

  const Tensor rows = engine::gather_rows(x, routing.rows);
  const Tensor up = engine::grouped_linear(rows, use(*a.up), routing.experts);
  const Tensor h =
      a.gate ? engine::glu(engine::grouped_linear(rows, use(*a.gate), routing.experts), up, a.activation)
             : engine::activate(up, a.activation);
  const Tensor y = engine::grouped_linear(h, use(*a.down), routing.experts);
  if (auxiliary) add_auxiliary_losses(logits, probabilities, routing, *auxiliary);
  return engine::reshape(engine::scatter_rows(y, routing.rows, routing.weights), u.shape());
}

}  // namespace nn
