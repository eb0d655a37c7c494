// A linear map per group of consecutive rows: the experts of a mixture, each on the rows routed to it.
//
//   y[i, :] = x[i, :] W[e]^T for rows i of group e
#pragma once

#include <vector>

#include "engine/autograd/tape.h"

namespace engine {

/// Consecutive rows in groups: group e has rows [offsets[e], offsets[e + 1]). On the device of the rows, and
/// never read on the host: route_top_k() forms it there.
struct Groups {
  Tensor offsets;    // i32 [groups + 1], ascending from 0 to `rows`
  int64_t rows = 0;  // of all groups
};
/// Error: `offsets` do not ascend from 0. The groups are on the host (Groups::offsets.to() moves them).
Groups groups_of(const std::vector<int64_t>& offsets);

/// x [M, in], weight [E, out, in] of x's dtype, E groups of M rows. Output [M, out].
Tensor grouped_linear(const Tensor& x, const Tensor& weight, const Groups& groups);

}  // namespace engine
