// Where f32 work is small, it is done in double and rounded once.
//
// Products, attention and norms of f32 ask wide_work() when they are called; products of a few rows, whose
// sums are short chains anyway (gemm_few.h), and attention of one query do not. What is small depends on
// shapes alone. Most of the rounding of a small f32 model lies in sums over k and in what reaches a whole
// row; such a model is what gradients are checked with, and there the better arithmetic costs microseconds
// (docs/06-precision.md has the figures). A large product could not afford it: double has half the lanes.
#pragma once

#include <cstdint>

namespace engine {

/// Multiply-adds up to which a product of f32 is small.
int64_t wide_work();
/// Elements up to which a row op on f32 is small: an element costs about as much as 64 multiply-adds.
int64_t wide_elements();
/// 0: nothing is small. For tests; not between a forward pass and its backward pass.
void set_wide_work(int64_t multiply_adds);

}  // namespace engine
