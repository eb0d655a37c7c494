// Mixture of experts: softmax over all experts, the top k of each token, dropless.
//
//   p = softmax(R u);  y = sum over the k largest p_e of p_e down_e(act(gate_e u) * up_e u)
//
// Auxiliary losses, weighted as in OLMoE (arXiv 2409.02060): load balance E sum_e f_e mean(p_e) with f_e the
// share of assignments that went to expert e (Shazeer et al. 2017; Fedus et al., arXiv 2101.03961, eq. 4),
// and router-z mean(logsumexp(R u)^2) (Zoph et al., arXiv 2202.08906, eq. 5).
#pragma once

#include "engine/ops/activation.h"
#include "nn/context.h"

namespace nn {

struct ExpertArguments {
  Parameter *router, *up, *gate, *down;  // [E, d], [E, f, d], [E, f, d] or null, [E, d, f]
  engine::Activation activation;
  int64_t experts_per_token;
  bool normalize;
};

constexpr double kLoadBalanceWeight = 0.01, kRouterZWeight = 0.001;

/// u [..., d] in the compute dtype. Auxiliary losses, times the number of tokens (losses are sums over
/// tokens), are appended to `auxiliary` unless that is null.
Tensor mixture_of_experts(const Tensor& u, const ExpertArguments& a, std::vector<Tensor>* auxiliary);

}  // namespace nn
