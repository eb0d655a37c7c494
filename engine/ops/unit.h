// Unit vectors in place: what nGPT makes of its matrices after every update (Loshchilov et al., arXiv 2410.01131,
// section 2.1). Not differentiated: it belongs to the update, not to the model.
#pragma once

#include "engine/core/tensor.h"

namespace engine {

enum class Lines { rows, columns };

/// Divides every row or column of each matrix by its Euclidean norm (summed in double); a line of zeros stays.
/// x floating, contiguous, [rows, columns] or [matrices, rows, columns]. Overwrites x.
void make_unit(const Tensor& x, Lines lines);

}  // namespace engine
