// The residual stream, and how branches join it.
//
// A branch's output is not added at once: it stays pending until somebody reads the joined stream. When that
// reader is a norm, join and norm are one fused pass; so Pre-LN, Post-LN and everything between cost the
// same. `skip=norm` and `post` replace the stream by the normed value. Read first: norm_spec.h,
// engine/ops/norm.h. Then: block.h.
#pragma once

#include "nn/context.h"
#include "nn/norm.h"

namespace nn {

class ResidualStream {
 public:
  explicit ResidualStream(const Tensor& x) : x_(x) {}

  /// Leaves `o` [.., d] to be joined as res * stream + branch * dropout(o).
  void leave(const Tensor& o, const engine::ResidualJoin& join);
  /// The joined stream, in the stream's dtype.
  const Tensor& joined();
  /// norm(joined stream) in `dtype`; the stream goes on un-normed.
  Tensor read(const NormLayer& norm, DType dtype);
  /// The stream becomes `x`.
  void replace(const Tensor& x) { x_ = x, pending_ = {}; }

 private:
  Tensor x_, pending_;
  engine::ResidualJoin join_;
};

/// A learned or constant factor of a slot, bound to its parameter.
struct ScaleLayer {
  double constant = 1;
  Parameter* learned = nullptr;

  ScaleLayer() = default;
  /// `shared`: the layer's scope, where a `shared` scale lives.
  ScaleLayer(const Scale& spec, const Scope& scope, const std::string& name, const Scope& shared);
  engine::ResidualScale scale() const { return {constant, use_optional(learned)}; }
};

}  // namespace nn
