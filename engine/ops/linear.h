// Products: linear layers with their epilogues, and batched matrix multiplication.
//
//   y = act(h W^T + b) (+ residual)   h = input_act(x)
//   dx = g W input_act'(x)   dW = g^T h   db = sum over rows of g   g = dy act'(..)
//
// All dtypes go through our own packed product (engine/kernel/gemm.h; docs/decisions.md says why), with sums
// whose order is fixed, so that any number of threads gives the same bits. 16-bit inputs accumulate in f32.
// Parameter gradients are formed in the dtype of their buffer (f32 arenas), with beta = 1 when they
// accumulate.
#pragma once

#include "engine/ops/activation.h"

namespace engine {

struct LinearOptions {
  /// Applied to x first. The backward pass computes it again: of x and h only x is kept, which halves what a
  /// feed-forward layer saves.
  Activation input_activation = Activation::identity;
  Activation activation = Activation::identity;
  /// Added to the result: [..., out], in the output's dtype; the gradient passes through. Undefined: nothing
  /// is added.
  Tensor residual;
  /// Dtype of the output; by default x's.
  DType dtype = DType::u8;  // u8: x's
};

/// Whether so many elements between two ops are few enough to be kept in f32 in a 16-bit model, where row ops
/// on them are done in double anyway (engine/kernel/wide.h).
bool keeps_wide(Device device, int64_t elements);

/// x [..., in], weight [out, in] of x's dtype, bias [out] (may be undefined) in x's compute dtype. Output
/// [..., out]. Errors name both shapes: linear: weight [768, 3072] needs input last dim 3072, got [8, 128,
/// 768].
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
              const LinearOptions& options = {});

enum class Transpose : uint8_t { no, yes };
/// Batched product over the last two axes: a [..., M, K], b [..., K, N] (or transposed as said); leading axes
/// equal, or absent on one side. Output [..., M, N].
Tensor matmul(const Tensor& a, const Tensor& b, Transpose ta = Transpose::no, Transpose tb = Transpose::no);

}  // namespace engine
