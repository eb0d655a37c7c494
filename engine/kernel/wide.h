// Where f32 work is small, it is done in double and rounded once.
//
// Ops of f32 ask is_wide() and tell their kernels; products of a few rows, whose sums are short chains anyway
// (engine/cpu/gemm_few.h), and attention of one query are not asked for. What is small depends on shapes
// alone. Most of the rounding of a small f32 model lies in sums over k and in what reaches a whole row; such
// a model is what gradients are checked with, and there the better arithmetic costs microseconds
// (docs/06-precision.md has the figures). A large product could not afford it: double has half the lanes. On
// a GPU double costs what a large product does, and nothing is small.
#pragma once

#include <cstdint>

#include "engine/core/device.h"

namespace engine {

/// Multiply-adds up to which a product of f32 is small: 2^19 on the CPU, 0 on a GPU unless a test says
/// otherwise.
int64_t wide_work(Device device);
/// For tests; not between a forward pass and its backward pass.
void set_wide_work(Device device, int64_t multiply_adds);

/// Whether so many multiply-adds are done in double.
inline bool is_wide(Device device, int64_t multiply_adds) { return multiply_adds <= wide_work(device); }
/// The same of a row op's elements, each of which costs about as much as 64 multiply-adds.
inline bool is_wide_row_op(Device device, int64_t elements) { return elements <= wide_work(device) / 64; }

}  // namespace engine
