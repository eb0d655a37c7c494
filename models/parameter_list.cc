// Walks the slot tables and the config. Read first: parameter_list.h, nn/norm_slots.h.
#include "models/parameter_list.h"

#include <cmath>

#include "nn/norm_slots.h"

namespace models {
namespace {

using Group = ParameterGroup;
using Shape = std::vector<int64_t>;

class Lister {
 public:
  explicit Lister(const ModelConfig& config) : c_(config) {}

  std::vector<ParameterInfo> list() {
    embeddings();
    const std::vector<nn::LayerSlots> layers = nn::resolve_layers(c_.norms, c_.layers);
    for (size_t i = 0; i < layers.size(); ++i) layer("layers." + std::to_string(i), layers[i]);
    if (c_.norms.final) norm("final_norm", c_.norms.final, c_.width);
    heads();
    return std::move(list_);
  }

 private:
  void add(const std::string& name, Shape shape, Group group, std::optional<double> initial = {}) {
    list_.push_back({name, std::move(shape), group, initial});
  }
  void linear(const std::string& name, int64_t out, int64_t in, bool bias) {
    add(name + ".weight", {out, in}, Group::matrix);
    if (bias) add(name + ".bias", {out}, Group::bias);
  }
  void norm(const std::string& name, const nn::Norm& norm, int64_t width) {
    const int64_t n = norm.span == nn::NormSpan::head ? c_.head_dim : width;
    add(name + ".weight", {n}, Group::norm, 1 - c_.gain_offset);
    if (norm.has_bias()) add(name + ".bias", {n}, Group::norm, 0);
    if (norm.kind == nn::NormKind::dyt) add(name + ".alpha", {}, Group::norm, norm.alpha.value_or(0.5));
  }
  void scale(const std::string& name, const nn::Scale& scale) {
    if (scale.kind == nn::ScaleKind::vector) add(name, {c_.width}, Group::gain, scale.value);
    if (scale.kind == nn::ScaleKind::scalar) add(name, {}, Group::gain, scale.value);
  }

  void embeddings() {
    if (c_.adaptive) {
      int64_t first = 0, width = c_.width;
      for (int64_t b = 0; b < c_.bands(); ++b, width /= c_.adaptive->factor) {
        const int64_t last = b + 1 < c_.bands() ? c_.adaptive->cutoffs[size_t(b)] : c_.vocab_size;
        const std::string band = "embed.bands." + std::to_string(b);
        add(band + ".weight", {last - first, width}, Group::embedding);
        linear(band + ".projection", c_.width, width, false);
        first = last;
      }
    } else {
      add("embed.tokens.weight", {c_.vocab_size, c_.word_width()}, Group::embedding);
      if (c_.embed_width > 0) linear("embed.projection", c_.width, c_.embed_width, false);
    }
    if (c_.positions == nn::Positions::learned)
      add("embed.positions.weight", {c_.context + c_.position_offset, c_.width}, Group::embedding);
    if (c_.token_types > 0) add("embed.types.weight", {c_.token_types, c_.width}, Group::embedding);
    if (c_.norms.embed) norm("embed.norm", c_.norms.embed, c_.width);
  }

  void layer(const std::string& name, const nn::LayerSlots& slots) {
    attention(name + ".attn", slots.attn);
    ffn(name + ".ffn", slots.ffn);
    const nn::Scale& a = slots.attn.branch;
    const nn::Scale& f = slots.ffn.branch;
    if (a.kind == nn::ScaleKind::shared)
      add(name + ".branch_scale", {}, Group::gain, a.value);
    else if (f.kind == nn::ScaleKind::shared)
      add(name + ".branch_scale", {}, Group::gain, f.value);
  }

  /// Every norm of a sublayer, in the order of the slot table; width_of(slot) is what it runs over.
  template <class Slots, class Width>
  void norms(const std::string& name, const Slots& slots, Width width_of) {
    for (const auto& row : nn::slot_table<Slots>())
      if (const auto member = std::get_if<nn::Norm Slots::*>(&row.member); member && slots.*(*member))
        norm(name + "." + row.name + "_norm", slots.*(*member), width_of(std::string_view(row.name)));
  }

