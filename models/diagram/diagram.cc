// From slots to boxes. Read first: diagram.h.
#include "models/diagram/diagram.h"

#include <cstdio>

#include "nn/norm_slots.h"

namespace models {
namespace {

std::string norm_label(const nn::Norm& norm) {
  static const char* const names[] = {"", "LayerNorm", "RMSNorm", "DyT", "L2 norm"};
  std::string label = names[size_t(norm.kind)];
  if (norm.span == nn::NormSpan::head) label += " per head";
  if (norm.span == nn::NormSpan::full) label += " full width";
  return label;
}

void add_norm(std::vector<Box>& boxes, const nn::Norm& norm, const std::string& slot) {
  if (norm) boxes.push_back({BoxKind::norm, norm_label(norm), slot + "=" + print(norm)});
}

/// A constant in four digits: the slot beside the box has all of them.
std::string short_number(double value) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.4g", value);
  return digits;
}

void add_scale(std::vector<Box>& boxes, const nn::Scale& scale, const std::string& slot,
               const std::string& symbol) {
  if (!scale) return;
  const std::string shape = scale.kind == nn::ScaleKind::vector ? " (vector)" : "";
  boxes.push_back({BoxKind::scale, "× " + (scale.learned() ? symbol + shape : short_number(scale.value)),
                   slot + "=" + print(scale)});
}

/// Equal norms on several of q, k and v share a box.
void add_projection_norms(std::vector<Box>& boxes, const nn::AttnSlots& a) {
  struct Projection {
    const char* name;
    nn::Norm norm;
  };
  std::vector<Projection> left;
  for (const Projection& p : {Projection{"q", a.q}, Projection{"k", a.k}, Projection{"v", a.v}})
    if (p.norm) left.push_back(p);
  while (!left.empty()) {
    const nn::Norm norm = left.front().norm;
    std::string names;
    std::vector<Projection> others;
    for (const Projection& p : left) {
      if (p.norm != norm) {
        others.push_back(p);
        continue;
      }
      names += (names.empty() ? "" : ", ") + std::string(p.name);
    }
    boxes.push_back({BoxKind::norm, norm_label(norm) + ": " + names, names + " = " + print(norm)});
    left = others;
  }
}

SublayerPicture attention_picture(const ModelConfig& c, const nn::AttnSlots& a) {
  const bool sphere = c.norms.stream.kind == nn::StreamKind::ngpt;
  SublayerPicture s;
  s.name = "attention";
  add_norm(a.skip == nn::Skip::norm ? s.before : s.branch, a.in,
           a.skip == nn::Skip::norm ? "skip=norm in" : "in");
  s.branch.push_back({BoxKind::map, "W q, k, v", ""});
  add_projection_norms(s.branch, a);
  if (sphere) s.branch.push_back({BoxKind::scale, "q, k: unit length × s", ""});
  s.branch.push_back({BoxKind::core, c.causal() ? "causal attention" : "attention", ""});
  if (a.gain == nn::HeadGain::inner) s.branch.push_back({BoxKind::scale, "× γ of each head", "gain=inner"});
  add_norm(s.branch, a.ctx, "ctx");
  s.branch.push_back({BoxKind::map, "W out", ""});
  if (a.gain == nn::HeadGain::outer) s.branch.push_back({BoxKind::scale, "× γ of each block", "gain=outer"});
  add_norm(s.branch, a.out, "out");
  add_scale(s.branch, a.branch, "branch", "s");
  add_scale(s.beside, a.res, "res", "λ");
  add_norm(s.after, a.post, "post");
  return s;
}

SublayerPicture ffn_picture(const ModelConfig& c, const nn::FfnSlots& f) {
  const bool sphere = c.norms.stream.kind == nn::StreamKind::ngpt;
  const bool gated = nn::is_glu(c.activation);
  SublayerPicture s;
  s.name = c.experts > 0
               ? std::to_string(c.experts) + " experts, " + std::to_string(c.experts_per_token) + " a token"
               : "feed-forward";
  add_norm(f.skip == nn::Skip::norm ? s.before : s.branch, f.in,
           f.skip == nn::Skip::norm ? "skip=norm in" : "in");
  if (c.experts > 0)
    s.branch.push_back({BoxKind::map, "router, top " + std::to_string(c.experts_per_token), ""});
  s.branch.push_back({BoxKind::map, gated ? "W up, gate" : "W up", ""});
  if (sphere) s.branch.push_back({BoxKind::scale, "× s of up, gate", ""});
  s.branch.push_back({BoxKind::core, nn::activation_names[size_t(c.activation)], ""});
  add_norm(s.branch, f.mid, "mid");
  s.branch.push_back({BoxKind::map, "W down", ""});
  add_norm(s.branch, f.out, "out");
  add_scale(s.branch, f.branch, "branch", "s");
  add_scale(s.beside, f.res, "res", "λ");
  add_norm(s.after, f.post, "post");
  return s;
}

/// What streams other than the plain one do where a branch joins.
void apply_stream(const nn::Stream& stream, SublayerPicture& attn, SublayerPicture& ffn) {
  const std::string c = stream.c == 1 ? "" : print(nn::Scale{nn::ScaleKind::constant, stream.c}) + " ";
  switch (stream.kind) {
    case nn::StreamKind::plain: return;
    case nn::StreamKind::residual: attn.join = ffn.join = "B += " + c + "branch"; return;
    case nn::StreamKind::b2t: ffn.join = "+ layer input"; return;
    case nn::StreamKind::parallel: ffn.join = "+ branch of the layer's input"; return;
    case nn::StreamKind::ngpt:
      for (SublayerPicture* s : {&attn, &ffn}) {
        s->branch.push_back({BoxKind::norm, "unit length", ""});
        s->join = "unit(h + |α|(b − h))";
      }
      return;
  }
}

}  // namespace

Picture make_picture(const ModelConfig& config) {
  Picture picture;
  picture.first.push_back({BoxKind::map, config.adaptive ? "adaptive embeddings" : "embeddings", ""});
  add_norm(picture.first, config.norms.embed, "embed");
  const std::vector<nn::LayerSlots> layers = nn::resolve_layers(config.norms, config.layers);
  for (size_t low = 0, high; low < layers.size(); low = high) {
    for (high = low + 1; high < layers.size() && layers[high] == layers[low]; ++high) {
    }
    PanelPicture panel{int64_t(low), int64_t(high), attention_picture(config, layers[low].attn),
                       ffn_picture(config, layers[low].ffn)};
    apply_stream(config.norms.stream, panel.attn, panel.ffn);
    picture.panels.push_back(panel);
  }
  const bool two = config.norms.stream.kind == nn::StreamKind::residual;
  if (config.norms.final)
    picture.last.push_back(
        {BoxKind::norm,
         two ? "A + " + norm_label(config.norms.final) + "(B)" : norm_label(config.norms.final),
         "final=" + print(config.norms.final)});
  static const char* const heads[] = {"vocabulary head", "MLM head", "classifier"};
  picture.last.push_back(
      {BoxKind::map, config.adaptive ? "adaptive softmax" : heads[size_t(config.objective)], ""});
  return picture;
}

size_t text_width(const std::string& text) {
  size_t width = 0;
  for (unsigned char c : text) width += (c & 0xC0) != 0x80;
  return width;
}

}  // namespace models
