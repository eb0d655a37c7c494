// Normalization: LayerNorm, RMSNorm, L2 norm and DyT, over the whole row or over each head's block of it.
//
// With n the normalised width, over each block of n elements:
//
//   ln    y = (x - mean) r gain + bias      r = 1/sqrt(var + eps), biased     Ba et al., 1607.06450
//   rms   y = x r gain                      r = 1/sqrt(mean(x^2) + eps)       Zhang & Sennrich, 1910.07467
//   l2    y = x r gain                      r = 1/sqrt(sum(x^2) + eps)        Henry et al., 2010.04245
//   dyt   y = tanh(alpha x) gain + bias                                       Zhu et al., 2503.10622
//
// of x, or of act(x), formed on the way and again in the backward pass: a norm behind an activation then
// needs no tensor between the two.
//
// gain is weight + gain_offset (Gemma-2 stores gain - 1). A bias may be left out, or given to any kind.
// Statistics are formed in double; in f32 where x and y have 16 bits. Backward, with g = dy gain and
// xhat = (x - mean) r:
//   dx = r (g - mean(g) - xhat mean(g xhat))    (ln; rms and l2 without mean(g); l2 with sum for mean)
#pragma once

#include <utility>

#include "engine/autograd/tape.h"
#include "engine/base/philox.h"
#include "engine/ops/norm_kernels.h"  // NormKind
#include "engine/ops/rope.h"

namespace engine {

/// A norm's parameters and settings. weight [n]; bias [n] or undefined; alpha [] for dyt; all in the compute
/// dtype.
struct NormArguments {
  NormKind kind = NormKind::ln;
  Tensor weight, bias, alpha;
  double eps = 1e-5;
  double gain_offset = 0;
  int64_t groups = 1;  // blocks that a row is divided into (heads); one weight serves all
  Activation activation = Activation::identity;  // of the input; not with residual_add_norm()
};

/// x [..., groups * n] with uniform rows; the output is contiguous, in `dtype` (x's, or f32 <-> bf16/f16).
Tensor norm(const Tensor& x, const NormArguments& arguments, DType dtype);

/// The norm of x [B, T, heads * n] in the compute dtype, turned by position from `offset` on (rope.h), in
/// `dtype`: cast(rope(norm(x, arguments), heads, angles, offset), dtype), on a GPU as one pass over memory.
Tensor norm_rope(const Tensor& x, const NormArguments& arguments, int64_t heads, const RopeAngles& angles,
                 int64_t offset, DType dtype);

/// A factor in the residual stream: a constant, or a learned tensor ([d], or [] for one number) in the
/// compute dtype.
struct ResidualScale {
  double constant = 1;
  Tensor learned;
};

/// How a branch joins the stream: joined = res * stream + branch * dropout(o).
struct ResidualJoin {
  ResidualScale res, branch;
  double dropout = 0;
  Rng* rng = nullptr;  // needed when dropout > 0; advances
};

/// stream [..., d] and o [..., d] (same dtype, or o in 16 bits beside an f32 stream). Output in the stream's
/// dtype.
Tensor residual_add(const Tensor& stream, const Tensor& o, const ResidualJoin& join);

/// {joined, norm(joined)} in one pass over memory, forward and backward: what Pre-LN reads at every join,
/// Post-LN too. `dtype` is that of the normed output. With Post-LN (nobody reads `joined`) backward skips its
/// gradient.
std::pair<Tensor, Tensor> residual_add_norm(const Tensor& stream, const Tensor& o, const ResidualJoin& join,
                                            const NormArguments& arguments, DType dtype);

}  // namespace engine