  void attention(const std::string& name, const nn::AttnSlots& slots) {
    norms(name, slots, [&](std::string_view slot) {
      if (slot == "q" || slot == "ctx") return c_.q_width();
      return slot == "k" || slot == "v" ? c_.kv_width() : c_.width;
    });
    linear(name + ".qkv", c_.q_width() + 2 * c_.kv_width(), c_.width, c_.bias.qkv);
    linear(name + ".out", c_.width, c_.q_width(), c_.bias.out);
    if (slots.gain != nn::HeadGain::none) add(name + ".head_gain", {c_.heads}, Group::gain, 1);
    if (ngpt()) add(name + ".qk_scale", {c_.q_width()}, Group::gain, stored(NgptParameter::qk_scale));
    stream_scales(name, slots.res, slots.branch);
  }

  void ffn(const std::string& name, const nn::FfnSlots& slots) {
    norms(name, slots, [&](std::string_view slot) { return slot == "mid" ? c_.ffn_width : c_.width; });
    const bool gated = nn::is_glu(c_.activation);
    if (c_.experts > 0) {
      add(name + ".router.weight", {c_.experts, c_.width}, Group::matrix);
      add(name + ".experts.up.weight", {c_.experts, c_.ffn_width, c_.width}, Group::matrix);
      if (gated) add(name + ".experts.gate.weight", {c_.experts, c_.ffn_width, c_.width}, Group::matrix);
      add(name + ".experts.down.weight", {c_.experts, c_.width, c_.ffn_width}, Group::matrix);
    } else {
      linear(name + ".up", c_.ffn_width, c_.width, c_.bias.ffn);
      if (gated) linear(name + ".gate", c_.ffn_width, c_.width, c_.bias.ffn);
      linear(name + ".down", c_.width, c_.ffn_width, c_.bias.ffn);
    }
    if (ngpt()) add(name + ".uv_scale", {2 * c_.ffn_width}, Group::gain, stored(NgptParameter::uv_scale));
    stream_scales(name, slots.res, slots.branch);
  }

  void stream_scales(const std::string& name, const nn::Scale& res, const nn::Scale& branch) {
    scale(name + ".res_scale", res);
    scale(name + ".branch_scale", branch);
    if (ngpt()) add(name + ".step", {c_.width}, Group::gain, stored(NgptParameter::step));
  }

  void heads() {
    if (c_.objective == Objective::classify) {
      linear("classify.dense", c_.width, c_.width, true);
      linear("classify.out", c_.classes, c_.width, true);
      return;
    }
    if (c_.adaptive) add("head.clusters.weight", {c_.bands() - 1, c_.width}, Group::matrix);
    if (c_.embed_width > 0) linear("head.projection", c_.embed_width, c_.width, false);
    if (!c_.tied) add("head.weight", {c_.vocab_size, c_.word_width()}, Group::matrix);
    if (c_.objective == Objective::mlm) {
      linear("mlm.dense", c_.width, c_.width, true);
      norm("mlm.norm", nn::Norm{nn::NormKind::ln}, c_.width);
      add("head.bias", {c_.vocab_size}, Group::bias);
    }
    if (ngpt()) add("head.logit_scale", {c_.vocab_size}, Group::gain, stored(NgptParameter::logit_scale));
  }

  bool ngpt() const { return c_.norms.stream.kind == nn::StreamKind::ngpt; }
  double stored(NgptParameter parameter) const { return ngpt_stored(parameter, c_.width).stored; }

  const ModelConfig& c_;
  std::vector<ParameterInfo> list_;
};

}  // namespace

int64_t ParameterInfo::count() const {
  int64_t n = 1;
  for (int64_t size : shape) n *= size;
  return n;
}

std::vector<ParameterInfo> parameter_list(const ModelConfig& config) { return Lister(config).list(); }

int64_t parameter_count(const ModelConfig& config) {
  int64_t total = 0;
  for (const ParameterInfo& p : parameter_list(config)) total += p.count();
  return total;
}

NgptScale ngpt_stored(NgptParameter parameter, int64_t width) {
  const double small = 1 / std::sqrt(double(width));
  switch (parameter) {
    case NgptParameter::step: return {0.05, small};
    case NgptParameter::qk_scale: return {1, small};
    case NgptParameter::uv_scale: return {1, 1};
    case NgptParameter::logit_scale: return {1, small};
  }
  return {1, 1};
}

}  // namespace models
