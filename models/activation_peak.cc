// Read first: activation_peak.h.
#include "models/activation_peak.h"

#include <algorithm>
#include <cmath>

#include "engine/core/block_size.h"
#include "nn/norm_slots.h"

namespace models {
namespace {

/// Tensors of one row a token.
struct Rows {
  double tokens;
  double operator()(double width, int bytes) const {
    return width > 0 ? double(engine::block_size(size_t(std::ceil(tokens * width)) * size_t(bytes))) : 0;
  }
};

template <class Slots>
double norm_inputs(const Slots& slots, const ModelConfig& c, const Rows& rows, int branch) {
  double total = 0;
  for (const auto& row : nn::slot_table<Slots>()) {
    const auto member = std::get_if<nn::Norm Slots::*>(&row.member);
    if (!member || !(slots.*(*member))) continue;
    const std::string_view slot = row.name;
    total += slot == "mid"                  ? rows(double(c.ffn_width), branch)
             : slot == "k" || slot == "v"   ? rows(double(c.kv_width()), branch)
             : slot == "q" || slot == "ctx" ? rows(double(c.q_width()), branch)
                                            : rows(double(c.width), 4);
  }
  return total;
}

/// The feed-forward part's inner width of all experts that a token visits.
double inner_width(const ModelConfig& c) {
  return double(c.ffn_width * (c.experts > 0 ? c.experts_per_token : 1));
}

/// nGPT's own: q, k, up and gate before their scales, q and k also before they are made unit vectors; of each
/// step on the sphere the branch, the way to it and their sum.
double kept_on_sphere(const ModelConfig& c, const MicroStep& s, const Rows& rows, int branch) {
  double kept = 6 * rows(double(c.width), 4) + 2 * rows(double(c.q_width()), branch) +
                2 * rows(double(c.kv_width()), branch) + 2 * rows(inner_width(c), branch);
  if (s.half) kept += rows(double(c.width), 4);  // the stream, beside what the products read
  return kept;
}

double kept_by_layer(const ModelConfig& c, const nn::LayerSlots& slots, const MicroStep& s, const Rows& rows,
                     int branch) {
  const bool recomputes_activation =
      c.experts == 0 && !s.activation_dropout && c.norms.stream.kind != nn::StreamKind::ngpt;
  const int inner = nn::is_glu(c.activation) ? 3 : recomputes_activation ? 1 : 2;
  // the inputs of both branches; queries, keys, values, attention's output and log-sum-exp
  double kept = 2 * rows(double(c.width), branch) + 2 * rows(double(c.q_width()), branch) +
                2 * rows(double(c.kv_width()), branch) + rows(double(c.heads), 4) +
                inner * rows(inner_width(c), branch);
  if (c.positions == nn::Positions::rope) {  // before they were turned, since values keep the whole product
    if (!slots.attn.q) kept += rows(double(c.q_width()), branch);
    if (!slots.attn.k) kept += rows(double(c.kv_width()), branch);
  }
  if (c.experts > 0)  // probabilities; what experts read, and what they give before it is weighted
    kept += rows(double(c.experts), 4) + 2 * rows(double(c.width * c.experts_per_token), branch);
  if (c.norms.stream.kind == nn::StreamKind::ngpt) kept += kept_on_sphere(c, s, rows, branch);
  if (s.half) kept += rows(double(c.width), 4);  // a branch's output, widened for the stream
  return kept + norm_inputs(slots.attn, c, rows, branch) + norm_inputs(slots.ffn, c, rows, branch);
}

/// Gradients of a feed-forward part's inner tensors (and the activation again), and of the stream.
double backward_of_layer(const ModelConfig& c, const Rows& rows, int branch) {
  // On nGPT's sphere three tensors of the step behind the feed-forward part are gone by then.
  const int of_stream = c.norms.stream.kind == nn::StreamKind::ngpt ? -1 : 2;
  return (nn::is_glu(c.activation) ? 3 : 2) * rows(inner_width(c), branch) +
         of_stream * rows(double(c.width), 4);
}

/// The head's logits exist in chunks (engine/ops/loss.cc): as many rows as the weight is wide, or 64 MiB if
/// more.
double head_at_work(const ModelConfig& c, const Rows& scored) {
  if (c.objective == Objective::classify) return 0;
  double classes = double(std::max<int64_t>(c.vocab_size, 1));
  if (c.adaptive) {  // the largest band
    int64_t begin = 0, largest = 0;
    for (int64_t i = 0; i < c.bands(); ++i) {
      const int64_t end = i + 1 < c.bands() ? c.adaptive->cutoffs[size_t(i)] : c.vocab_size;
      largest = std::max(largest, end - begin), begin = end;
    }
    classes = double(largest);
  }
  const double most = std::max(double(c.width), std::floor(double(1 << 24) / classes));
  const double rows = std::max(1.0, std::ceil(scored.tokens / std::ceil(scored.tokens / most)));
  double bytes = Rows{rows}(classes, 4) + 3 * scored(double(c.width), 4);
  if (c.norms.stream.kind == nn::StreamKind::ngpt)
    bytes += 2 * Rows{classes}(double(c.width), 4);  // scaled weights
  return bytes;
}

}  // namespace

double activation_peak(const ModelConfig& c, const MicroStep& s) {
  const Rows rows{double(s.batch) * double(s.context)};
  const int branch = s.half ? 2 : 4;
  // The embeddings, and what the head reads: without a final norm that is what the last layer kept.
  double kept = (c.norms.final ? 2 : 1) * rows(double(c.width), 4), largest = 0;
  if (c.embed_width > 0) kept += 2 * rows(double(c.embed_width), branch);
  for (const nn::LayerSlots& slots : nn::resolve_layers(c.norms, c.layers)) {
    const double layer = kept_by_layer(c, slots, s, rows, branch);
    kept += s.recompute ? rows(double(c.width), 4) : layer;
    largest = std::max(largest, layer);
  }
  double work = backward_of_layer(c, rows, branch);
  if (s.recompute) work += largest;
  // Packed blocks of products, sums of parts: no more than some MiB, whatever the model.
  const double scratch = std::min(double(4 << 20), 1.6 * rows(double(c.width), 4));
  return kept + std::max(work, head_at_work(c, {std::max(1.0, s.scored * rows.tokens)})) + scratch;
}

}  // namespace models
