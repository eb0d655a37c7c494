// Sums and means. Accumulated in at least f32 (f64 in f64), in fixed chunks added in order.
#pragma once

#include "engine/autograd/tape.h"

namespace engine {

/// Sum over one axis (negative: from the end); the axis disappears, or stays with size 1 when keep_axis.
Tensor sum(const Tensor& x, int axis, bool keep_axis = false);
Tensor mean(const Tensor& x, int axis, bool keep_axis = false);
/// Sum of all elements: shape [], f64 whatever x's dtype.
Tensor sum_all(const Tensor& x);
/// Largest element of each row of the last axis, for softmax-like code and statistics; not differentiable.
Tensor max_last(const Tensor& x);

/// target = or += x summed over the axes along which target was stretched to x's shape (NumPy broadcasting;
/// at least one was): the gradient of a stretched operand. Both contiguous. Not recorded.
void sum_to_shape(const Tensor& x, const Tensor& target, bool accumulate);

}  // namespace engine
