// Kernel arguments of elementwise.h.
#pragma once

#include "engine/core/dtype.h"
#include "engine/core/shape.h"
#include "engine/kernel/kernel.h"

namespace engine {

enum class BinaryOp : uint8_t { add, sub, mul, div };
enum class UnaryOp : uint8_t { affine, exp, log, sqrt, square, abs, softcap };

/// y = a op b, y contiguous [size...]; operands by strides, 0 along stretched axes. dtypes may differ.
struct BinaryForward {
  const void* a;
  const void* b;
  void* y;
  int rank;
  int64_t size[kMaxRank], a_stride[kMaxRank], b_stride[kMaxRank];
  DType a_dtype, b_dtype, y_dtype;
  BinaryOp op;
};

/// g = dL/da or dL/db before it is summed over stretched axes: contiguous [size...], as y and dy are.
struct BinaryBackward {
  const void* a;
  const void* b;
  const void* dy;
  void* g;
  int rank;
  int64_t size[kMaxRank], a_stride[kMaxRank], b_stride[kMaxRank];
  DType a_dtype, b_dtype, y_dtype, g_dtype;
  BinaryOp op;
  bool of_a, accumulate;
};

struct UnaryForward {
  const void* x;
  void* y;
  int64_t n;
  DType dtype;
  UnaryOp op;
  double factor, offset;  // of affine; factor is softcap's cap
};

struct UnaryBackward {
  const void* x;  // null for affine
  const void* dy;
  void* dx;
  int64_t n;
  DType dtype, dx_dtype;
  UnaryOp op;
  double factor;
  bool accumulate;
};

/// y = x m / (1 - p): forward, and backward with dy for x. The mask is engine/cpu/dropout.h's.
struct DropoutArgs {
  const void* x;
  void* y;
  int64_t n;
  DType dtype, y_dtype;
  uint64_t seed, first_block;
  double p;
  bool accumulate;
  const uint64_t* seed_memory;  // device memory with the seed, or null
};

ENGINE_KERNEL(binary_forward, BinaryForward)
ENGINE_KERNEL(binary_backward, BinaryBackward)
ENGINE_KERNEL(unary_forward, UnaryForward)
ENGINE_KERNEL(unary_backward, UnaryBackward)
ENGINE_KERNEL(dropout, DropoutArgs)

}  // namespace engine
