// Read first: elementwise_kernels.h, engine/cuda/vectors.h.
#include "engine/cuda/vectors.h"
#include "engine/ops/dropout_cuda.h"
#include "engine/ops/elementwise_kernels.h"

namespace engine::ENGINE_GPU {
namespace {

constexpr int kThreads = 256;

GPU_INLINE int64_t thread_index() { return int64_t(blockIdx.x) * kThreads + threadIdx.x; }

template <class C>
GPU_INLINE C value_of(BinaryOp op, C a, C b) {
  switch (op) {
    case BinaryOp::add: return a + b;
    case BinaryOp::sub: return a - b;
    case BinaryOp::mul: return a * b;
    default: return a / b;
  }
}

// ---- a op b -----------------------------------------------------------------------------------------------
template <class Args>
struct Plan {
  Args a;
  int64_t n;  // elements of y
};

// Operands of one dtype side by side: what a large add is.
template <class T, int N>
__global__ void __launch_bounds__(kThreads, 1) binary_alike_kernel(Plan<BinaryForward> plan) {
  const int64_t i = thread_index() * N;
  if (i >= plan.n) return;
  Compute<T> a[N], b[N];
  load_n(global(static_cast<const T*>(plan.a.a)) + i, a);
  load_n(global(static_cast<const T*>(plan.a.b)) + i, b);
#pragma unroll
  for (int j = 0; j < N; ++j) a[j] = value_of(plan.a.op, a[j], b[j]);
  store_n(global(static_cast<T*>(plan.a.y)) + i, a, false);
}

// Where element i of y finds its operands.
template <class Args>
GPU_INLINE void operands_at(const Args& args, int64_t i, int64_t& a, int64_t& b) {
  a = b = 0;
#pragma unroll
  for (int axis = kMaxRank - 1; axis >= 0; --axis) {
    if (axis >= args.rank) continue;
    const int64_t index = i % args.size[axis];
    i /= args.size[axis];
    a += index * args.a_stride[axis], b += index * args.b_stride[axis];
  }
}

template <class C>
__global__ void __launch_bounds__(kThreads, 1) binary_kernel(Plan<BinaryForward> plan) {
  const int64_t i = thread_index();
  if (i >= plan.n) return;
  int64_t at_a, at_b;
  operands_at(plan.a, i, at_a, at_b);
  const C a = load_any<C>(plan.a.a, plan.a.a_dtype, at_a), b = load_any<C>(plan.a.b, plan.a.b_dtype, at_b);
  store_any(plan.a.y, plan.a.y_dtype, i, value_of(plan.a.op, a, b), false);
}

//   a + b: (dy, dy)    a - b: (dy, -dy)    a b: (dy b, dy a)    a / b: (dy / b, -dy a / b^2)
template <class C>
__global__ void __launch_bounds__(kThreads, 1) binary_back_kernel(Plan<BinaryBackward> plan) {
  const BinaryBackward& args = plan.a;
  const int64_t i = thread_index();
  if (i >= plan.n) return;
  int64_t at_a, at_b;
  operands_at(args, i, at_a, at_b);
  const C dy = load_any<C>(args.dy, args.y_dtype, i);
  C g = dy;
  if (args.op == BinaryOp::sub && !args.of_a) g = -dy;
  if (args.op == BinaryOp::mul) {
    if (args.of_a)
      g = dy * load_any<C>(args.b, args.b_dtype, at_b);
    else
      g = dy * load_any<C>(args.a, args.a_dtype, at_a);
  }
  if (args.op == BinaryOp::div) {
    const C b = load_any<C>(args.b, args.b_dtype, at_b);
    if (args.of_a)
      g = dy / b;
    else
      g = -dy * (load_any<C>(args.a, args.a_dtype, at_a) / b / b);
  }
  store_any(args.g, args.g_dtype, i, g, args.accumulate);
}

template <class Args>
int64_t elements(const Args& a) {
  int64_t n = 1;
  for (int axis = 0; axis < a.rank; ++axis) n *= a.size[axis];
  return n;
}

// ---- f(x) -------------------------------------------------------------------------------------------------
template <class C>
GPU_INLINE C value_of(const UnaryForward& a, C x) {
  switch (a.op) {
    case UnaryOp::affine: return C(a.factor) * x + C(a.offset);
    case UnaryOp::exp: return std::exp(x);
    case UnaryOp::log: return std::log(x);
    case UnaryOp::sqrt: return std::sqrt(x);
    case UnaryOp::square: return x * x;
    case UnaryOp::abs: return std::fabs(x);
    default: return C(a.factor) * std::tanh(x * C(1 / a.factor));
  }
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads, 1) unary_kernel(UnaryForward a) {
  const int64_t i = thread_index() * N;
  if (i >= a.n) return;
  Compute<T> v[N];
  load_n(global(static_cast<const T*>(a.x)) + i, v);
#pragma unroll
  for (int j = 0; j < N; ++j) v[j] = value_of(a, v[j]);
  store_n(global(static_cast<T*>(a.y)) + i, v, false);
}

//   affine factor dy    exp e^x dy    log dy / x    sqrt dy / (2 sqrt x)    square 2 x dy    abs sign(x) dy
//   softcap dy sech^2(x / cap) = 4 e dy / (1 + e)^2, e = exp(-2 |x / cap|)
template <class C>
GPU_INLINE C gradient_of(const UnaryBackward& a, C x, C dy) {
  switch (a.op) {
    case UnaryOp::affine: return C(a.factor) * dy;
    case UnaryOp::exp: return std::exp(x) * dy;
    case UnaryOp::log: return dy / x;
    case UnaryOp::sqrt: return C(0.5) * dy / std::sqrt(x);
    case UnaryOp::square: return C(2) * x * dy;
    case UnaryOp::abs: return x < 0 ? -dy : dy;
    default: {
      const C e = std::exp(C(-2) * std::fabs(x * C(1 / a.factor))), s = 1 / (1 + e);
      return dy * (C(4) * e) * s * s;
    }
  }
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads, 1) unary_back_kernel(UnaryBackward a) {
  using C = Compute<T>;
  const int64_t i = thread_index() * N;
  if (i >= a.n) return;
  C x[N] = {}, dy[N];
  if (a.x) load_n(global(static_cast<const T*>(a.x)) + i, x);
  load_n(global(static_cast<const T*>(a.dy)) + i, dy);
#pragma unroll
  for (int j = 0; j < N; ++j) dy[j] = gradient_of(a, x[j], dy[j]);
  store_any(a.dx, a.dx_dtype, i, dy, a.accumulate);
}

// ---- dropout ----------------------------------------------------------------------------------------------
// Four elements a thread: what one Philox block decides.
template <class T, int N>
__global__ void __launch_bounds__(kThreads, 1) dropout_kernel(DropoutArgs a) {
  using C = Compute<T>;
  static_assert(N == 4 || N == 1);
  const int64_t i = thread_index() * 4;
  if (i >= a.n) return;
  C factor[4];
  dropout_factors(mask_seed(a.seed, a.seed_memory), a.first_block + uint64_t(i / 4), a.p, factor);
  if constexpr (N == 4) {
    C x[4];
    load_n(global(static_cast<const T*>(a.x)) + i, x);
#pragma unroll
    for (int j = 0; j < 4; ++j) x[j] *= factor[j];
    store_any(a.y, a.y_dtype, i, x, a.accumulate);
  } else {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (i + j >= a.n) return;
      const C x = load_any<C>(a.x, a.dtype, i + j);
      store_any(a.y, a.y_dtype, i + j, x * factor[j], a.accumulate);
    }
  }
}

}  // namespace

