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

Optimizer::Optimizer(nn::Parameters& parameters, const OptimConfig& config)
    : parameters_(parameters), config_(config) {
  for (int g = 0; g < nn::kParameterGroups; ++g) {
    const auto [begin, end] = parameters.range(ParameterGroup(g));
    const double decay = group_decay(config, ParameterGroup(g));
    if (end == begin) continue;
    if (!spans_.empty() && spans_.back().decay == decay)
      spans_.back().end = end;
    else
      spans_.push_back({end, decay});
  }
  const int64_t n = parameters.values().numel();
  const DType dtype = engine::compute_dtype(parameters.precision().master);
  const engine::Device device = parameters.precision().device;
  const bool adam = config.name == OptimizerKind::adamw || config.name == OptimizerKind::adam;
  if (adam || config.name == OptimizerKind::nag || config.momentum > 0)
    first_ = Tensor::zeros({n}, dtype, device);
  if (adam) second_ = Tensor::zeros({n}, dtype, device);
}

void Optimizer::step(double lr, double factor) { step(lr, factor, nullptr); }
void Optimizer::step(double lr, const engine::ScalarsInMemory& scalars) { step(lr, 1, &scalars); }

void Optimizer::step(double lr, double factor, const engine::ScalarsInMemory* scalars) {
  ++updates_;
  const Tensor &p = parameters_.values(), &g = parameters_.grads();
  const auto [begin, end] = parameters_.copied();
  const Tensor low = has_masters() && end > begin ? parameters_.copies(begin, end) : Tensor();
  const engine::ArenaStep arena{.scalars = scalars, .spans = spans_, .low_begin = begin};
  const engine::AdamOptions adam{.lr = lr,
                                 .beta1 = config_.betas[0],
                                 .beta2 = config_.betas[1],
                                 .eps = config_.eps,
                                 .step = updates_,
                                 .gradient_factor = factor,
                                 .arena = arena};
  switch (config_.name) {
    case OptimizerKind::adamw: engine::adamw_step(p, g, first_, second_, adam, low); break;
    case OptimizerKind::adam: engine::fairseq_adam_step(p, g, first_, second_, adam, low); break;
    case OptimizerKind::nag:
      engine::nag_step(p, g, first_,
                       {.lr = lr,
                        .previous_lr = previous_lr_,
                        .momentum = config_.momentum,
                        .gradient_factor = factor,
                        .arena = arena},
                       low);
      break;
    case OptimizerKind::sgd:
      engine::sgd_step(p, g, first_,
                       {.lr = lr, .momentum = config_.momentum, .gradient_factor = factor, .arena = arena},
                       low);
      break;
  }
  if (!has_masters()) parameters_.refresh_copies();  // f32 copies of f16 gains and biases
  previous_lr_ = lr;
}

engine::NamedTensors Optimizer::state() const {
  engine::NamedTensors tensors;
  if (first_.defined()) tensors.emplace_back("first_moment", first_);
  if (second_.defined()) tensors.emplace_back("second_moment", second_);
  tensors.emplace_back("counters", Tensor::from({double(updates_), previous_lr_}, {2}, DType::f64));
  return tensors;
}

void Optimizer::restore(const engine::Safetensors& file) {
  for (const auto& [name, tensor] : {std::pair{"first_moment", first_}, std::pair{"second_moment", second_}})
    check(tensor.defined() == (file.find(name) != nullptr), file.path(), ": ", name,
          tensor.defined() ? " is missing" : " is there", ": written by another optimizer than optim.name");
  const auto load = [&](const Tensor& into, const char* name) {
    if (!into.defined()) return;
    const Tensor stored = file.load(name, into.dtype());
    check(stored.shape() == into.shape(), file.path(), ": ", name, " is ", stored.shape(),
          ", this model needs ", into.shape());
    into.copy_from(stored);
  };
  load(first_, "first_moment");
  load(second_, "second_moment");
  const Tensor counters = file.load("counters", DType::f64);
  check(counters.shape() == engine::Shape{2}, file.path(), ": counters must be [2]");
  updates_ = int64_t(counters.data<double>()[0]);
  previous_lr_ = counters.data<double>()[1];
}

}  // namespace train
