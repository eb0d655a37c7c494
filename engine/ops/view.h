// Views that the tape knows about: reshape, slice, split, transpose; and copies: contiguous, concat.
//
// None but contiguous() and concat() copy elements. Shapes are given with the tensor's own axes; negative
// axes count from the end. Errors: sizes that do not fit, reshape of a non-contiguous tensor (use
// contiguous() first).
#pragma once

#include <vector>

#include "engine/autograd/tape.h"

namespace engine {

Tensor reshape(const Tensor& x, const Shape& shape);
Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end);
/// Consecutive parts of `x` along an axis; sizes must add up. The gradients of all parts are formed inside
/// one buffer, so that q, k, v of one projection need no copy on the way back.
std::vector<Tensor> split(const Tensor& x, int axis, const std::vector<int64_t>& sizes);
Tensor transpose(const Tensor& x, int a, int b);
/// The parts one behind the other along an axis: the inverse of split. One dtype; the other axes agree.
Tensor concat(const std::vector<Tensor>& parts, int axis);
/// `x` itself when it is contiguous, else a contiguous copy.
Tensor contiguous(const Tensor& x);
/// `x` itself when its rows are at one distance (Tensor::has_uniform_rows), which is what row kernels take,
/// else a contiguous copy.
Tensor with_uniform_rows(const Tensor& x);

}  // namespace engine
