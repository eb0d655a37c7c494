// Read first: norm.h, engine/ops/norm.h.
#include "nn/norm.h"

namespace nn {
NormLayer::NormLayer(const Norm& spec, const Scope& scope, const NormDefaults& defaults, int64_t heads)
    : spec_(spec), eps_(spec.eps.value_or(defaults.eps)), gain_offset_(defaults.gain_offset) {
  if (!spec) return;
  weight_ = scope.get("weight");
  if (spec.has_bias()) bias_ = scope.get("bias");
  if (spec.kind == NormKind::dyt) alpha_ = scope.get("alpha");
  if (spec.span == NormSpan::head) groups_ = heads;
}

engine::NormArguments NormLayer::arguments() const {
  return {.kind = spec_.kind,
          .weight = use(*weight_),
          .bias = use_optional(bias_),
          .alpha = use_optional(alpha_),
          .eps = eps_,
          .gain_offset = gain_offset_,
          .groups = groups_};
}

}  // namespace nn
