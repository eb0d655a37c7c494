// Names, shapes and groups of a model's parameters: the single source for constructors, files and counts.
//
// Nothing is allocated. The order is that of docs and files: embeddings, layers, final norm, heads. Matrices
// are [out, in]. What the streams of nn::StreamKind bring beside the slots' parameters:
//   plain, b2t, parallel   nothing
//   residual     nothing: final_norm is the norm of its second stream
//   ngpt         layers.N.{attn,ffn}.step [d], layers.N.attn.qk_scale [h*dh], layers.N.ffn.uv_scale [2f] (up,
//   then
//                gate), head.logit_scale [V]; stored as ngpt_stored() says
// Read first: config.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "models/config.h"
#include "nn/parameters.h"

namespace models {

using nn::ParameterGroup;
inline constexpr std::array<const char*, 5> parameter_group_names = {"matrix", "embedding", "norm", "bias",
                                                                     "gain"};

struct ParameterInfo {
  std::string name;
  std::vector<int64_t> shape;  // empty: a scalar
  ParameterGroup group;
  std::optional<double> initial;  // a constant where no init rule chooses: norms, gains, scales

  int64_t count() const;
};

std::vector<ParameterInfo> parameter_list(const ModelConfig& config);
int64_t parameter_count(const ModelConfig& config);

/// nGPT stores a scale of effective initial value v at s, so that Adam's step suits it: effective = stored *
/// v / s (arXiv 2410.01131, section 2.5).
struct NgptScale {
  double effective, stored;
};
enum class NgptParameter { step, qk_scale, uv_scale, logit_scale };
NgptScale ngpt_stored(NgptParameter parameter, int64_t width);

}  // namespace models
