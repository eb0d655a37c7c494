// Mixture-of-experts routing: pick the top k experts of each token, gather their rows, scatter the results
// back.
//
// Dropless: every token reaches its experts; rows are ordered by expert (stable), so that an expert's rows
// are one contiguous slice. Source: Shazeer et al., arXiv 1701.06538; dropless as in MegaBlocks, arXiv
// 2211.15841.
#pragma once

#include <vector>

#include "engine/autograd/tape.h"
#include "engine/ops/rows.h"

namespace engine {

struct Routing {
  Tensor rows;                   // i32 [N * k]: the token of each slot, ordered by expert, then token
  Tensor weights;                // [N * k]: its routing weight; differentiable
  std::vector<int64_t> offsets;  // experts + 1: slots of expert e are [offsets[e], offsets[e + 1])
};

/// probabilities [N, E] (softmax over all experts); the k largest of each row, ties to the lower index;
/// renormalised to sum 1 when `normalize`. Weights carry gradients to the probabilities.
Routing route_top_k(const Tensor& probabilities, int64_t k, bool normalize);

/// y[i, :] = x[rows[i], :]; dx adds in the order of i.
Tensor gather_rows(const Tensor& x, const Tensor& rows);
/// The same of rows that were checked against those of x.
Tensor gather_rows(const Tensor& x, const CheckedIds& rows);
/// y[rows[i], :] += weights[i] * x[i, :], y [n, d]; in the order of i.
Tensor scatter_rows(const Tensor& x, const Tensor& rows, const Tensor& weights, int64_t n);

}  // namespace engine
