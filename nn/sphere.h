// nGPT's pieces: rows (or heads) of unit length, and the step along the sphere.
//
//   h <- unit(a + |step| (unit(branch) - a)),  a = unit(h)
//
// Source: Loshchilov et al., arXiv 2410.01131, equations 10 and 11.
#pragma once

#include "nn/parameters.h"

namespace nn {

/// x / |x| over each of `groups` blocks of the last axis.
Tensor unit(const Tensor& x, int64_t groups = 1);
/// The step; the effective step sizes are |stored| * factor.
Tensor sphere_step(const Tensor& h, const Tensor& branch, Parameter& step, double factor);

}  // namespace nn
