// Read first: optimizer.h.
#include "train/optimizer.h"

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
    case DecayGroup::no_embedding: return group == ParameterGroup::embedding ? 0 : config.weight_decay;
  }
  return 0;
}

Moments kept_moments(const OptimConfig& config) {
  const bool adam = config.name == OptimizerKind::adamw || config.name == OptimizerKind::adam;
  return {.first = adam || config.name == OptimizerKind::nag || config.momentum > 0, .second = adam};
}

void check_moments(const OptimConfig& config, const engine::Safetensors& file) {
  const Moments kept = kept_moments(config);
  for (const auto& [name, wanted] :
       {std::pair{"first_moment", kept.first}, std::pair{"second_moment", kept.second}})
    check(wanted == (file.find(name) != nullptr), file.path(), ": ", name,
          wanted ? " is missing" : " is there",
          ": written by an optimizer that keeps other moments than this optim.name, with which a run cannot "
          "go on "
          "(train --from RUN --out OTHER begins anew with its weights)");
}

Optimizer::Optimizer(nn::Parameters& parameters, const OptimConfig& config)
    : Optimizer(parameters, config, {{0, parameters.elements(), 0}}) {}

Optimizer::Optimizer(nn::Parameters& parameters, const OptimConfig& config, const std::vector<nn::Piece>& pieces)
    : parameters_(parameters), config_(config) {
  int64_t n = 0;
  for (const nn::Piece& piece : pieces) {
    Part part{piece.begin, piece.end, piece.at, {}};
    for (int g = 0; g < nn::kParameterGroups; ++g) {
      const auto [first, last] = parameters.range(ParameterGroup(g));
      const int64_t begin = std::max(first, piece.begin), end = std::min(last, piece.end) - piece.begin;
      if (begin - piece.begin >= end) continue;
      const double decay = group_decay(config, ParameterGroup(g));
      if (!part.spans.empty() && part.spans.back().decay == decay)
        part.spans.back().end = end;
      else
        part.spans.push_back({end, decay});
    }
    if (!part.spans.empty()) part.spans.back().end = piece.end - piece.begin;
    n = piece.at + piece.end - piece.begin;
    parts_.push_back(std::move(part));
  }
  const DType dtype = engine::compute_dtype(parameters.precision().master);
  const engine::Device device = parameters.precision().device;
  const Moments kept = kept_moments(config);
  if (kept.first) first_ = Tensor::zeros({n}, dtype, device);
  if (kept.second) second_ = Tensor::zeros({n}, dtype, device);
}

void Optimizer::step(double lr, double factor) { step(lr, factor, nullptr); }
void Optimizer::step(double lr, const engine::ScalarsInMemory& scalars) { step(lr, 1, &scalars); }

void Optimizer::step(double lr, double factor, const engine::ScalarsInMemory* scalars) {
  ++updates_;
  for (const Part& part : parts_) step_part(part, lr, factor, scalars);
  if (!has_masters()) parameters_.refresh_copies();  // f32 copies of f16 gains and biases
  previous_lr_ = lr;
}

void Optimizer::step_part(const Part& part, double lr, double factor, const engine::ScalarsInMemory* scalars) {
  const int64_t size = part.end - part.begin;
  if (size == 0) return;
  const auto own = [&](const Tensor& t) { return t.defined() ? t.slice(0, part.at, part.at + size) : t; };
  const Tensor p = parameters_.values(part.begin, part.end), g = parameters_.grads().slice(0, part.begin, part.end),
               m = own(first_), v = own(second_);
  const auto [copies_begin, copies_end] = parameters_.copied();
  const int64_t begin = std::max(copies_begin, part.begin), end = std::min(copies_end, part.end);
  const Tensor low = has_masters() && end > begin ? parameters_.copies(begin, end) : Tensor();
  const engine::ArenaStep arena{
      .scalars = scalars, .spans = part.spans, .low_begin = low.defined() ? begin - part.begin : 0};
  const engine::AdamOptions adam{.lr = lr,
                                 .beta1 = config_.betas[0],
                                 .beta2 = config_.betas[1],
                                 .eps = config_.eps,
                                 .step = updates_,
                                 .gradient_factor = factor,
                                 .arena = arena};
  switch (config_.name) {
    case OptimizerKind::adamw: engine::adamw_step(p, g, m, v, adam, low); break;
    case OptimizerKind::adam: engine::fairseq_adam_step(p, g, m, v, adam, low); break;
    case OptimizerKind::nag:
      engine::nag_step(p, g, m,
                       {.lr = lr,
                        .previous_lr = previous_lr_,
                        .momentum = config_.momentum,
                        .gradient_factor = factor,
                        .arena = arena},
                       low);
      break;
    case OptimizerKind::sgd:
      engine::sgd_step(p, g, m,
                       {.lr = lr, .momentum = config_.momentum, .gradient_factor = factor, .arena = arena},
                       low);
      break;
  }
}

engine::NamedTensors Optimizer::moments() const {
  engine::NamedTensors tensors;
  if (first_.defined()) tensors.emplace_back("first_moment", first_);
  if (second_.defined()) tensors.emplace_back("second_moment", second_);
  return tensors;
}

void Optimizer::set_counters(const std::vector<double>& counters) {
  updates_ = int64_t(counters[0]);
  previous_lr_ = counters[1];
}

}  // namespace train
