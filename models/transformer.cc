// Read first: transformer.h.
#include "models/transformer.h"

#include <cmath>

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
                        .rope_theta = c.positions == nn::Positions::rope ? c.rope_theta : 0,
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

void check_mask(const Tensor& mask, const Shape& ids) {
  if (!mask.defined()) return;
  check(mask.dtype() == DType::u8 && mask.shape() == ids, "attention mask must be u8 ", ids, ", got ",
        mask.dtype(), " ", mask.shape());
}

}  // namespace

Transformer::Transformer(const ModelConfig& config, const nn::Precision& precision, nn::Gradients gradients)
    : config_(config),
      precision_(precision),
      parameters_(std::make_unique<nn::Parameters>(declarations(config), precision, gradients)) {
  const nn::Scope root{parameters_.get(), ""};
  const nn::NormDefaults defaults{config.norm_eps, config.gain_offset};
  const nn::LayerSizes sizes = layer_sizes(config);
  const std::vector<nn::LayerSlots> slots = nn::resolve_layers(config.norms, config.layers);
  for (int64_t i = 0; i < config.layers; ++i)
    layers_.emplace_back(i, slots[size_t(i)], sizes, root.sub("layers").sub(std::to_string(i)), defaults);
  tokens_ = root.find("embed.tokens.weight");
  positions_ = root.find("embed.positions.weight");
  types_ = root.find("embed.types.weight");
  head_ = root.find("head.weight");
  head_bias_ = root.find("head.bias");
  logit_scale_ = root.find("head.logit_scale");
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

Tensor sinusoidal_table(int64_t first, int64_t positions, int64_t width, DType dtype) {
  const int64_t half = width / 2;
  std::vector<double> table(size_t(positions * width));
  for (int64_t t = 0; t < positions; ++t) {
    for (int64_t j = 0; j < half; ++j) {
      const double angle = double(first + t) * std::exp(-double(j) * std::log(10000.0) / double(half - 1));
      table[size_t(t * width + j)] = std::sin(angle);
      table[size_t(t * width + half + j)] = std::cos(angle);
    }
  }
  return Tensor::from(table, {positions, width}, dtype);
}

namespace {

/// The rows of the position table where those are not offset + 0, 1, 2, ..., else undefined: a masked LM with
/// a position offset counts the tokens that are not padding, whose id is the one before the offset, and
/// padding itself has its id as position (fairseq's and RoBERTa's rule).
Tensor position_ids(const ModelConfig& config, const Tensor& ids) {
  if (config.causal() || config.position_offset == 0) return {};
  const int32_t padding = int32_t(config.position_offset - 1);
  const Tensor host = ids.to(engine::Device::cpu);
  const int32_t* id = host.data<int32_t>();
  const int64_t B = ids.size(0), T = ids.size(1);
  std::vector<int32_t> positions(size_t(B * T));
  bool plain = true;
  for (int64_t b = 0; b < B; ++b) {
    int32_t next = padding + 1;
    for (int64_t t = b * T; t < (b + 1) * T; ++t) {
      positions[size_t(t)] = id[t] == padding ? padding : next++;
      plain = plain && id[t] != padding;
    }
  }
  return plain ? Tensor() : Tensor::from_ids(positions, ids.shape()).to(ids.device());
}

}  // namespace

/// The same tokens where the model computes.
Tokens Transformer::here(const Tokens& tokens) const {
  const auto moved = [&](const Tensor& t) { return t.defined() ? t.to(precision_.device) : t; };
  return {.ids = moved(tokens.ids), .types = moved(tokens.types), .key_mask = moved(tokens.key_mask)};
}

Tensor Transformer::embed(const Tokens& tokens_in, const nn::Context& context) const {
  const Tokens tokens = here(tokens_in);
  const DType dtype = precision_.stream;
  check(tokens.ids.dtype() == DType::i32 && tokens.ids.rank() == 2, "ids must be i32 [B, T], got ",
        tokens.ids.dtype(), " ", tokens.ids.shape());
  check_mask(tokens_in.key_mask, tokens.ids.shape());
  const int64_t T = tokens.ids.size(1), past = context.cache ? context.cache->front().length : 0;
  const int64_t first = config_.position_offset + past;
  check(config_.longest_row == 0 || past + T <= config_.longest_row, "the sequence has ", past + T,
        " tokens; this model attends to windows of ", config_.longest_row, ", so longer rows are refused");
  Tensor x = config_.adaptive
                 ? adaptive_embedding(config_, *parameters_, tokens.ids, dtype)
                 : engine::embedding(tokens.ids, use_value(*tokens_), config_.embed_scale, dtype);
  if (positions_) {
    check(past + T <= config_.context, "the sequence has ", past + T, " tokens, the model has ",
          config_.context, " learned positions");
    const Tensor ids = position_ids(config_, tokens.ids);
    x = engine::add(x, ids.defined()
                           ? engine::embedding(ids, use_value(*positions_), 1, dtype)
                           : engine::cast(engine::slice(use_value(*positions_), 0, first, first + T), dtype));
  }
  if (config_.positions == nn::Positions::sinusoidal)
    x = engine::add(x, sinusoidal_table(first, T, config_.width, dtype).to(x.device()));
  if (types_) {
    const Tensor types = tokens.types.defined()
                             ? tokens.types
                             : tokens.ids.like(tokens.ids.shape(), DType::i32, engine::Contents::zeros);
    check(types.shape() == tokens.ids.shape(), "token types ", types.shape(), " beside ids ",
          tokens.ids.shape());
    x = engine::add(x, engine::embedding(types, use_value(*types_), 1, dtype));
  }
  if (embed_norm_) x = embed_norm_(x, dtype);
  return context.dropout.residual > 0 ? engine::dropout(x, context.dropout.residual, *context.rng) : x;
}

// ------------------------------------------------------------------------------------------------- layers

Tensor Transformer::hidden(const Tokens& tokens, const nn::Context& context) const {
  return hidden(tokens, context, precision_.stream);
}

Tensor Transformer::hidden(const Tokens& tokens, const nn::Context& outer, DType dtype,
                           std::vector<Tensor>* auxiliary) const {
  nn::Context context = outer;
  context.key_mask = here(tokens).key_mask;
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
  if (config_.objective != Objective::mlm) return x;
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

Tensor Transformer::loss(const Tensor& hidden, const Tensor& labels_in, const LossOptions& options) const {
  const Tensor labels = labels_in.to(hidden.device());
  if (config_.objective == Objective::classify) {
    const Tensor z = classify(hidden, options);
    if (config_.classes > 1) return engine::cross_entropy(z, labels);
    return engine::squared_error(engine::reshape(z, {z.size(0)}), engine::cast(labels, z.dtype()));
  }
  check(labels.shape() == hidden.shape().leading(), "labels ", labels.shape(), " beside tokens ",
        hidden.shape().leading());
  if (config_.adaptive)
    return adaptive_loss(config_, *parameters_, engine::cast(hidden, precision_.compute), labels,
                         {options.loss_scale, options.dropout, options.rng});
  Tensor x = hidden, scored_labels = labels;
  if (config_.objective == Objective::mlm) {
    // Only masked rows go through the head (about 15 %).
    const Tensor host = labels_in.to(engine::Device::cpu);
    const int32_t* label = host.data<int32_t>();
    std::vector<int32_t> rows, kept;
    for (int64_t i = 0; i < labels.numel(); ++i)
      if (label[i] != engine::kNotScored) rows.push_back(int32_t(i)), kept.push_back(label[i]);
    const int64_t n = int64_t(rows.size());
    x = engine::gather_rows(engine::reshape(engine::contiguous(hidden), {labels.numel(), config_.width}),
                            Tensor::from_ids(rows, {n}).to(hidden.device()));
    scored_labels = Tensor::from_ids(kept, {n}).to(hidden.device());
  }
  return engine::linear_cross_entropy(head_input(x), vocabulary_weight(), nn::use_optional(head_bias_),
                                      scored_labels,
                                      {.softcap = config_.logit_softcap.value_or(0),
                                       .loss_scale = options.loss_scale,
                                       .vocabulary = options.vocabulary});
}

}  // namespace models
