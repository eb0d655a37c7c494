// Read first: flops.h.
#include "models/flops.h"

#include <algorithm>

#include "models/parameter_list.h"
#include "nn/norm_slots.h"

namespace models {
namespace {

/// Parameters that multiply a token's row: matrices (experts: the share that a token visits), and the tied
/// head.
int64_t active_matrix_parameters(const ModelConfig& c) {
  int64_t total = 0;
  for (const ParameterInfo& p : parameter_list(c)) {
    const bool band_head =
        c.adaptive && p.name.starts_with("embed.bands.") && p.group == ParameterGroup::embedding;
    if (p.group != ParameterGroup::matrix && !band_head) continue;
    const bool routed = p.name.find(".experts.") != std::string::npos;
    total += routed ? p.count() / c.experts * c.experts_per_token : p.count();
  }
  const bool tied_head = c.tied && !c.adaptive && c.objective != Objective::classify;
  return total + (tied_head ? c.vocab_size * c.word_width() : 0);
}

template <class Slots>
int64_t saved_by_norms(const Slots& slots, const ModelConfig& c) {
  int64_t total = 0;
  for (const auto& row : nn::slot_table<Slots>()) {
    const auto member = std::get_if<nn::Norm Slots::*>(&row.member);
    if (!member || !(slots.*(*member))) continue;
    const std::string_view slot = row.name;
    total += slot == "mid"                  ? c.ffn_width
             : slot == "k" || slot == "v"   ? c.kv_width()
             : slot == "q" || slot == "ctx" ? c.q_width()
                                            : c.width;
  }
  return total;
}

}  // namespace

FlopsPerToken flops_per_token(const ModelConfig& config, int64_t context) {
  FlopsPerToken flops;
  flops.matrix_parameters = active_matrix_parameters(config);
  flops.matrices = 6 * double(flops.matrix_parameters);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    const int64_t window = config.window_of(layer);
    const double keys = double(window > 0 ? std::min(window, context) : context);
    flops.attention += 12 * double(config.q_width()) * keys;
    flops.attention_causal += 12 * double(config.q_width()) * keys * (1 - keys / double(2 * context));
  }
  return flops;
}

int64_t saved_per_token(const ModelConfig& c, const nn::LayerSlots& slots, bool activation_dropout) {
  const int64_t attention_kernel =
      c.q_width() + 2 * c.kv_width() + c.q_width() + c.heads;  // q, k, v, its output, log-sum-exp
  int64_t attention = c.width + attention_kernel;              // and the input of W_qkv
  if (c.positions == nn::Positions::rope)  // before they were turned, since values keep the whole product
    attention += (slots.attn.q ? 0 : c.q_width()) + (slots.attn.k ? 0 : c.kv_width());
  const int64_t visits = std::max<int64_t>(c.experts_per_token, 1);
  // up, gate and their product; without a gate the pre-activation alone where the norm behind it, or the
  // second product, takes that
  const bool recomputed =
      c.experts == 0 && !activation_dropout && c.norms.stream.kind != nn::StreamKind::ngpt;
  const int64_t hidden = (nn::is_glu(c.activation) ? 3 : recomputed ? 1 : 2) * c.ffn_width;
  const int64_t ffn = c.width + visits * hidden + (c.experts > 0 ? c.experts + 2 * visits * c.width : 0);
  // nGPT's: both sides of scales and units, and of each step the branch, the way to it and their sum
  const int64_t sphere = c.norms.stream.kind == nn::StreamKind::ngpt
                             ? 6 * c.width + 2 * (c.q_width() + c.kv_width()) + 2 * c.ffn_width
                             : 0;
  return sphere + attention + ffn + saved_by_norms(slots.attn, c) + saved_by_norms(slots.ffn, c);
}

MemoryPlan memory_plan(const ModelConfig& config, int64_t batch, int64_t context, int bytes,
                       bool activation_dropout) {
  const double n = double(parameter_count(config)), tokens = double(batch) * double(context);
  double saved = double(config.width) * 2;  // the embeddings and what the head reads
  for (const nn::LayerSlots& slots : nn::resolve_layers(config.norms, config.layers))
    saved += double(saved_per_token(config, slots, activation_dropout));
  return {4 * n, 4 * n, 8 * n, saved * tokens * bytes};
}

}  // namespace models
