// Read first: optimizer.h.
#include "train/optimizer.h"

#include "engine/ops/optimizer.h"

namespace train {

using engine::check;
using engine::DType;
using engine::Tensor;
using nn::ParameterGroup;

double group_decay(const OptimConfig& config, ParameterGroup group) {
  switch (config.decay) {
    case DecayGroup::all: return config.weight_decay;
    case DecayGroup::matrices:
      return group == ParameterGroup::matrix || group == ParameterGroup::embedding ? config.weight_decay : 0;
    case DecayGroup::no_norm_no_embedding: return group == ParameterGroup::matrix ? config.weight_decay : 0;
  }
  return 0;
}

Optimizer::Optimizer(nn::Parameters& parameters, const OptimConfig& config)
    : Optimizer(parameters, config, {{0, parameters.elements(), 0}}) {}

Optimizer::Optimizer(nn::Parameters& parameters, const OptimConfig& config, const std::vector<nn::Piece>& pieces)
    : parameters_(parameters), config_(config) {
  int64_t n = 0;
  for (const nn::Piece& piece : pieces) {
    for (int g = 0; g < nn::kParameterGroups; ++g) {
      const auto [first, last] = parameters.range(ParameterGroup(g));
      const int64_t begin = std::max(first, piece.begin), end = std::min(last, piece.end);
      if (begin >= end) continue;
      const double decay = group_decay(config, ParameterGroup(g));
      // Matrices (with embeddings) and vectors stay apart: only one side has copies in the compute dtype.
      const bool joins = !stretches_.empty() && stretches_.back().weight_decay == decay &&
                         stretches_.back().end == begin && g != int(ParameterGroup::norm) && begin > piece.begin;
      if (joins)
        stretches_.back().end = end;
      else
        stretches_.push_back({begin, end, piece.at + begin - piece.begin, decay});
    }
    n = piece.at + piece.end - piece.begin;
  }
  const DType dtype = engine::compute_dtype(parameters.precision().master);
  const engine::Device device = parameters.precision().device;
  const bool adam = config.name == OptimizerKind::adamw || config.name == OptimizerKind::adam;
  if (adam || config.name == OptimizerKind::nag || config.momentum > 0) first_ = Tensor::zeros({n}, dtype, device);
  if (adam) second_ = Tensor::zeros({n}, dtype, device);
}

void Optimizer::step(double lr, double factor) {
  ++updates_;
  for (const Stretch& s : stretches_) step_stretch(s, lr, factor);
  if (!has_masters()) parameters_.refresh_copies();  // f32 copies of f16 gains and biases
  previous_lr_ = lr;
}

void Optimizer::step_stretch(const Stretch& s, double lr, double factor) {
  const auto part = [&](const Tensor& t) {
    return t.defined() ? t.slice(0, s.at, s.at + s.end - s.begin) : t;
  };
  const Tensor p = parameters_.values(s.begin, s.end), g = parameters_.grads().slice(0, s.begin, s.end),
               m = part(first_), v = part(second_);
  const Tensor low = has_masters() ? parameters_.copies(s.begin, s.end) : Tensor();
  const engine::AdamOptions adam{.lr = lr,
                                 .beta1 = config_.betas[0],
                                 .beta2 = config_.betas[1],
                                 .eps = config_.eps,
                                 .weight_decay = s.weight_decay,
                                 .step = updates_,
                                 .gradient_factor = factor};
  switch (config_.name) {
    case OptimizerKind::adamw: return engine::adamw_step(p, g, m, v, adam, low);
    case OptimizerKind::adam: return engine::fairseq_adam_step(p, g, m, v, adam, low);
    case OptimizerKind::nag:
      return engine::nag_step(p, g, m,
                              {.lr = lr,
                               .previous_lr = previous_lr_,
                               .momentum = config_.momentum,
                               .weight_decay = s.weight_decay,
                               .gradient_factor = factor},
                              low);
    case OptimizerKind::sgd:
      return engine::sgd_step(
          p, g, m,
          {.lr = lr, .momentum = config_.momentum, .weight_decay = s.weight_decay, .gradient_factor = factor},
          low);
  }
}

engine::NamedTensors Optimizer::moments() const {
  engine::NamedTensors tensors;
  if (first_.defined()) tensors.emplace_back("first_moment", first_);
  if (second_.defined()) tensors.emplace_back("second_moment", second_);
  return tensors;
}

void Optimizer::check_file(const engine::Safetensors& file) const {
  for (const auto& [name, tensor] : {std::pair{"first_moment", first_}, std::pair{"second_moment", second_}})
    check(tensor.defined() == (file.find(name) != nullptr), file.path(), ": ", name,
          tensor.defined() ? " is missing" : " is there", ": written by another optimizer than optim.name");
}

void Optimizer::set_counters(const std::vector<double>& counters) {
  updates_ = int64_t(counters[0]);
  previous_lr_ = counters[1];
}

}  // namespace train
