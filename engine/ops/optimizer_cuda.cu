// Read first: optimizer_kernels.h, engine/cuda/team.h. One pass over memory, four elements a thread.
#include "engine/cuda/team.h"
#include "engine/ops/optimizer_kernels.h"
#include "engine/ops/step_scalars.h"

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
GPU_INLINE C scaled_gradient(const FlatStep& a, C factor, C g) {
  const C scaled = g * factor;
  if (a.gradient_dtype == DType::bf16) return C(as_compute(as_stored<bf16>(scaled)));
  if (a.gradient_dtype == DType::f16) return C(as_compute(as_stored<f16>(scaled)));
  return scaled;
}

GPU_INLINE double number(const double& in_memory) { return global(&in_memory)[0]; }
/// What a step reads of the update's numbers. (`in_memory` is not looked at: its members' addresses are.)
GPU_INLINE void read_common(const StepScalars& in_memory, StepScalars& s) {
  s.finite = number(in_memory.finite), s.factor = number(in_memory.factor), s.lr = number(in_memory.lr);
}
GPU_INLINE void read_numbers(const AdamStep&, const StepScalars& in_memory, StepScalars& s) {
  read_common(in_memory, s);
  s.size = number(in_memory.size), s.root_scale = number(in_memory.root_scale);
}
GPU_INLINE void read_numbers(const NagStep&, const StepScalars& in_memory, StepScalars& s) {
  read_common(in_memory, s);
  s.buffer_to_p = number(in_memory.buffer_to_p), s.gradient_to_p = number(in_memory.gradient_to_p);
  s.buffer_keep = number(in_memory.buffer_keep);
}
GPU_INLINE void read_numbers(const SgdStep&, const StepScalars& in_memory, StepScalars& s) {
  read_common(in_memory, s);
}
GPU_INLINE void read_numbers(const EmaStep&, const StepScalars&, StepScalars&) {}

/// The update's numbers, and the weight decay of an element.
template <class C>
GPU_INLINE void update(const AdamStep& a, const StepScalars& s, double decay, C g, Element<C>& e) {
  e.p = e.p - C(s.lr * decay) * e.p;
  e.first = C(1 - a.beta1) * g + C(a.beta1) * e.first;
  e.second = (C(1 - a.beta2) * g) * g + C(a.beta2) * e.second;
  e.p = e.p - (C(s.size) * e.first) / (C(s.root_scale) * std::sqrt(e.second) + C(a.eps));
}
template <class C>
GPU_INLINE void update(const NagStep&, const StepScalars& s, double decay, C g, Element<C>& e) {
  e.p = e.p - C(s.lr * decay) * e.p;
  e.p = (C(s.buffer_to_p) * e.first + e.p) - C(s.gradient_to_p) * g;
  e.first = C(s.buffer_keep) * e.first - C(s.lr) * g;
}
template <class C>
GPU_INLINE void update(const SgdStep& a, const StepScalars& s, double decay, C g, Element<C>& e) {
  e.first = C(a.momentum) * e.first + (C(decay) * e.p + g);
  e.p = e.p - C(s.lr) * e.first;
}
template <class C>
GPU_INLINE void update(const EmaStep& a, const StepScalars&, double, C p, Element<C>& e) {
  e.p = C(1 - a.decay) * p + C(a.decay) * e.p;
}

template <class C, class Step, int N>
__global__ void __launch_bounds__(kThreads, 1) step_kernel(Step a) {
  const FlatStep& flat = a.flat;
  const int64_t i = (int64_t(blockIdx.x) * kThreads + threadIdx.x) * N;
  if (i >= flat.n) return;
  StepScalars s;
  if (flat.scalars) read_numbers(a, *flat.scalars, s);
  if (s.finite == 0) return;
  double decay = flat.spans[0].decay;
#pragma unroll
  for (int k = 1; k < kDecaySpans; ++k)
    if (i >= flat.spans[k - 1].end) decay = flat.spans[k].decay;
  C p[N], g[N], first[N] = {}, second[N] = {};
  load_any(flat.parameters, flat.parameter_dtype, i, p);
  load_any(flat.gradients, flat.gradient_dtype, i, g);
  if (flat.first) load_n(global(static_cast<const C*>(flat.first)) + i, first);
  if (flat.second) load_n(global(static_cast<const C*>(flat.second)) + i, second);
#pragma unroll
  for (int j = 0; j < N; ++j) {
    Element<C> e{p[j], first[j], second[j]};
    update(a, s, decay, scaled_gradient(flat, C(s.factor), g[j]), e);
    p[j] = e.p, first[j] = e.first, second[j] = e.second;
  }
  store_any(flat.parameters, flat.parameter_dtype, i, p, false);
  if (flat.first) store_n(global(static_cast<C*>(flat.first)) + i, first, false);
  if (flat.second) store_n(global(static_cast<C*>(flat.second)) + i, second, false);
  if (flat.low && i >= flat.low_begin && i < flat.low_end)
    store_any(flat.low, flat.low_dtype, i - flat.low_begin, p, false);
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

// A block adds the partial sums, each thread every 256th, then the threads' in their tree.
__global__ void __launch_bounds__(kTeamBlock, 1) factor_kernel(FormFactor a) {
  const Team<kTeamBlock> team;
  double sum = 0;
  const auto partials = global(a.partials);
  for (int64_t i = team.rank; i < a.n; i += kTeamBlock) {
    const double partial = partials[i];
    sum += partial;
  }
  sum = team.sum(sum);
  if (team.rank != 0) return;
  const auto scale = global(&a.scalars->loss_scale), scored = global(&a.scalars->scored);
  const double loss_scale = scale[0], positions = scored[0];
  const GradientFactor formed = gradient_factor(loss_scale, positions, std::sqrt(sum), a.clipping);
  global(&a.scalars->norm)[0] = formed.norm;
  global(&a.scalars->factor)[0] = formed.factor;
  global(&a.scalars->unclipped)[0] = formed.unclipped;
  global(&a.scalars->finite)[0] = formed.norm - formed.norm == 0 ? 1.0 : 0.0;
}

}  // namespace

void form_factor(const FormFactor& a) {
  launch<TeamShared>(factor_kernel, dim3(1), kTeamBlock, current_stream(), a);
}
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
