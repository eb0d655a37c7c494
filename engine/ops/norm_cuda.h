// What the forward and backward kernels of norms and joins share. Read first: norm_kernels.h,
// engine/cuda/vectors.h.
//
// Two types run through the templates, as on the CPU (norm_block.h says why): C, in which parameters lie in
// memory, and W, in which statistics are formed and kept: double where x or y is f32, float where both have
// 16 bits.
#pragma once

#include "engine/cuda/team.h"
#include "engine/ops/activation_cuda.h"
#include "engine/ops/dropout_cuda.h"
#include "engine/ops/norm_kernels.h"

namespace engine::ENGINE_GPU {

constexpr int kNormPack = 4;  // elements a thread takes where rows are whole packs

/// f = a factor of the residual stream for columns [column, column + N).
template <class C, int N>
GPU_INLINE void load_factor(const JoinFactor& factor, int64_t column, C (&f)[N]) {
  if (factor.learned && factor.vector)
    return load_n(global(static_cast<const C*>(factor.learned)) + column, f);
  C value = C(factor.value);
  if (factor.learned) value = global(static_cast<const C*>(factor.learned))[0];
#pragma unroll
  for (int j = 0; j < N; ++j) f[j] = value;
}

/// v *= the dropout mask of elements [element, element + N) of the branch; N divides `element`.
template <class C, int N>
GPU_INLINE void apply_mask(const JoinDropout& dropout, int64_t element, C (&v)[N]) {
  if (dropout.p == 0) return;
  if constexpr (N == 1) {
    v[0] *=
        dropout_factor<C>(mask_seed(dropout.seed, dropout.seed_memory), dropout.offset, element, dropout.p);
  } else {
    static_assert(N == 4);
    C factor[4];
    dropout_factors(mask_seed(dropout.seed, dropout.seed_memory), dropout.offset + uint64_t(element) / 4,
                    dropout.p, factor);
#pragma unroll
    for (int j = 0; j < 4; ++j) v[j] *= factor[j];
  }
}

/// gain = weight + gain_offset (the sum is rounded to C), for columns [column, column + N).
template <class C, class W, int N>
GPU_INLINE void load_gain(const void* weight, double gain_offset, int64_t column, W (&gain)[N]) {
  C w[N];
  load_n(global(static_cast<const C*>(weight)) + column, w);
#pragma unroll
  for (int j = 0; j < N; ++j) gain[j] = W(w[j] + C(gain_offset));
}

/// Where columns [column, column + N) of a block turn: those of the other half of their head, and the angle.
template <class C, int N>
struct Turn {
  int64_t other;  // counted from `column`
  bool first;
  C cos[N], sin[N];
  GPU_INLINE Turn(const NormTurn& t, int64_t row, int64_t column, Where where = Where::here()) {
    const int64_t half = t.n / 2, c = column % t.n;
    first = c < half, other = first ? half : -half;
    const int64_t angle = row % t.time * half + (first ? c : c - half);
    load_n(global(static_cast<const C*>(t.cos)) + angle, cos, where);
    load_n(global(static_cast<const C*>(t.sin)) + angle, sin, where);
  }
};

/// f(C, W) for rows of these dtypes.
template <class F>
void visit_norm_types(DType x, DType y, F&& f) {
  if (x == DType::f64) return f(double(), double());
  norm_statistics(x, y) == DType::f64 ? f(float(), double()) : f(float(), float());
}
/// f(integral_constant N)
template <class F>
void visit_norm_width(bool packed, F&& f) {
  packed ? f(std::integral_constant<int, kNormPack>()) : f(std::integral_constant<int, 1>());
}

inline bool whole_packs(const NormForward& a) {
  return packs(kNormPack, {a.x, a.y, a.weight, a.bias, a.turn.cos, a.turn.sin},
               {a.n, a.x_stride, a.turn.cos ? a.turn.n / 2 : 0});
}
inline bool whole_packs(const JoinForward& a) {
  return packs(kNormPack,
               {a.stream, a.o, a.joined, a.res.vector ? a.res.learned : nullptr,
                a.branch.vector ? a.branch.learned : nullptr},
               {a.width, a.stream_stride, a.o_stride});
}
inline bool whole_packs(const NormBackward& a) {
  return packs(kNormPack, {a.x, a.dy, a.weight, a.dx, a.dweight, a.dbias, a.turn.cos, a.turn.sin},
               {a.n, a.x_stride, a.dx_stride, a.dweight || a.dbias ? a.partial_stride : 0,
                a.turn.cos ? a.turn.n / 2 : 0});
}
inline bool whole_packs(const JoinBackward& a) {
  const void *res = a.res.vector ? a.res.learned : nullptr,
             *branch = a.branch.vector ? a.branch.learned : nullptr, *dres = a.res.vector ? a.dres : nullptr,
             *dbranch = a.branch.vector ? a.dbranch : nullptr;
  return packs(kNormPack, {a.stream, a.o, a.djoined, a.dstream, a.d_o, res, branch, dres, dbranch},
               {a.width, a.stream_stride, a.o_stride, a.dstream_stride, a.do_stride,
                dres || dbranch ? a.partial_stride : 0});
}

}  // namespace engine::ENGINE_GPU
