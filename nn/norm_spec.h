// Norm placement as data: which norm, gain and scale stands in which slot of which layer.
//
// A layer is two sublayers, attention and feed-forward; a sublayer is a list of slots, and an empty slot is
// the identity. The text form is what people write on the command line, in JSON and in checkpoints:
//   attn{in=ln out=ln gain=inner} ffn{in=ln mid=ln} final=ln; 0: attn{in=rms} ffn{in=rms}
// The first clause is the default; each further clause is a rule for a range of layers, and later rules win.
// Named placements are in norm_presets.h; docs/norm-book.md draws each of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/json.h"
#include "engine/ops/norm_kind.h"

namespace nn {

using engine::NormKind;
/// What a norm runs over: the whole row; or, for projections, each head (one gain shared by all) or the full
/// width.
enum class NormSpan { row, head, full };

struct Norm {
  NormKind kind = NormKind::none;
  NormSpan span = NormSpan::row;
  std::optional<double> eps;    // ln, rms, l2; without it the model's norm_eps
  bool bias = true;             // ln
  std::optional<double> alpha;  // dyt: initial value, 0.5 without it

  explicit operator bool() const { return kind != NormKind::none; }
  bool has_bias() const { return (kind == NormKind::ln && bias) || kind == NormKind::dyt; }
  bool operator==(const Norm&) const = default;
};

/// A factor: none (1), a constant, or learned with initial `value`. shared: one scalar for both sublayers of
/// a layer.
enum class ScaleKind { none, constant, vector, scalar, shared };
struct Scale {
  ScaleKind kind = ScaleKind::none;
  double value = 1;

  explicit operator bool() const { return kind != ScaleKind::none; }
  bool learned() const { return kind != ScaleKind::none && kind != ScaleKind::constant; }
  bool operator==(const Scale&) const = default;
};

/// Head scale: on the heads' outputs (inner), or on blocks of channels after the output projection (outer).
enum class HeadGain { none, inner, outer };
/// Where the residual is taken from: the stream, or the branch's normed input.
enum class Skip { raw, norm };

/// Norms in the order in which the data meets them, then gains and factors; the text prints them in this
/// order.
struct AttnSlots {
  Norm in, q, k, v, ctx, out, post;
  HeadGain gain = HeadGain::none;
  Scale res, branch;
  Skip skip = Skip::raw;
  bool operator==(const AttnSlots&) const = default;
};
struct FfnSlots {
  Norm in, mid, out, post;
  Scale res, branch;
  Skip skip = Skip::raw;
  bool operator==(const FfnSlots&) const = default;
};
struct LayerSlots {
  AttnSlots attn;
  FfnSlots ffn;
  bool operator==(const LayerSlots&) const = default;
};

/// 5, -1 (from the end) or 25% of the layers.
struct LayerBound {
  int64_t value = 0;
  bool percent = false;
  bool operator==(const LayerBound&) const = default;
};
/// A rule replaces the whole attn{} or ffn{} that it names, in layers [low, high); without high, in layer low
/// alone.
struct LayerRule {
  LayerBound low;
  std::optional<LayerBound> high;
  std::optional<AttnSlots> attn;
  std::optional<FfnSlots> ffn;
  bool operator==(const LayerRule&) const = default;
};

/// How branches join the residual stream. models/parameter_list.h says which parameters each kind brings.
///   plain     y = skip + branch
///   residual  ResiDual: a second stream B = c * embedding + sum of c * branch; the output is A + final(B)
///   b2t       the FFN's join also adds the layer's input
///   ngpt      h <- unit(a + |step| * (unit(branch) - a)) on the unit sphere, no norms
///   parallel  both branches read the layer's input: y = x + attention(x) + ffn(x) (GPT-J's, GPT-NeoX's)
enum class StreamKind { plain, residual, b2t, ngpt, parallel };
struct Stream {
  StreamKind kind = StreamKind::plain;
  double c = 1;  // residual
  bool operator==(const Stream&) const = default;
};

struct NormSpec {
  AttnSlots attn;
  FfnSlots ffn;
  Norm embed, final;
  Stream stream;
  std::string init;  // a name of init_names(), or empty: the model's own rule
  std::vector<LayerRule> rules;
  bool operator==(const NormSpec&) const = default;
};

/// Reads the text form. Errors name the bad word, its column (from 1) and the nearest valid word.
NormSpec parse_norm_spec(std::string_view text);
/// Canonical text: parse_norm_spec(print(spec)) == spec; slots in the order above, defaults left out.
std::string print(const NormSpec& spec);
std::string print(const Norm& norm);
std::string print(const Scale& scale);
std::string print(const LayerRule& rule);

/// {"attn": {"in": "ln", ...}, "ffn": {...}, "final": "ln", "rules": [{"layers": "0..2", "attn": {...}}]}
engine::Json to_json(const NormSpec& spec);
NormSpec norm_spec_from_json(const engine::Json& json);

/// The slots of every layer, rules applied. Errors: a range outside the model; a shared scale with two
/// initial values.
std::vector<LayerSlots> resolve_layers(const NormSpec& spec, int64_t layers);
/// The half-open range of layers that a rule names.
struct LayerSpan {
  int64_t low, high;
};
LayerSpan layer_span(const LayerRule& rule, int64_t layers);

/// The names that init= takes: fairseq, bert, gpt2, ...
const std::vector<std::string>& init_names();

}  // namespace nn
