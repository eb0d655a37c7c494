// The data of a run, from its config: tokenizer, training rows in order, validation rows.
#pragma once

#include <memory>

#include "data/batches.h"
#include "data/token_stream.h"
#include "data/tokenizer.h"
#include "engine/comm/communicator.h"
#include "models/transformer.h"
#include "train/update.h"
#include "train/config.h"

namespace train {

struct RunData {
  std::unique_ptr<data::Tokenizer> tokenizer;           // null when the config names none
  std::unique_ptr<data::BatchSource> training;
  std::unique_ptr<data::ValidationBatches> validation;  // null when the config names none
  int64_t vocabulary = 0;
  int64_t context = 0;
};

/// The model of a config: that of `from`, where it has one, else its section. Where the section does not say
/// them, vocab_size is the tokenizer's, the objective follows from the sampler, and the context is data.context.
models::ModelConfig resolve_model_config(const TrainConfig& config);

/// open_data, and whether this model can read it: vocabulary, length of rows.
RunData open_run_data(const TrainConfig& config, const models::ModelConfig& model, int64_t rank = 0,
                      int64_t world = 1);

/// `context`: the model's, used when the config sets none. Rank `rank` of `world` gets its share of the
/// training rows, and all validation batches.
RunData open_data(const TrainConfig& config, models::Objective objective, int64_t model_context, int64_t rank,
                  int64_t world);

/// The shards at `path`; an error when they were made with another tokenizer (null: not checked).
std::shared_ptr<const data::TokenStream> open_tokens(const std::string& path,
                                                     const data::Tokenizer* tokenizer);

/// Masked-LM rows of these tokens; error: the tokenizer has no begin, padding or mask token.
std::shared_ptr<const data::Rows> masked_rows(const DataConfig& config, const data::Tokenizer& tokenizer,
                                              std::shared_ptr<const data::TokenStream> tokens,
                                              int64_t context, uint64_t seed);

/// A batch as tensors.
models::Tokens to_tokens(const data::Batch& batch);
engine::Tensor to_labels(const data::Batch& batch);
/// A batch as the model reads it. `vocabulary`: ids from here on are padding of its head.
MicroBatch micro_batch(const models::ModelConfig& config, const data::Batch& batch, int64_t vocabulary);

/// Mean loss in nats over the scored positions of the first `limit` validation batches (0: all).
struct Evaluation {
  double loss = 0;
  int64_t scored = 0;
};
/// `vocabulary`: columns of the head from here on are padding. Batches are dealt to the ranks and summed in
/// their order: the same bits for any number of ranks. A rank that is asked to stop makes all throw Stopped.
Evaluation evaluate(const models::Transformer& model, const data::ValidationBatches& batches, int64_t limit,
                    int64_t vocabulary, engine::Communicator& communicator);
inline Evaluation evaluate(const models::Transformer& model, const data::ValidationBatches& batches,
                           int64_t limit, int64_t vocabulary) {
  engine::Communicator alone;
  return evaluate(model, batches, limit, vocabulary, alone);
}

}  // namespace train
