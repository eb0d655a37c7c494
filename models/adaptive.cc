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

/// Positions whose id lies in the band, and those ids counted from its first.
struct Members {
  Tensor positions, ids;
};
Members members_of(const Band& band, const Tensor& ids) {
  std::vector<int32_t> positions, local;
  const Tensor host = ids.to(engine::Device::cpu);
  const int32_t* id = host.data<int32_t>();
  for (int64_t i = 0; i < ids.numel(); ++i) {
    if (id[i] < band.first || id[i] >= band.last) continue;
    positions.push_back(int32_t(i));
    local.push_back(int32_t(id[i] - band.first));
  }
  const int64_t n = int64_t(local.size());
  return {Tensor::from_ids(positions, {n}).to(ids.device()), Tensor::from_ids(local, {n}).to(ids.device())};
}

Tensor head_weight(const std::vector<Band>& bands, const nn::Parameters& parameters) {
  return engine::concat({use(*bands[0].words), use(parameters["head.clusters.weight"])}, 0);
}

/// P^T x: the input of a tail band's softmax.
Tensor tail_input(const Band& band, const Tensor& x) { return engine::matmul(x, use(*band.projection)); }

}  // namespace

Tensor adaptive_embedding(const ModelConfig& config, const nn::Parameters& parameters, const Tensor& ids,
                          DType dtype) {
  const Tensor host = ids.to(engine::Device::cpu);
  const int32_t* id = host.data<int32_t>();
  for (int64_t i = 0; i < ids.numel(); ++i)
    engine::check(id[i] >= 0 && id[i] < config.vocab_size, "embedding: id ", id[i], " at position ", i,
                  " is outside the vocabulary of ", config.vocab_size);
  Tensor sum;
  for (const Band& band : bands_of(config, parameters)) {
    const Members members = members_of(band, ids);
    const Tensor words =
        engine::embedding(members.ids, use(*band.words), config.embed_scale, parameters.precision().compute);
    const Tensor x = engine::linear(words, use(*band.projection), {}, {.dtype = dtype});
    const Tensor ones = Tensor::full(members.ids.shape(), 1, engine::compute_dtype(dtype), ids.device());
    const Tensor part = engine::scatter_rows(x, members.positions, ones, ids.numel());
    sum = sum.defined() ? engine::add(sum, part) : part;
  }
  engine::Shape shape = ids.shape();
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
                     const Tensor& labels, const AdaptiveLossOptions& wanted) {
  const std::vector<Band> bands = bands_of(config, parameters);
  const Tensor x = engine::reshape(engine::contiguous(hidden), {labels.numel(), config.width});
  std::vector<int32_t> head_labels(size_t(labels.numel()));
  const Tensor host = labels.to(engine::Device::cpu);
  for (int64_t i = 0; i < labels.numel(); ++i) {
    const int32_t label = host.data<int32_t>()[i];
    head_labels[size_t(i)] = label;
    for (size_t b = 1; b < bands.size(); ++b)
      if (label >= bands[b].first && label < bands[b].last)
        head_labels[size_t(i)] = int32_t(bands[0].last + int64_t(b) - 1);
  }
  const engine::LinearCrossEntropyOptions options{.loss_scale = wanted.loss_scale};
  Tensor loss = engine::linear_cross_entropy(
      x, head_weight(bands, parameters), {},
      Tensor::from_ids(head_labels, {labels.numel()}).to(labels.device()), options);
  for (size_t b = 1; b < bands.size(); ++b) {
    const Members members = members_of(bands[b], labels);
    if (members.ids.numel() == 0) continue;
    const Tensor rows = engine::gather_rows(x, members.positions);
    Tensor tail = tail_input(bands[b], rows);
    if (wanted.dropout > 0) tail = engine::dropout(tail, wanted.dropout, *wanted.rng);
    loss = engine::add(
        loss, engine::linear_cross_entropy(tail, use(*bands[b].words), {}, members.ids, options));
  }
  return loss;
}

}  // namespace models
