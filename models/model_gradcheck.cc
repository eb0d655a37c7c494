// Read first: model_gradcheck.h.
#include "models/model_gradcheck.h"

#include <cmath>

#include "engine/ops/elementwise.h"
#include "engine/ops/loss.h"
#include "models/init.h"
#include "models/parameter_list.h"

namespace models {

using engine::DType;
using engine::Rng;
using engine::Shape;

namespace {

constexpr int64_t fewest_layers = 2, most_layers = 64;

bool fits(const nn::NormSpec& spec, int64_t layers) {
  try {
    nn::resolve_layers(spec, layers);
    return true;
  } catch (const engine::Error&) {
    return false;
  }
}

}  // namespace

ModelConfig gradcheck_config(const std::string& norms, Objective objective) {
  ModelConfig config;
  config.objective = objective;
  config.vocab_size = 23, config.context = 6, config.width = 12, config.heads = 3, config.ffn_width = 10;
  config.classes = objective == Objective::classify ? 3 : 0;
  config.token_types = objective == Objective::clm ? 0 : 2;
  config.layers = fewest_layers;
  set_norms(config, norms);
  while (config.layers < most_layers && !fits(config.norms, config.layers)) ++config.layers;
  set_norms(config, norms);  // a preset's text depends on the depth
  if (config.norms.stream.kind == nn::StreamKind::ngpt) config.activation = nn::Activation::swiglu;
  return checked(config);
}

void draw_generic_values(Transformer& model, uint64_t seed) {
  Rng rng{seed};
  for (const ParameterInfo& info : parameter_list(model.config())) {
    const Tensor& values = model.parameters()[info.name].value;
    std::vector<double> draws(size_t(values.numel()));
    const bool matrix = info.group == ParameterGroup::matrix;
    const double sigma = matrix ? 1 / std::sqrt(double(info.shape.back()))
                                : (info.group == ParameterGroup::embedding ? 0.5 : 0.2);
    for (double& x : draws) x = info.initial.value_or(0) + sigma * rng.normal();
    values.copy_from(Tensor::from(draws, values.shape(), values.dtype()));
  }
  normalize_ngpt(model);
  model.parameters().refresh_copies();
}

TokenBatch random_batch(const ModelConfig& config, int64_t rows, uint64_t seed) {
  Rng rng{seed, 1 << 20};
  const int64_t T = config.context;
  const Shape shape = {rows, T};
  const auto draw = [&](int64_t n, int64_t limit) {
    std::vector<int32_t> ids(static_cast<size_t>(n));
    for (int32_t& id : ids) id = int32_t(rng.below(uint64_t(limit)));
    return ids;
  };
  const std::vector<int32_t> ids = draw(rows * T, config.vocab_size);
  TokenBatch batch;
  batch.tokens.ids = Tensor::from_ids(ids, shape);
  if (config.token_types > 0)
    batch.tokens.types = Tensor::from_ids(draw(rows * T, config.token_types), shape);
  if (config.objective != Objective::clm) {
    std::vector<double> kept(ids.size(), 1);
    for (size_t i = ids.size() - size_t(T / 3); i < ids.size(); ++i) kept[i] = 0;
    batch.tokens.key_mask = Tensor::from(kept, shape, DType::u8);
  }

  if (config.objective == Objective::classify) {
    batch.scored = rows;
    std::vector<double> targets;
    for (int64_t i = 0; i < rows; ++i) targets.push_back(rng.normal());
    batch.labels = config.classes == 1 ? Tensor::from(targets, {rows}, DType::f64)
                                       : Tensor::from_ids(draw(rows, config.classes), {rows});
    return batch;
  }
  std::vector<int32_t> labels(ids.size(), engine::kNotScored);
  for (size_t i = 0; i < ids.size(); ++i) {
    const bool scored = config.objective == Objective::clm ? (i + 1) % size_t(T) != 0
                                                           : i % size_t(T) == 0 || rng.below(2) == 1;
    if (!scored || (batch.tokens.key_mask.defined() && !batch.tokens.key_mask.data<uint8_t>()[i])) continue;
    labels[i] =
        config.objective == Objective::clm ? ids[i + 1] : int32_t(rng.below(uint64_t(config.vocab_size)));
    ++batch.scored;
  }
  batch.labels = Tensor::from_ids(labels, shape);
  return batch;
}

engine::GradcheckResult gradcheck_model(const ModelConfig& config, const engine::GradcheckOptions& options,
                                        engine::Device device) {
  const OneThread one;
  nn::Precision precision = nn::Precision::of(DType::f64);
  precision.device = device;
  Transformer model(config, precision);
  draw_generic_values(model, options.seed);
  const TokenBatch batch = random_batch(config, 2, options.seed);
  const auto loss = [&] {
    std::vector<Tensor> auxiliary;
    const nn::Context context = model.context();
    Tensor sum =
        model.loss(model.hidden(batch.tokens, context, context.precision.stream, &auxiliary), batch.labels);
    for (const Tensor& term : auxiliary) sum = engine::add(sum, term);
    return sum;
  };
  return engine::gradcheck_parameters(loss, model.parameters().all(), options);
}

}  // namespace models
