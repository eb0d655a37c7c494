// Kernel arguments of norm.h. A row is `groups` blocks of n elements, each normalised by itself; rows of the
// inputs and of their gradients may lie apart (strides in elements), outputs and their gradients are
// contiguous. Learned factors and partial sums are in the compute dtype, statistics in norm_statistics().
#pragma once

#include "engine/core/dtype.h"
#include "engine/kernel/kernel.h"
#include "engine/ops/activation_kind.h"
#include "engine/ops/norm_kind.h"

namespace engine {

constexpr int64_t kNormRows =
    32;  // rows that share one partial sum: fixed, so that sums do not depend on threads

/// What a row's mean and 1 / deviation are formed and kept in: double, but for rows that are 16 bits wide on
/// both sides (norm_block.h says why).
constexpr DType norm_statistics(DType x, DType y) {
  const auto narrow = [](DType t) { return t == DType::bf16 || t == DType::f16; };
  return narrow(x) && narrow(y) ? DType::f32 : DType::f64;
}

/// On a GPU what a norm gives may turn by position on its way (rope.h), in heads of n channels: it is rounded
/// to the compute dtype, turned, and written in `dtype`. The gradient comes in that dtype and is turned back
/// first.
struct NormTurn {
  const void *cos, *sin;  // [time, n / 2] in the compute dtype; null: nothing turns
  int64_t time, n;
  DType dtype;
};

struct NormForward {
  const void* x;       // [rows, groups * n]
  void* y;             // [rows, groups * n]
  const void* weight;  // [n]
  const void* bias;    // [n] or null
  const void* alpha;   // [], dyt only
  void* mean;          // [rows * groups], ln only; null: not kept
  void* rstd;          // [rows * groups]; null: not kept
  int64_t rows, groups, n, x_stride;
  DType x_dtype, y_dtype;
  NormKind kind;
  Activation activation;  // of x, before the norm
  double eps, gain_offset;
  bool wide;  // f32 results are formed in double, not only their statistics
  NormTurn turn;
};

/// Where parameter gradients are summed: row c of each section holds the sum over rows [c, c + 1) kNormRows.
/// A null section is not wanted. Rows of a section are `stride` elements apart.
struct NormBackward {
  const void* x;
  const void* dy;
  const void* weight;
  const void* alpha;
  const void* mean;
  const void* rstd;
  void* dx;       // null: not wanted
  void* dweight;  // [chunks, n]
  void* dbias;    // [chunks, n]
  void* dalpha;   // [chunks]
  int64_t rows, groups, n, x_stride, dx_stride, partial_stride;
  DType x_dtype, y_dtype;
  NormKind kind;
  Activation activation;
  double gain_offset;
  bool accumulate_dx;
  NormTurn turn;
};

/// A factor of the residual stream: `value`, or learned and read from memory.
struct JoinFactor {
  const void* learned;  // null: `value`
  bool vector;          // learned [width] against learned []
  double value;
};

struct JoinDropout {
  double p;  // 0: none
  uint64_t seed, offset;
  const uint64_t* seed_memory;  // device memory with the seed, or null
};

/// joined = res * stream + branch * dropout(o)
struct JoinForward {
  const void* stream;
  const void* o;
  void* joined;
  int64_t rows, width, stream_stride, o_stride;
  DType stream_dtype, o_dtype;
  JoinFactor res, branch;
  JoinDropout dropout;
};

struct JoinBackward {
  const void* stream;   // read for dres only
  const void* o;        // read for dbranch only
  const void* djoined;  // null: zero
  void* dstream;        // null: not wanted
  void* d_o;            // null: not wanted
  void* dres;           // [chunks, width] or [chunks]; null: not wanted
  void* dbranch;        // the same
  int64_t rows, width, stream_stride, o_stride, dstream_stride, do_stride, partial_stride;
  DType stream_dtype, o_dtype;
  JoinFactor res, branch;
  JoinDropout dropout;
  bool accumulate_dstream, accumulate_do;
};

struct JoinNormForward {
  JoinForward join;
  NormForward norm;  // x is join.joined
};

struct JoinNormBackward {
  JoinBackward join;
  NormBackward norm;  // dx is not used: the gradient stays in cache and goes on to `join`
};

/// sum = (accumulate ? sum : 0) + sum over chunks of partials[chunk, :]
struct SumPartials {
  const void* partials;  // [chunks, n] with rows `stride` apart, compute dtype of `dtype`
  void* sum;             // [n], any dtype
  int64_t chunks, n, stride;
  DType partial_dtype, dtype;
  bool accumulate;
};

ENGINE_KERNEL(norm_forward, NormForward)
ENGINE_KERNEL(norm_backward, NormBackward)
ENGINE_KERNEL(join_forward, JoinForward)
ENGINE_KERNEL(join_backward, JoinBackward)
ENGINE_KERNEL(join_norm_forward, JoinNormForward)
ENGINE_KERNEL(join_norm_backward, JoinNormBackward)
ENGINE_KERNEL(sum_partials, SumPartials)

}  // namespace engine
