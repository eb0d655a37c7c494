// Read first: adaptive.h.
#include "models/adaptive.h"

#include "engine/ops/elementwise.h"
#include "engine/ops/embedding.h"
#include "engine/ops/linear.h"
#include "engine/ops/loss.h"
#include "engine/ops/routing.h"
#include "engine/ops/softmax.h"
#include "engine/ops/view.h"

namespace models {

using engine::DType;
using engine::Parameter;
using engine::Tensor;

namespace {

/// One band of the vocabulary: ids [first, last).
struct Band {
  int64_t first, last;
  Parameter *words, *projection;
};

std::vector<Band> bands_of(const ModelConfig& config, const nn::Parameters& parameters) {
  std::vector<Band> bands;
  int64_t first = 0;
  for (int64_t b = 0; b < config.bands(); ++b) {
    const int64_t last = b + 1 < config.bands() ? config.adaptive->cutoffs[size_t(b)] : config.vocab_size;
    const std::string name = "embed.bands." + std::to_string(b);
    bands.push_back({first, last, &parameters[name + ".weight"], &parameters[name + ".projection.weight"]});
    first = last;
  }
  return bands;
}

Tensor head_weight(const std::vector<Band>& bands, const nn::Parameters& parameters) {
  return engine::concat({use(*bands[0].words), use(parameters["head.clusters.weight"])}, 0);
}

/// P^T x: the input of a tail band's softmax.
Tensor tail_input(const Band& band, const Tensor& x) { return engine::matmul(x, use(*band.projection)); }

}  // namespace

Tensor adaptive_embedding(const ModelConfig& config, const nn::Parameters& parameters, const InputRows& tokens,
                          DType dtype) {
  const std::vector<Band> bands = bands_of(config, parameters);
  const int64_t rows = tokens.shape.numel();
  Tensor sum;
  for (size_t b = 0; b < bands.size(); ++b) {
    const InputRows::Band& in = tokens.bands[b];
    const Tensor words =
        engine::embedding(in.words, use(*bands[b].words), config.embed_scale, parameters.precision().compute);
    const Tensor x = engine::linear(words, use(*bands[b].projection), {}, {.dtype = dtype});
    const Tensor ones = engine::constant(in.words.ids.shape(), 1, engine::compute_dtype(dtype), x.device());
    Tensor part = engine::scatter_rows(x, in.positions, ones);
    if (part.size(0) > rows) part = engine::slice(part, 0, 0, rows);  // the last one is of words that fill up
    sum = sum.defined() ? engine::add(sum, part) : part;
  }
  engine::Shape shape = tokens.shape;
  shape.append(config.width);
  return engine::reshape(sum, shape);
}

Tensor adaptive_log_probabilities(const ModelConfig& config, const nn::Parameters& parameters,
                                  const Tensor& hidden) {
  const DType wide = engine::compute_dtype(hidden.dtype());
  const std::vector<Band> bands = bands_of(config, parameters);
  const Tensor head =
      engine::log_softmax(engine::linear(hidden, head_weight(bands, parameters), {}, {.dtype = wide}));
  const int64_t words = bands[0].last;
  std::vector<Tensor> parts = {engine::slice(head, -1, 0, words)};
  for (size_t b = 1; b < bands.size(); ++b) {
    const Tensor tail =
        engine::linear(tail_input(bands[b], hidden), use(*bands[b].words), {}, {.dtype = wide});
    const int64_t cluster = words + int64_t(b) - 1;
    parts.push_back(engine::add(engine::log_softmax(tail), engine::slice(head, -1, cluster, cluster + 1)));
  }
  return engine::concat(parts, -1);
}

Tensor adaptive_loss(const ModelConfig& config, const nn::Parameters& parameters, const Tensor& hidden,
                     const Targets& labels, const AdaptiveLossOptions& wanted) {
  const std::vector<Band> bands = bands_of(config, parameters);
  const Tensor x = engine::reshape(engine::contiguous(hidden), {hidden.numel() / config.width, config.width});
  const engine::LinearCrossEntropyOptions options{.loss_scale = wanted.loss_scale, .scale = wanted.scale};
  Tensor loss = engine::linear_cross_entropy(x, head_weight(bands, parameters), {}, labels.scored, options);
  for (size_t b = 1; b < bands.size(); ++b) {
    const Targets::Band& in = labels.bands[b - 1];
    if (in.labels.scored() == 0) continue;
    const Tensor rows = engine::gather_rows(x, in.rows);
    Tensor tail = tail_input(bands[b], rows);
    if (wanted.dropout > 0) tail = engine::dropout(tail, wanted.dropout, *wanted.rng);
    loss = engine::add(loss, engine::linear_cross_entropy(tail, use(*bands[b].words), {}, in.labels, options));
  }
  return loss;
}

}  // namespace models
