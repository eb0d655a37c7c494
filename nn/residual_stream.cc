// Read first: residual_stream.h.
#include "nn/residual_stream.h"

namespace nn {

void ResidualStream::leave(const Tensor& o, const engine::ResidualJoin& join) {
  joined();
  pending_ = o;
  join_ = join;
}

const Tensor& ResidualStream::joined() {
  if (pending_.defined()) x_ = engine::residual_add(x_, pending_, join_);
  pending_ = {};
  return x_;
}

Tensor ResidualStream::read(const NormLayer& norm, DType dtype) {
  if (!pending_.defined()) return norm(x_, dtype);
  auto [joined, normed] = engine::residual_add_norm(x_, pending_, join_, norm.arguments(), dtype);
  replace(joined);
  return normed;
}

ScaleLayer::ScaleLayer(const Scale& spec, const Scope& scope, const std::string& name, const Scope& shared) {
  if (spec.kind == ScaleKind::constant) constant = spec.value;
  if (spec.kind == ScaleKind::vector || spec.kind == ScaleKind::scalar) learned = scope.get(name);
  if (spec.kind == ScaleKind::shared) learned = shared.get(name);
}

}  // namespace nn
