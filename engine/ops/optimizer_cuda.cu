// Read first: optimizer_kernels.h, engine/cuda/team.h. One pass over memory, four elements a thread.
#include "engine/cuda/team.h"
#include "engine/ops/optimizer_kernels.h"

namespace engine::ENGINE_GPU {
namespace {

constexpr int kThreads = 256;

/// What an update changes, for one element.
template <class C>
struct Element {
  C p, first, second;
};

// The gradient after the one multiply: in f32 or f64 as it is, 16 bits rounded to 16 bits.
template <class C>
GPU_INLINE C scaled_gradient(const FlatStep& a, C g) {
  const C scaled = g * C(a.gradient_factor);
  if (a.gradient_dtype == DType::bf16) return C(as_compute(as_stored<bf16>(scaled)));
  if (a.gradient_dtype == DType::f16) return C(as_compute(as_stored<f16>(scaled)));
  return scaled;
}

template <class C>
GPU_INLINE void update(const AdamStep& a, C g, Element<C>& e) {
  e.p = e.p - C(a.decay) * e.p;
  e.first = C(1 - a.beta1) * g + C(a.beta1) * e.first;
  e.second = (C(1 - a.beta2) * g) * g + C(a.beta2) * e.second;
  e.p = e.p - (C(a.size) * e.first) / (C(a.root_scale) * std::sqrt(e.second) + C(a.eps));
}
template <class C>
GPU_INLINE void update(const NagStep& a, C g, Element<C>& e) {
  e.p = e.p - C(a.decay) * e.p;
  e.p = (C(a.buffer_to_p) * e.first + e.p) - C(a.gradient_to_p) * g;
  e.first = C(a.buffer_keep) * e.first - C(a.lr) * g;
}
template <class C>
GPU_INLINE void update(const SgdStep& a, C g, Element<C>& e) {
  e.first = C(a.momentum) * e.first + (C(a.weight_decay) * e.p + g);
  e.p = e.p - C(a.lr) * e.first;
}
template <class C>
GPU_INLINE void update(const EmaStep& a, C p, Element<C>& e) {
  e.p = C(1 - a.decay) * p + C(a.decay) * e.p;
}

template <class C, class Step, int N>
__global__ void __launch_bounds__(kThreads, 1) step_kernel(Step a) {
  const FlatStep& flat = a.flat;
  const int64_t i = (int64_t(blockIdx.x) * kThreads + threadIdx.x) * N;
  if (i >= flat.n) return;
  C p[N], g[N], first[N] = {}, second[N] = {};
  load_any(flat.parameters, flat.parameter_dtype, i, p);
  load_any(flat.gradients, flat.gradient_dtype, i, g);
  if (flat.first) load_n(global(static_cast<const C*>(flat.first)) + i, first);
  if (flat.second) load_n(global(static_cast<const C*>(flat.second)) + i, second);
#pragma unroll
  for (int j = 0; j < N; ++j) {
    Element<C> e{p[j], first[j], second[j]};
    update(a, scaled_gradient(flat, g[j]), e);
    p[j] = e.p, first[j] = e.first, second[j] = e.second;
  }
  store_any(flat.parameters, flat.parameter_dtype, i, p, false);
  if (flat.first) store_n(global(static_cast<C*>(flat.first)) + i, first, false);
  if (flat.second) store_n(global(static_cast<C*>(flat.second)) + i, second, false);
  if (flat.low) store_any(flat.low, flat.low_dtype, i, p, false);
}

template <class Step>
void step(const Step& a) {
  const FlatStep& flat = a.flat;
  if (flat.n == 0) return;
  const auto run = [&](auto kernel, int n) {
    launch<NoShared>(kernel, blocks_for(flat.n, kThreads * n), kThreads, current_stream(), a);
  };
  const bool packed =
      packs(4, {flat.parameters, flat.gradients, flat.first, flat.second, flat.low}, {flat.n});
  if (flat.parameter_dtype == DType::f64)
    packed ? run(step_kernel<double, Step, 4>, 4) : run(step_kernel<double, Step, 1>, 1);
  else
    packed ? run(step_kernel<float, Step, 4>, 4) : run(step_kernel<float, Step, 1>, 1);
}

// A block per partial sum.
template <class C>
__global__ void __launch_bounds__(kTeamBlock, 1) squares_kernel(SumOfSquares a) {
  const Team<kTeamBlock> team;
  const int64_t first = team.row * kSquaresGrain,
                last = first + kSquaresGrain < a.n ? first + kSquaresGrain : a.n;
  double sum = 0;
  for (int64_t i = first + team.rank; i < last; i += kTeamBlock) {
    const double v = double(load_any<C>(a.x, a.dtype, i));
    sum += v * v;
  }
  sum = team.sum(sum);
  if (team.rank == 0) global(a.partials)[team.row] = sum;
}

}  // namespace

void adam_step(const AdamStep& a) { step(a); }
void nag_step(const NagStep& a) { step(a); }
void sgd_step(const SgdStep& a) { step(a); }
void ema_step(const EmaStep& a) { step(a); }

void sum_of_squares(const SumOfSquares& a) {
  if (a.n == 0) return;
  launch<TeamShared>(a.dtype == DType::f64 ? squares_kernel<double> : squares_kernel<float>,
                     blocks_for(a.n, kSquaresGrain), kTeamBlock, current_stream(), a);
}

}  // namespace engine::ENGINE_GPU
