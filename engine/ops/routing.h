// Mixture-of-experts routing: pick the top k experts of each token, gather their rows, scatter the results
// back.
//
// Dropless: every token reaches its experts; rows are ordered by expert (stable), so that an expert's rows
// are one contiguous slice. Source: Shazeer et al., arXiv 1701.06538; dropless as in MegaBlocks, arXiv
// 2211.15841.
#pragma once

#include "engine/autograd/tape.h"
#include "engine/ops/grouped_linear.h"
#include "engine/ops/rows.h"

namespace engine {

/// All of it is on the device of the probabilities, where it is formed: nothing of it is read on the host.
struct Routing {
  RowIndex rows;   // [N * k]: the token of each slot; slots are ordered by expert, then token
  Tensor weights;  // [N * k]: its routing weight; differentiable
  Groups experts;  // the slots of each expert
  Tensor share;    // [E] in the probabilities' dtype: of the slots, those that went to the expert
};

/// probabilities [N, E] (softmax over all experts); the k largest of each row, ties to the lower index;
/// renormalised to sum 1 when `normalize`. Weights carry gradients to the probabilities.
Routing route_top_k(const Tensor& probabilities, int64_t k, bool normalize);

/// y[i, :] = x[rows[i], :]; dx adds in the order of i.
Tensor gather_rows(const Tensor& x, const Tensor& rows);
Tensor gather_rows(const Tensor& x, const RowIndex& rows);
/// y[rows[i], :] += weights[i] * x[i, :], y [n, d]; in the order of i.
Tensor scatter_rows(const Tensor& x, const Tensor& rows, const Tensor& weights, int64_t n);
/// y of as many rows as `rows` is of.
Tensor scatter_rows(const Tensor& x, const RowIndex& rows, const Tensor& weights);

}  // namespace engine
