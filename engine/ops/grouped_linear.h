// A linear map per group of consecutive rows: the experts of a mixture, each on the rows routed to it.
//
//   y[i, :] = x[i, :] W[e]^T for rows i in [offsets[e], offsets[e + 1])
#pragma once

#include <vector>

#include "engine/autograd/tape.h"

namespace engine {

/// x [M, in], weight [E, out, in] of x's dtype, offsets E + 1 ascending from 0 to M. Output [M, out].
Tensor grouped_linear(const Tensor& x, const Tensor& weight, const std::vector<int64_t>& offsets);

}  // namespace engine