void binary_forward(const BinaryForward& a) {
  const Plan<BinaryForward> plan{a, elements(a)};
  if (plan.n == 0) return;
  const bool alike = a.rank == 1 && a.a_stride[0] == 1 && a.b_stride[0] == 1 && a.a_dtype == a.y_dtype &&
                     a.b_dtype == a.y_dtype;
  if (alike)
    return visit_float(a.y_dtype, [&](auto t) {
      using T = decltype(t);
      visit_width<T>(packs(16 / int(sizeof(T)), {a.a, a.b, a.y}, {plan.n}), [&](auto width) {
        constexpr int N = decltype(width)::value;
        launch<NoShared>(binary_alike_kernel<T, N>, blocks_for(plan.n, kThreads * N), kThreads,
                         current_stream(), plan);
      });
    });
  const auto run = [&](auto kernel) {
    launch<NoShared>(kernel, blocks_for(plan.n, kThreads), kThreads, current_stream(), plan);
  };
  a.y_dtype == DType::f64 ? run(binary_kernel<double>) : run(binary_kernel<float>);
}

void binary_backward(const BinaryBackward& a) {
  const Plan<BinaryBackward> plan{a, elements(a)};
  if (plan.n == 0) return;
  const auto run = [&](auto kernel) {
    launch<NoShared>(kernel, blocks_for(plan.n, kThreads), kThreads, current_stream(), plan);
  };
  a.y_dtype == DType::f64 ? run(binary_back_kernel<double>) : run(binary_back_kernel<float>);
}

void unary_forward(const UnaryForward& a) {
  if (a.n == 0) return;
  visit_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    visit_width<T>(packs(16 / int(sizeof(T)), {a.x, a.y}, {a.n}), [&](auto width) {
      constexpr int N = decltype(width)::value;
      launch<NoShared>(unary_kernel<T, N>, blocks_for(a.n, kThreads * N), kThreads, current_stream(), a);
    });
  });
}

void unary_backward(const UnaryBackward& a) {
  if (a.n == 0) return;
  visit_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    // Packs of T are whole packs of dx too: it is never narrower than T where they differ.
    const bool whole =
        size_of(a.dx_dtype) >= size_of(a.dtype) && packs(16 / int(sizeof(T)), {a.x, a.dy, a.dx}, {a.n});
    visit_width<T>(whole, [&](auto width) {
      constexpr int N = decltype(width)::value;
      launch<NoShared>(unary_back_kernel<T, N>, blocks_for(a.n, kThreads * N), kThreads, current_stream(), a);
    });
  });
}

void dropout(const DropoutArgs& a) {
  if (a.n == 0) return;
  visit_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    const auto run = [&](auto kernel) {
      launch<NoShared>(kernel, blocks_for(a.n, kThreads * 4), kThreads, current_stream(), a);
    };
    packs(4, {a.x, a.y}, {a.n}) ? run(dropout_kernel<T, 4>) : run(dropout_kernel<T, 1>);
  });
}

}  // namespace engine::ENGINE_GPU
