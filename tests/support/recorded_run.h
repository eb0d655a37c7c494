// Updates of a small model on a device, with micro-steps recorded or as they come: for tests that compare the
// two.
#pragma once

#include <vector>

#include "models/init.h"
#include "train/micro_step.h"

namespace train {

using engine::Device;
using engine::DType;
using engine::Tensor;

inline constexpr int64_t kRecordedVocabulary = 16, kRecordedLength = 8;

struct RecordedModel {
  models::Objective objective = models::Objective::clm;
  std::string norms = "normformer";
  int64_t experts = 0, classes = 0;
  bool adaptive = false;
};

inline models::ModelConfig recorded_config(const RecordedModel& model) {
  models::ModelConfig c;
  const models::Objective objective = c.objective = model.objective;
  c.layers = 2, c.width = 16, c.heads = 2, c.ffn_width = 32, c.vocab_size = kRecordedVocabulary,
  c.context = kRecordedLength;
  if (objective == models::Objective::mlm)
    c.position_offset = 2, c.context = kRecordedLength + 2, c.token_types = 2;
  if (model.norms == "ngpt" || model.experts > 0) c.activation = nn::Activation::swiglu;
  if (model.experts > 0) c.experts = model.experts, c.experts_per_token = 2;
  if (model.adaptive) c.adaptive = models::Adaptive{{5, 11}, 2};
  c.classes = model.classes;
  models::set_norms(c, model.norms);
  return models::checked(c);
}

// Random rows; a masked LM's end in padding (id 1) and are scored at some positions.
inline MicroBatch recorded_batch(const models::ModelConfig& config, uint64_t seed) {
  engine::Rng rng{seed, 0};
  const int64_t rows = 3;
  const bool masked = config.objective == models::Objective::mlm;
  std::vector<int32_t> ids, labels;
  std::vector<double> mask;
  MicroBatch batch;
  models::Tokens tokens;
  for (int64_t i = 0; i < rows * kRecordedLength; ++i) {
    const bool padding = masked && i % kRecordedLength >= kRecordedLength - 2;
    ids.push_back(padding ? 1 : 2 + int32_t(rng.below(kRecordedVocabulary - 2)));
    const bool scored = masked ? !padding && (i == 0 || rng.below(4) == 0) : i % kRecordedLength > 0;
    labels.push_back(scored ? int32_t(rng.below(kRecordedVocabulary - 1)) : -100);
    mask.push_back(!padding);
    batch.scored += scored;
  }
  tokens.ids = Tensor::from_ids(ids, {rows, kRecordedLength});
  if (masked) tokens.key_mask = Tensor::from(mask, {rows, kRecordedLength}, DType::u8);
  batch.tokens = models::input_rows(config, tokens);
  if (config.objective == models::Objective::classify) {
    batch.scored = rows;
    labels.resize(size_t(rows));
    for (int32_t& label : labels) label = int32_t(rng.below(uint64_t(config.classes)));
    batch.labels = config.classes == 1
                       ? models::targets(config, Tensor::from({0.5, -1, 2}, {rows}, DType::f32))
                       : models::targets(config, Tensor::from_ids(labels, {rows}));
    return batch;
  }
  batch.labels =
      models::targets(config, Tensor::from_ids(labels, {rows, kRecordedLength}), kRecordedVocabulary - 1);
  return batch;
}

/// Five updates of two micro-batches, with a loss scale that grows in f16 and a learning rate that falls.
struct RecordedRun {
  std::vector<double> losses, norms, gradients, parameters;
  std::vector<uint64_t> waits;  // of every update
  int64_t replays = 0;

  RecordedRun(const RecordedModel& which, DType dtype, Device device, const UpdateOptions& options) {
    nn::Precision precision = nn::Precision::of(dtype);
    precision.device = device;
    models::Transformer model(recorded_config(which), precision);
    models::initialise(model, "", 1);
    Optimizer optimizer(model.parameters(), {});
    engine::Communicator communicator;
    Shards shards(model.parameters(), communicator, {});
    LossScaler scaler({.init = 256, .window = 2}, 1, 2);
    Update update(model, optimizer, shards, dtype == DType::f16 ? &scaler : nullptr, options);
    for (int64_t i = 0; i < 5; ++i) {
      const MicroBatch batches[] = {recorded_batch(model.config(), uint64_t(2 * i)),
                                    recorded_batch(model.config(), uint64_t(2 * i + 1))};
      const uint64_t before = engine::host_waits(device);
      const Update::Gradients g = update.gradients(batches, 2 * i);
      losses.push_back(g.loss), norms.push_back(g.norm);
      if (g.event == ScaleEvent::apply) update.apply(g, 1e-2 / double(i + 1), {});
      waits.push_back(engine::host_waits(device) - before);
    }
    gradients = model.parameters().grads().to_vector();
    parameters = model.parameters().values().to_vector();
    replays = update.replays();
  }
};

inline const UpdateOptions recorded_options{
    .dropout = {0.3, 0.2, 0.1}, .seed = 7, .clip = 1, .vocabulary = kRecordedVocabulary - 1, .graphs = false};

}  // namespace train
