// Read first: saved_model.h.
#include "train/probes/saved_model.h"

#include <cmath>

#include "data/clm_rows.h"
#include "engine/ops/optimizer.h"
#include "train/run_data.h"

namespace train {

using engine::check;
using engine::Tensor;

ProbeRows rows_of_file(const OpenModel& open, const std::string& path) {
  return {models::token_batch(engine::read_json(path), open.model->config(), path)};
}

ProbeRows rows_of_shards(const OpenModel& open, const std::string& path, int64_t rows, int64_t batch) {
  const models::ModelConfig& config = open.model->config();
  check(config.objective != models::Objective::classify, "--data: the model classifies rows; use --tokens");
  const auto tokens = open_tokens(path, open.tokenizer.get());
  check(tokens->vocabulary() <= config.vocab_size, path, ": a vocabulary of ", tokens->vocabulary(),
        ", the model's is ", config.vocab_size);
  const auto source = config.causal()
                          ? data::clm_blocks(tokens, config.context, data::Targets::next, data::LastRow::keep)
                          : masked_rows({}, text_tokenizer(open), tokens, config.context, 2);
  const data::ValidationBatches batches(source, batch);
  ProbeRows out;
  for (int64_t i = 0; i < batches.count() && rows > 0; ++i) {
    data::Batch b = batches.at(i);
    if (b.rows > rows) {  // the last rows that are wanted
      b.rows = rows;
      b.ids.resize(size_t(rows * b.length));
      b.labels.resize(b.ids.size());
      if (!b.attention_mask.empty()) b.attention_mask.resize(b.ids.size());
      b.scored = 0;
      for (const int32_t label : b.labels) b.scored += label != data::kNotScored;
    }
    rows -= b.rows;
    out.push_back({to_tokens(b), to_labels(b), b.scored});
  }
  return out;
}

int64_t scored_positions(const ProbeRows& rows) {
  int64_t scored = 0;
  for (const models::TokenBatch& batch : rows) scored += batch.scored;
  return scored;
}

GradientRecord gradients_on(models::Transformer& model, const ProbeRows& rows, int64_t vocabulary) {
  const int64_t scored = scored_positions(rows);
  check(scored > 0, "gradients: no position is scored (a masked LM and a classifier need labels)");
  GradientRecord out{.step = 1};
  model.parameters().clear_gradients();
  for (const models::TokenBatch& batch : rows) {
    if (batch.scored == 0) continue;
    engine::Tape tape;
    const engine::TapeScope scope(tape);
    const nn::Context context = model.context();
    const Tensor loss = model.loss(model.hidden(batch.tokens, context, context.precision.compute),
                                   batch.labels, {.vocabulary = vocabulary});
    tape.backward(loss);
    out.loss += loss.item() / double(scored);
  }
  model.parameters().complete_gradients();
  double squares = 0;
  for (const engine::Parameter* p : model.parameters().all())
    squares += engine::sum_of_squares(p->grad.reshape({p->grad.numel()}));
  out.norm = std::sqrt(squares) / double(scored);
  out.layers = layer_gradients(model, 1 / double(scored));
  return out;
}

std::vector<LayerAttention> attention_on(const models::Transformer& model, const ProbeRows& rows) {
  const engine::TapeScope off(nullptr);
  AttentionProbe probe;
  nn::Context context = model.context();
  context.probe = &probe;
  for (const models::TokenBatch& batch : rows) {
    probe.begin_batch(batch.tokens.key_mask);
    model.hidden(batch.tokens, context);
  }
  return probe.result();
}

}  // namespace train
