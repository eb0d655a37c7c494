// The transformer: embeddings, layers, final norm, and one of three heads. GPT (clm), RoBERTa and BERT (mlm)
// and their classifiers are configurations of this one class. Read first: config.h, batch.h, nn/block.h.
#pragma once

#include <memory>

#include "engine/ops/positions.h"
#include "engine/ops/scalars_in_memory.h"
#include "models/batch.h"
#include "nn/block.h"

namespace models {

using engine::Parameter;
using engine::Tensor;

struct LossOptions {
  double loss_scale = 1;                           // multiplies gradients, never the loss that is returned
  int64_t vocabulary = 0;                          // columns of the head from here on are padding; 0: none
  const engine::ScalarsInMemory* scale = nullptr;  // the loss scale stands there instead
  /// Inside the head: of a classifier before each of its two layers, of the adaptive softmax in its tail
  /// bands. Other heads have none.
  double dropout = 0;
  engine::Rng* rng = nullptr;  // needed with dropout
};

class Transformer {
 public:
  /// Parameters are zero until they are initialised (init.h) or loaded (model_files.h).
  Transformer(const ModelConfig& config, const nn::Precision& precision,
              nn::Gradients gradients = nn::Gradients::allocated);

  const ModelConfig& config() const { return config_; }
  nn::Parameters& parameters() { return *parameters_; }
  const nn::Parameters& parameters() const { return *parameters_; }

  /// How tokens that are given with a key mask count their positions; see batch.h. Not part of a saved model.
  void set_position_count(PositionCount count) { position_count_ = count; }

  /// A context with this model's precision and direction; dropout off.
  nn::Context context() const;

  /// What the head reads, [B, T, d] in `dtype` (by default the stream's): after the final norm.
  /// With context.cache, the tokens continue the cached ones; with context.rows each row its own. Errors: ids
  /// outside the vocabulary, too many positions. The auxiliary losses of routers are appended to `auxiliary`
  /// unless it is null.
  Tensor hidden(const Tokens& tokens, const nn::Context& context) const;
  Tensor hidden(const Tokens& tokens, const nn::Context& context, engine::DType dtype,
                std::vector<Tensor>* auxiliary = nullptr) const;
  /// The same of rows that are checked already, on any device.
  Tensor hidden(const InputRows& tokens, const nn::Context& context, engine::DType dtype,
                std::vector<Tensor>* auxiliary = nullptr) const;

  /// clm, mlm: [..., V], at least f32. classify: [B, classes] from hidden [B, T, d].
  Tensor logits(const Tensor& hidden) const;

  /// Sum over scored positions of the loss in nats, shape [] f64: cross-entropy, or the squared error of a
  /// classifier with one class. Labels as targets() takes them. Never holds [B, T, V]: rows that are not
  /// scored cost nothing.
  Tensor loss(const Tensor& hidden, const Tensor& labels, const LossOptions& options = {}) const;
  Tensor loss(const Tensor& hidden, const Targets& labels, const LossOptions& options = {}) const;

  /// Empty caches for `rows` sequences, with room for `capacity` tokens; they grow.
  std::vector<nn::KvCache> make_cache(int64_t rows, int64_t capacity) const;

 private:
  Tensor embed(const InputRows& tokens, const nn::Context& context) const;
  Tensor head_input(
      const Tensor& hidden) const;  // behind the MLM transform or projection, in the compute dtype
  Tensor vocabulary_weight() const;
  Tensor classify(const Tensor& hidden, const LossOptions& options = {}) const;

  ModelConfig config_;
  nn::Precision precision_;
  PositionCount position_count_ = PositionCount::from_start;
  std::unique_ptr<nn::Parameters> parameters_;
  std::vector<nn::Block> layers_;
  nn::NormLayer embed_norm_, final_norm_, mlm_norm_;
  nn::LinearLayer embed_projection_, head_projection_, mlm_dense_, classify_dense_, classify_out_;
  std::unique_ptr<engine::SinusoidalRows> sinusoidal_;
  Parameter *tokens_ = nullptr, *positions_ = nullptr, *types_ = nullptr, *head_ = nullptr,
            *head_bias_ = nullptr, *logit_scale_ = nullptr;
};

/// The parameter list as declarations of nn::Parameters.
std::vector<nn::Declaration> declarations(const ModelConfig& config);

}  // namespace models
