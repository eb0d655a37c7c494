// Read first: saved_model.h.
#include "train/probes/saved_model.h"

#include <algorithm>
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

namespace {

/// Rows [begin, end), of each the first `length` positions.
data::Batch part(const data::Batch& batch, int64_t begin, int64_t end, int64_t length) {
  data::Batch out{.rows = end - begin, .length = length};
  for (int64_t r = begin; r < end; ++r) {
    const auto add = [&](const auto& from, auto& to) {
      if (!from.empty())
        to.insert(to.end(), from.begin() + r * batch.length, from.begin() + r * batch.length + length);
    };
    add(batch.ids, out.ids), add(batch.labels, out.labels), add(batch.attention_mask, out.attention_mask);
  }
  for (const int32_t label : out.labels) out.scored += label != data::kNotScored;
  return out;
}

}  // namespace

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
  const auto add = [&](const data::Batch& b) {
    if (b.rows > 0 && b.length > 0) out.push_back({to_tokens(b), to_labels(b), b.scored});
  };
  for (int64_t i = 0; i < batches.count() && rows > 0; ++i) {
    const data::Batch all = batches.at(i);
    const int64_t wanted = std::min(all.rows, rows);
    rows -= wanted;
    const int64_t last = part(all, wanted - 1, wanted, all.length).scored;
    // A causal model's last row may be short, and what pads it would count in entropies and sizes.
    const bool is_short = config.causal() && last < all.length;
    add(part(all, 0, is_short ? wanted - 1 : wanted, all.length));
    if (is_short) add(part(all, wanted - 1, wanted, last));
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
  check(scored > 0,
        "gradients: no position of these rows is scored (of a masked LM one must be masked: with --data take "
        "more --rows; --tokens names labels)");
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
