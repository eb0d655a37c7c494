// Precision: which dtype each kind of number has in a run, and on which device it lives.
#pragma once

#include "engine/core/device.h"
#include "engine/core/dtype.h"

namespace nn {

using engine::DType;

/// compute: what products read and branches are stored in. stream: the residual stream, embeddings and norms'
/// inputs, f32 beside 16-bit branches, so that many small additions are not rounded away. master: what the
/// optimizer changes. grad: the gradient arena. Statistics, softmax and losses are always at least f32,
/// double in f64.
struct Precision {
  DType compute = DType::f32, stream = DType::f32, master = DType::f32, grad = DType::f32;
  engine::Device device = engine::Device::cpu;

  static Precision of(DType compute) {
    const DType wide = engine::compute_dtype(compute);
    return {compute, wide, wide, wide};
  }
  /// fairseq's memory-efficient fp16: parameters and gradients in f16 too, no f32 masters.
  static Precision memory_efficient_f16() { return {DType::f16, DType::f32, DType::f16, DType::f16}; }
};

}  // namespace nn
