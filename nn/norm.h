// NormLayer: one filled slot of a NormSpec, bound to its parameters.
#pragma once

#include "engine/ops/norm.h"
#include "nn/norm_spec.h"
#include "nn/parameters.h"

namespace nn {

/// Settings of the model that every norm shares.
struct NormDefaults {
  double eps = 1e-5;
  double gain_offset = 0;
};

/// An empty slot (spec none) is false and must not be called.
class NormLayer {
 public:
  NormLayer() = default;
  /// Binds scope.NAME_norm's parameters ("in" -> in_norm.weight). `heads`: blocks of a `.head` norm.
  NormLayer(const Norm& spec, const Scope& scope, const NormDefaults& defaults, int64_t heads = 1);

  explicit operator bool() const { return bool(spec_); }
  engine::NormArguments arguments() const;
  /// The norm of x, or of act(x).
  Tensor operator()(const Tensor& x, DType dtype,
                    engine::Activation activation = engine::Activation::identity) const {
    engine::NormArguments a = arguments();
    a.activation = activation;
    return engine::norm(x, a, dtype);
  }

 private:
  Norm spec_;
  Parameter *weight_ = nullptr, *bias_ = nullptr, *alpha_ = nullptr;
  double eps_ = 0, gain_offset_ = 0;
  int64_t groups_ = 1;
};

}  // namespace nn
