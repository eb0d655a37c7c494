// Read first: norm.h, engine/ops/norm.h.
#include "nn/norm.h"

namespace nn {
namespace {

engine::NormKind engine_kind(NormKind kind) {
  switch (kind) {
    case NormKind::ln: return engine::NormKind::ln;
    case NormKind::rms: return engine::NormKind::rms;
    case NormKind::dyt: return engine::NormKind::dyt;
    case NormKind::l2: return engine::NormKind::l2;
    case NormKind::none: break;
  }
  return engine::NormKind::none;
}

}  // namespace

NormLayer::NormLayer(const Norm& spec, const Scope& scope, const NormDefaults& defaults, int64_t heads)
    : spec_(spec), eps_(spec.eps.value_or(defaults.eps)), gain_offset_(defaults.gain_offset) {
  if (!spec) return;
  weight_ = scope.get("weight");
  if (spec.has_bias()) bias_ = scope.get("bias");
  if (spec.kind == NormKind::dyt) alpha_ = scope.get("alpha");
  if (spec.span == NormSpan::head) groups_ = heads;
}

engine::NormArguments NormLayer::arguments() const {
  return {.kind = engine_kind(spec_.kind),
          .weight = use(*weight_),
          .bias = use_optional(bias_),
          .alpha = use_optional(alpha_),
          .eps = eps_,
          .gain_offset = gain_offset_,
          .groups = groups_};
}

}  // namespace nn
