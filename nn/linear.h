// LinearLayer: weight [out, in] and an optional bias of one linear map, bound by name.
#pragma once

#include "engine/ops/linear.h"
#include "nn/parameters.h"

namespace nn {

struct LinearLayer {
  Parameter *weight = nullptr, *bias = nullptr;

  LinearLayer() = default;
  explicit LinearLayer(const Scope& scope) : weight(scope.get("weight")), bias(scope.find("bias")) {}

  Tensor operator()(const Tensor& x, const engine::LinearOptions& options = {}) const {
    return engine::linear(x, use(*weight), use_optional(bias), options);
  }
};

}  // namespace nn
