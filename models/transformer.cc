// Read first: transformer.h.
#include "models/transformer.h"

#include <algorithm>

#include "engine/autograd/checkpoint.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/embedding.h"
#include "engine/ops/loss.h"
#include "engine/ops/routing.h"
#include "engine/ops/view.h"
#include "models/adaptive.h"
#include "models/parameter_list.h"

namespace models {

using engine::check;
using engine::DType;
using engine::Shape;

std::vector<nn::Declaration> declarations(const ModelConfig& config) {
  std::vector<nn::Declaration> out;
  for (const ParameterInfo& info : parameter_list(config))
    out.push_back({info.name, Shape(info.shape), info.group});
  return out;
}

namespace {

nn::LayerSizes layer_sizes(const ModelConfig& c) {
  const bool ngpt = c.norms.stream.kind == nn::StreamKind::ngpt;
  const auto factor = [&](NgptParameter p) {
    const NgptScale s = ngpt_stored(p, c.width);
    return s.effective / s.stored;
  };
  return {.attention = {.heads = c.heads,
                        .kv_heads = c.kv_heads,
                        .head_dim = c.head_dim,
                        .scale = score_scale(c),
                        .softcap = c.attn_softcap.value_or(0),
                        .rope = rope_angles(c),
                        .long_rope = rope_angles(c, true),
                        .long_from = long_rows_from(c),
                        .unit_qk = ngpt,
                        .qk_factor = ngpt ? factor(NgptParameter::qk_scale) : 1},
          .feed_forward = {.activation = c.activation,
                           .experts = c.experts,
                           .experts_per_token = c.experts_per_token,
                           .router_normalize = c.router_normalize,
                           .uv_factor = ngpt ? factor(NgptParameter::uv_scale) : 0},
          .stream = c.norms.stream.kind,
          .second_stream = c.norms.stream.c,
          .step_factor = ngpt ? factor(NgptParameter::step) : 1};
}

}  // namespace

Transformer::Transformer(const ModelConfig& config, const nn::Precision& precision, nn::Gradients gradients)
    : config_(config),
      precision_(precision),
      parameters_(std::make_unique<nn::Parameters>(declarations(config), precision, gradients)) {
  const nn::Scope root{parameters_.get(), ""};
  const nn::NormDefaults defaults{config.norm_eps, config.gain_offset};
  nn::LayerSizes sizes = layer_sizes(config);
  const std::vector<nn::LayerSlots> slots = nn::resolve_layers(config.norms, config.layers);
  for (int64_t i = 0; i < config.layers; ++i) {
    sizes.attention.window = config.window_of(i);
    layers_.emplace_back(i, slots[size_t(i)], sizes, root.sub("layers").sub(std::to_string(i)), defaults);
  }
  tokens_ = root.find("embed.tokens.weight");
  positions_ = root.find("embed.positions.weight");
  types_ = root.find("embed.types.weight");
  head_ = root.find("head.weight");
  head_bias_ = root.find("head.bias");
  logit_scale_ = root.find("head.logit_scale");
  if (config.positions == nn::Positions::sinusoidal)
    sinusoidal_ = std::make_unique<engine::SinusoidalRows>(config.width, precision.stream, precision.device);
  if (config.embed_width > 0) {
    embed_projection_ = nn::LinearLayer(root.sub("embed.projection"));
    head_projection_ = nn::LinearLayer(root.sub("head.projection"));
  }
  embed_norm_ = nn::NormLayer(config.norms.embed, root.sub("embed.norm"), defaults);
  final_norm_ = nn::NormLayer(config.norms.final, root.sub("final_norm"), defaults);
  if (config.objective == Objective::mlm) {
    mlm_dense_ = nn::LinearLayer(root.sub("mlm.dense"));
    mlm_norm_ = nn::NormLayer({nn::NormKind::ln}, root.sub("mlm.norm"), defaults);
  }
  if (config.objective == Objective::classify) {
    classify_dense_ = nn::LinearLayer(root.sub("classify.dense"));
    classify_out_ = nn::LinearLayer(root.sub("classify.out"));
  }
}

nn::Context Transformer::context() const { return {.precision = precision_, .causal = config_.causal()}; }

std::vector<nn::KvCache> Transformer::make_cache(int64_t rows, int64_t capacity) const {
  const Shape shape = {rows, capacity, config_.kv_width()};
  std::vector<nn::KvCache> cache;
  for (int64_t i = 0; i < config_.layers; ++i)
    cache.push_back({Tensor::zeros(shape, precision_.compute, precision_.device),
                     Tensor::zeros(shape, precision_.compute, precision_.device), 0});
  return cache;
}

// -------------------------------------------------------------------------------------------------
// embeddings

namespace {

int64_t length_of(const std::vector<nn::KvCache>* cache) { return cache ? cache->front().length : 0; }

/// Tokens that stand before these; the most of any row.
int64_t tokens_before(const nn::Context& context) {
  int64_t most = length_of(context.cache);
  if (context.rows)
    for (const std::vector<nn::KvCache>* row : *context.rows) most = std::max(most, length_of(row));
  return most;
}

/// The position table's row of every token, each behind its own row's tokens.
Tensor row_positions(const ModelConfig& config, const Shape& shape, const nn::RowCaches& rows) {
  std::vector<int32_t> positions;
  for (const std::vector<nn::KvCache>* row : rows)
    for (int64_t t = 0; t < shape[1]; ++t)
      positions.push_back(int32_t(config.position_offset + length_of(row) + t));
  return Tensor::from_ids(positions, shape);
}

Tensor row_sinusoids(const ModelConfig& config, int64_t T, const nn::RowCaches& rows,
                     engine::SinusoidalRows& table) {
  std::vector<Tensor> of_rows;
  for (const std::vector<nn::KvCache>* row : rows)
    of_rows.push_back(table.rows(config.position_offset + length_of(row), T).reshape({1, T, config.width}));
  return engine::concat(of_rows, 0);
}

}  // namespace

Tensor Transformer::embed(const InputRows& tokens, const nn::Context& context) const {
  const DType dtype = precision_.stream;
  const int64_t T = tokens.shape[1], past = tokens_before(context);
  const int64_t first = config_.position_offset + past;
  check(config_.longest_row == 0 || past + T <= config_.longest_row, "the sequence has ", past + T,
        " tokens; this model's rows have at most ", config_.longest_row,
        " (its angles or its window change beyond)");
  Tensor x = config_.adaptive ? adaptive_embedding(config_, *parameters_, tokens, dtype)
             : embed_projection_.weight
                 ? embed_projection_(engine::embedding(tokens.words, use_value(*tokens_), config_.embed_scale,
                                                       precision_.compute),
                                     {.dtype = dtype})
                 : engine::embedding(tokens.words, use_value(*tokens_), config_.embed_scale, dtype);
  if (positions_) {
    check(past + T <= config_.context, "the sequence has ", past + T, " tokens, the model has ",
          config_.context, " learned positions");
    const auto table = use_value(*positions_);
    if (context.rows)
      x = engine::add(
          x, engine::embedding(row_positions(config_, tokens.shape, *context.rows), table, 1, dtype));
    else
      x = engine::add(x, tokens.positions.defined()
                             ? engine::embedding(tokens.positions, table, 1, dtype)
                             : engine::cast(engine::slice(table, 0, first, first + T), dtype));
  }
  if (sinusoidal_)
    x = engine::add(x, context.rows ? row_sinusoids(config_, T, *context.rows, *sinusoidal_)
                                    : sinusoidal_->rows(first, T));
  if (types_) x = engine::add(x, engine::embedding(tokens.types, use_value(*types_), 1, dtype));
  if (embed_norm_) x = embed_norm_(x, dtype);
  return context.dropout.residual > 0 ? engine::dropout(x, context.dropout.residual, *context.rng) : x;
}

// ------------------------------------------------------------------------------------------------- layers

Tensor Transformer::hidden(const Tokens& tokens, const nn::Context& context) const {
  return hidden(tokens, context, precision_.stream);
}

Tensor Transformer::hidden(const Tokens& tokens, const nn::Context& context, DType dtype,
                           std::vector<Tensor>* auxiliary) const {
  const engine::Sums sums = engine::Tape::current() ? engine::Sums::yes : engine::Sums::no;
  return hidden(input_rows(config_, tokens, sums, position_count_), context, dtype, auxiliary);
}

Tensor Transformer::hidden(const InputRows& rows, const nn::Context& outer, DType dtype,
                           std::vector<Tensor>* auxiliary) const {
  const InputRows tokens = rows.to(precision_.device);
  nn::Context context = outer;
  context.key_mask = tokens.key_mask;
  const Tensor x = embed(tokens, context);
  const bool two = config_.norms.stream.kind == nn::StreamKind::residual;
  nn::Streams streams{nn::ResidualStream(x), two ? engine::affine(x, config_.norms.stream.c) : Tensor(),
                      auxiliary};
  for (const nn::Block& layer : layers_) {
    if (!context.checkpointing) {
      layer(streams, context);
      continue;
    }
    // A checkpoint keeps only the joined streams at the layer's entrance. Out of it come those at its exit,
    // and what the layer adds to the loss.
    std::vector<Tensor> inputs = {streams.main.joined()};
    if (two) inputs.push_back(streams.second);
    const auto segment = [&layer, context, two,
                          wanted = auxiliary != nullptr](const std::vector<Tensor>& in) {
      std::vector<Tensor> terms;
      nn::Streams s{nn::ResidualStream(in[0]), two ? in[1] : Tensor(), wanted ? &terms : nullptr};
      layer(s, context);
      std::vector<Tensor> out = {s.main.joined()};
      if (two) out.push_back(s.second);
      out.insert(out.end(), terms.begin(), terms.end());
      return out;
    };
    const std::vector<Tensor> outputs = engine::checkpoint(segment, inputs, context.rng);
    streams.main.replace(outputs[0]);
    if (two) streams.second = outputs[1];
    if (auxiliary) auxiliary->insert(auxiliary->end(), outputs.begin() + (two ? 2 : 1), outputs.end());
  }
  if (two)
    return engine::cast(engine::add(streams.main.joined(), final_norm_(streams.second, precision_.stream)),
                        dtype);
  return final_norm_ ? streams.main.read(final_norm_, dtype) : engine::cast(streams.main.joined(), dtype);
}

// ------------------------------------------------------------------------------------------------- heads

Tensor Transformer::head_input(const Tensor& hidden) const {
  const Tensor x = engine::cast(hidden, precision_.compute);
  if (config_.objective != Objective::mlm) return head_projection_.weight ? head_projection_(x) : x;
  return mlm_norm_(mlm_dense_(x, {.activation = engine::Activation::gelu}), precision_.compute);
}

Tensor Transformer::vocabulary_weight() const {
  const Tensor weight = use(head_ ? *head_ : *tokens_);
  if (!logit_scale_) return weight;
  const NgptScale s = ngpt_stored(NgptParameter::logit_scale, config_.width);
  const Tensor scale =
      engine::affine(engine::reshape(use(*logit_scale_), {config_.vocab_size, 1}), s.effective / s.stored);
  return engine::mul(weight, engine::cast(scale, weight.dtype()));
}

Tensor Transformer::classify(const Tensor& hidden, const LossOptions& options) const {
  const auto dropped = [&](const Tensor& x) {
    return options.dropout > 0 ? engine::dropout(x, options.dropout, *options.rng) : x;
  };
  const Tensor first = engine::slice(hidden, 1, 0, 1);
  const Tensor x = engine::cast(engine::reshape(engine::contiguous(first), {hidden.size(0), config_.width}),
                                precision_.compute);
  return classify_out_(dropped(classify_dense_(dropped(x), {.activation = engine::Activation::tanh})),
                       {.dtype = engine::compute_dtype(precision_.compute)});
}

Tensor Transformer::logits(const Tensor& hidden) const {
  if (config_.objective == Objective::classify) return classify(hidden);
  const DType wide = engine::compute_dtype(precision_.compute);
  if (config_.adaptive)
    return adaptive_log_probabilities(config_, *parameters_, engine::cast(hidden, precision_.compute));
  const Tensor z =
      engine::linear(head_input(hidden), vocabulary_weight(), nn::use_optional(head_bias_), {.dtype = wide});
  return config_.logit_softcap ? engine::softcap(z, *config_.logit_softcap) : z;
}

Tensor Transformer::loss(const Tensor& hidden, const Tensor& labels, const LossOptions& options) const {
  if (config_.objective != Objective::classify)
    check(labels.shape() == hidden.shape().leading(), "labels ", labels.shape(), " beside tokens ",
          hidden.shape().leading());
  return loss(hidden, targets(config_, labels, options.vocabulary), options);
}

Tensor Transformer::loss(const Tensor& hidden, const Targets& targets, const LossOptions& options) const {
  const Targets labels = targets.to(hidden.device());
  const Tensor scale = options.scale ? options.scale->loss_scale() : Tensor();
  if (config_.objective == Objective::classify) {
    const Tensor z = classify(hidden, options);
    if (config_.classes > 1) return engine::cross_entropy(z, labels.scored);
    return engine::squared_error(engine::reshape(z, {z.size(0)}), engine::cast(labels.values, z.dtype()));
  }
  if (config_.adaptive)
    return adaptive_loss(config_, *parameters_, engine::cast(hidden, precision_.compute), labels,
                         {options.loss_scale, options.dropout, options.rng, scale});
  Tensor x = hidden;
  engine::ScoredRows scored = labels.scored;
  if (config_.objective == Objective::mlm) {  // only masked rows go through the head (about 15 %)
    const int64_t rows = hidden.numel() / config_.width;
    x = engine::gather_rows(engine::reshape(engine::contiguous(hidden), {rows, config_.width}), scored.rows);
    scored = scored.gathered();
  }
  return engine::linear_cross_entropy(head_input(x), vocabulary_weight(), nn::use_optional(head_bias_),
                                      scored,
                                      {.softcap = config_.logit_softcap.value_or(0),
                                       .loss_scale = options.loss_scale,
                                       .vocabulary = options.vocabulary,
                                       .scale = scale});
}

}  // namespace models
