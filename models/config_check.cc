// What no model can be: sizes that do not divide, choices that exclude each other, more parameters than any
// machine holds. Read first: config.h.
#include <cmath>
#include <set>

#include "engine/base/check.h"
#include "models/config.h"

namespace models {
namespace {

using engine::check;

constexpr int64_t most_layers = 4096, most_experts = 4096, widest = int64_t(1) << 20,
                  most_heads = int64_t(1) << 14;
constexpr double most_parameters = 1e13;

void check_sizes(const ModelConfig& c) {
  const auto positive = [](const char* name, int64_t value, int64_t most) {
    check(value >= 1 && value <= most, "model: ", name, " ", value, " is outside [1, ", most, "]");
  };
  positive("vocab_size", c.vocab_size, int64_t(1) << 26);
  positive("context", c.context, int64_t(1) << 26);
  positive("layers", c.layers, most_layers);
  positive("width", c.width, widest);
  positive("embed_width", c.word_width(), widest);
  positive("heads", c.heads, most_heads);
  positive("kv_heads", c.kv_heads, most_heads);
  positive("head_dim", c.head_dim, widest);
  positive("ffn_width", c.ffn_width, widest * 4);
  check(c.heads % c.kv_heads == 0, "model: kv_heads ", c.kv_heads, " must divide heads ", c.heads);
  check(c.heads * c.head_dim <= widest, "model: heads * head_dim = ", c.heads * c.head_dim, " is above ",
        widest);

  // An upper bound in floating point, so that nothing can overflow before the refusal.
  const double d = double(c.width), f = double(c.ffn_width), V = double(c.vocab_size);
  const double attention = d * double(2 * c.heads + 2 * c.kv_heads) * double(c.head_dim);
  const double ffn = 3 * d * f * double(std::max<int64_t>(c.experts, 1));
  const double total =
      double(c.layers) * (attention + ffn) + 2 * V * double(c.word_width()) + double(c.context) * d;
  check(total <= most_parameters, "model: about ", total, " parameters; at most ", most_parameters,
        " are possible");
}

void check_numbers(const ModelConfig& c) {
  check(c.norm_eps > 0 && c.norm_eps <= 1, "model: norm_eps ", c.norm_eps, " is outside (0, 1]");
  check(c.rope_theta > 0 && c.rope_theta <= 1e12, "model: rope_theta ", c.rope_theta,
        " is outside (0, 1e12]");
  check(c.embed_scale != 0 && std::fabs(c.embed_scale) <= 1e6, "model: embed_scale ", c.embed_scale,
        " must not be 0 nor beyond 1e6");
  check(std::fabs(c.gain_offset) <= 1e6, "model: gain_offset ", c.gain_offset, " is beyond 1e6");
  check(!c.attn_scale || (*c.attn_scale > 0 && *c.attn_scale <= 1e6),
        "model: attn_scale must be in (0, 1e6]");
  check(!c.attn_softcap || (*c.attn_softcap > 0 && *c.attn_softcap <= 1e6),
        "model: attn_softcap must be in (0, 1e6]");
  check(!c.logit_softcap || (*c.logit_softcap > 0 && *c.logit_softcap <= 1e6),
        "model: logit_softcap must be in (0, 1e6]");
}

void check_positions(const ModelConfig& c) {
  if (c.positions == nn::Positions::rope) {
    check(c.head_dim % 2 == 0,
          "model: positions rope turns pairs of channels, so head_dim must be even, got ", c.head_dim);
    check(c.rope_width % 2 == 0 && c.rope_width >= 2 && c.rope_width <= c.head_dim, "model: rope_width ",
          c.rope_width, " must be even and at most head_dim ", c.head_dim);
    check(!c.rope_scaling || c.rope_scaling->kind != RopeKind::yarn || c.rope_theta > 1,
          "model: rope_scaling yarn needs a rope_theta above 1, got ", c.rope_theta);
    rope_angles(c, false), rope_angles(c, true);  // as many factors as pairs
  } else {
    check(c.rope_width == c.head_dim, "model: rope_width ", c.rope_width, " needs positions rope");
    check(!c.rope_scaling, "model: rope_scaling needs positions rope");
  }
  if (c.positions == nn::Positions::sinusoidal)
    check(c.width % 2 == 0 && c.width >= 4,
          "model: positions sinusoidal needs an even width of at least 4, got ", c.width);
  check(c.position_offset >= 0 && c.position_offset <= 65536, "model: position_offset ", c.position_offset,
        " is outside [0, 65536]");
  check(c.longest_row == 0 || c.context <= c.longest_row, "model: context ", c.context,
        " is above longest_row ", c.longest_row);
  check(c.token_types >= 0 && c.token_types <= 65536, "model: token_types ", c.token_types,
        " is outside [0, 65536]");
}

void check_windows(const ModelConfig& c) {
  check(c.window == 0 || c.causal(), "model: window ", c.window, " needs objective clm");
  check(c.window_layers.empty() || c.window > 0, "model: window_layers needs a window");
  for (size_t i = 0; i < c.window_layers.size(); ++i) {
    const int64_t layer = c.window_layers[i];
    check(layer >= 0 && layer < c.layers && (i == 0 || layer > c.window_layers[i - 1]),
          "model: window_layers must rise within [0, layers ", c.layers, "), got ", layer);
  }
}

void check_experts(const ModelConfig& c, const std::vector<nn::LayerSlots>& layers) {
  check(c.experts >= 0 && c.experts <= most_experts, "model: experts ", c.experts, " is outside [0, ",
        most_experts, "]");
  if (c.experts == 0) {
    check(c.experts_per_token == 0, "model: experts_per_token ", c.experts_per_token, " needs experts");
    check(!c.router_normalize, "model: router_normalize needs experts");
    return;
  }
  check(c.experts_per_token >= 1 && c.experts_per_token <= c.experts, "model: experts_per_token ",
        c.experts_per_token, " is outside [1, experts ", c.experts, "]");
  for (size_t i = 0; i < layers.size(); ++i)
    check(!layers[i].ffn.mid, "model: layer ", i,
          " has a mid norm, which a mixture of experts does not (ffn{mid=", print(layers[i].ffn.mid), "})");
}

void check_adaptive(const ModelConfig& c) {
  if (!c.adaptive) return;
  const Adaptive& a = *c.adaptive;
  check(c.objective == Objective::clm, "model: adaptive is for objective clm");
  check(c.tied, "model: adaptive ties its embeddings and softmax; tied cannot be false");
  check(!a.cutoffs.empty(), "model: adaptive.cutoffs is empty");
  check(a.factor >= 1, "model: adaptive.factor ", a.factor, " must be at least 1");
  int64_t before = 0, width = c.width;
  for (int64_t cutoff : a.cutoffs) {
    check(cutoff > before && cutoff < c.vocab_size,
          "model: adaptive.cutoffs must rise within (0, vocab_size ", c.vocab_size, "), got ", cutoff,
          " after ", before);
    check(width % a.factor == 0 && width / a.factor >= 1, "model: adaptive.factor ", a.factor,
          " must divide width ", c.width, " once for each cutoff");
    before = cutoff, width /= a.factor;
  }
}

void check_embed_width(const ModelConfig& c) {
  if (c.embed_width == 0) return;
  check(c.objective == Objective::clm && !c.adaptive && c.norms.stream.kind != nn::StreamKind::ngpt,
        "model: embed_width ", c.embed_width, " beside width ", c.width,
        " is for objective clm, without adaptive softmax and stream=ngpt");
}

void check_ngpt(const ModelConfig& c) {
  if (c.norms.stream.kind != nn::StreamKind::ngpt) return;
  check(nn::is_glu(c.activation),
        "model: stream=ngpt scales up and gate, so it needs a gated activation (swiglu), got ",
        nn::activation_names[size_t(c.activation)]);
  check(c.experts == 0, "model: stream=ngpt has no mixture of experts");
  check(c.kv_heads == c.heads,
        "model: stream=ngpt scales q and k by one vector, so kv_heads must equal heads");
  check(!c.adaptive, "model: stream=ngpt has no adaptive softmax");
}

void check_head(const ModelConfig& c) {
  if (c.objective == Objective::classify)
    check(c.classes >= 1 && c.classes <= 65536, "model: objective classify needs classes in [1, 65536], got ",
          c.classes);
  else
    check(c.classes == 0, "model: classes ", c.classes, " needs objective classify");
  if (!c.class_names.empty()) {
    check(c.classes > 1 && int64_t(c.class_names.size()) == c.classes, "model: ", c.class_names.size(),
          " class_names for ", c.classes, " classes");
    std::set<std::string> names;
    for (const std::string& name : c.class_names)
      check(!name.empty() && name.size() <= 255 && names.insert(name).second,
            "model: class_names must be different texts of 1 to 255 bytes, got \"", name.substr(0, 40), "\"");
  }
  check(c.tokenizer.size() <= 255 && c.tokenizer.find('/') == std::string::npos && c.tokenizer != "..",
        "model: tokenizer must be a file name of the model directory, without folders");
}

}  // namespace

ModelConfig checked(ModelConfig c) {
  if (c.kv_heads == 0) c.kv_heads = c.heads;
  if (c.head_dim == 0 && c.heads > 0) {
    check(c.width % c.heads == 0, "model: heads ", c.heads, " must divide width ", c.width,
          " (or set head_dim)");
    c.head_dim = c.width / c.heads;
  }
  if (c.rope_width == 0) c.rope_width = c.head_dim;
  if (c.embed_width == c.width) c.embed_width = 0;
  check_sizes(c);
  check_numbers(c);
  check_positions(c);
  check_windows(c);
  if (int64_t(c.window_layers.size()) == c.layers) c.window_layers.clear();
  const std::vector<nn::LayerSlots> layers = nn::resolve_layers(c.norms, c.layers);
  for (size_t i = 0; i < layers.size(); ++i)
    check(layers[i].attn.gain != nn::HeadGain::outer || c.width % c.heads == 0, "model: layer ", i,
          " has gain=outer, which scales blocks of width / heads channels, but heads ", c.heads,
          " does not divide width ", c.width);
  check_experts(c, layers);
  check_adaptive(c);
  check_embed_width(c);
  check_ngpt(c);
  check_head(c);
  return c;
}

}  // namespace models
