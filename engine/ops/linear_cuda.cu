// Read first: linear_kernels.h, activation_cuda.h. Products go to the backend's gemm, in the type that they
// are formed in, and what surrounds them is one pass behind it. A product that nothing surrounds, or a bias
// alone, goes straight where it is wanted.
#include "engine/cuda/biased_product.h"
#include "engine/cuda/team.h"
#include "engine/kernel/copy.h"
#include "engine/ops/activation_cuda.h"
#include "engine/ops/linear_kernels.h"

namespace engine::ENGINE_GPU {
namespace {

constexpr int kThreads = 256;
constexpr int kPack = 4;  // elements a thread takes where rows are whole packs

/// f(C, T, integral_constant N)
template <class F>
void visit_linear(DType dtype, bool packed, F&& f) {
  visit_float(dtype, [&](auto t) {
    using C = Compute<decltype(t)>;
    packed ? f(C(), t, std::integral_constant<int, kPack>()) : f(C(), t, std::integral_constant<int, 1>());
  });
}

// ---- y = act(x W^T + b) + residual
// --------------------------------------------------------------------------
struct Finish {
  LinearForward a;
  const void* product;  // [m, n], compute dtype
};
template <class C, class T, int N>
__global__ void __launch_bounds__(kThreads, 1) finish_kernel(Finish f) {
  const LinearForward& a = f.a;
  const Place<N> at(a.m, a.n);
  if (!at.inside) return;
  const int64_t i = at.row * a.n + at.column;
  C z[N];
  load_n(global(static_cast<const C*>(f.product)) + i, z);
  if (a.bias) {
    C bias[N];
    load_n(global(static_cast<const C*>(a.bias)) + at.column, bias);
#pragma unroll
    for (int j = 0; j < N; ++j) z[j] += bias[j];
  }
  if (a.pre) store_n(global(static_cast<T*>(a.pre)) + i, z, false);
#pragma unroll
  for (int j = 0; j < N; ++j) z[j] = activated(a.activation, z[j]).value;
  if (a.residual) {
    C residual[N];
    load_n(global(static_cast<const T*>(a.residual)) + i, residual);
#pragma unroll
    for (int j = 0; j < N; ++j) z[j] += residual[j];
  }
  store_n(global(static_cast<T*>(a.y)) + i, z, false);
}

// ---- g = dy act'(pre), db = its sums
// ------------------------------------------------------------------------ A thread walks kLinearRows rows of
// its columns.
template <class C, class T, int N>
__global__ void __launch_bounds__(kThreads, 1) gradient_kernel(LinearGradient a) {
  const Place<N> at(ceil_divide(a.m, kLinearRows), a.n);
  if (!at.inside) return;
  const int64_t first = at.row * kLinearRows, last = first + kLinearRows < a.m ? first + kLinearRows : a.m;
  C sum[N] = {};
  for (int64_t row = first; row < last; ++row) {
    const int64_t i = row * a.n + at.column;
    C g[N];
    load_n(global(static_cast<const T*>(a.dy)) + i, g);
    if (a.pre) {
      C pre[N];
      load_n(global(static_cast<const T*>(a.pre)) + i, pre);
#pragma unroll
      for (int j = 0; j < N; ++j) g[j] *= activated(a.activation, pre[j]).slope;
    }
    if (a.g) store_any(a.g, a.g_dtype, i, g, false);
#pragma unroll
    for (int j = 0; j < N; ++j) sum[j] += g[j];
  }
  if (a.db) store_n(global(static_cast<C*>(a.partials)) + (at.row * a.n + at.column), sum, false);
}

// 32 columns a block; eight warps share the chunks, and the first adds up what the eight have.
struct SumShared {
  SharedArray<double, kThreads> parts;
};
template <class C>
__global__ void __launch_bounds__(kThreads, 1) add_chunks_kernel(LinearGradient a) {
  constexpr int kWarps = kThreads / 32;
  auto& s = block_shared<SumShared>();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int64_t column = int64_t(blockIdx.x) * 32 + lane;
  double sum = 0;
  if (column < a.n)
    for (int64_t chunk = warp; chunk < ceil_divide(a.m, kLinearRows); chunk += kWarps) {
      const C part = global(static_cast<const C*>(a.partials))[chunk * a.n + column];
      sum += double(part);
    }
  s.parts[warp * 32 + lane] = sum;
  __syncthreads();
  if (warp > 0 || column >= a.n) return;
  for (int k = 1; k < kWarps; ++k) {
    const double part = s.parts[k * 32 + lane];
    sum += part;
  }
  store_any(a.db, a.db_dtype, column, C(sum), a.accumulate_db);
}

// ---- dx = (g W) act'(x), h = act(x)
// -------------------------------------------------------------------------
struct FinishInput {
  LinearInputGradient a;
  const void* product;  // [m, k], compute dtype
};
template <class C, class T, int N>
__global__ void __launch_bounds__(kThreads, 1) finish_input_kernel(FinishInput f) {
  const LinearInputGradient& a = f.a;
  const Place<N> at(a.m, a.k);
  if (!at.inside) return;
  C d[N], x[N], h[N];
  load_n(global(static_cast<const C*>(f.product)) + (at.row * a.k + at.column), d);
  load_n(global(static_cast<const T*>(a.x)) + (at.row * a.x_stride + at.column), x);
#pragma unroll
  for (int j = 0; j < N; ++j) {
    const Activated<C> act = activated(a.activation, x[j]);
    d[j] *= act.slope, h[j] = act.value;
  }
  store_n(global(static_cast<T*>(a.dx)) + (at.row * a.dx_stride + at.column), d, a.accumulate);
  if (a.h) store_n(global(static_cast<T*>(a.h)) + (at.row * a.k + at.column), h, false);
}

// ---- y = x W^T + b, where cuBLASLt adds the bias -------------------------------------------------------------
bool takes_bias(const LinearForward& a) {
  const bool one_dtype = a.x.dtype == a.weight.dtype && a.x.dtype != DType::f64;
  return one_dtype && (a.dtype == a.x.dtype || a.dtype == DType::f32) && a.k > 0 && !a.wide;
}

/// It takes a bias of y's dtype: in 16 bits a rounded one, as PyTorch's autocast does.
void multiply_with_bias(const Gemm& g, const void* bias) {
  if (g.c_dtype == DType::f32) return biased_gemm(g, bias);
  const Scratch rounded(size_t(g.n * size_of(g.c_dtype)));
  copy({.from = bias,
        .to = rounded.as<void>(),
        .from_dtype = DType::f32,
        .to_dtype = g.c_dtype,
        .rank = 1,
        .size = {g.n},
        .from_stride = {1},
        .to_stride = {1}});
  biased_gemm(g, rounded.as<void>());
}

}  // namespace

void linear_forward(const LinearForward& a) {
  if (a.m * a.n == 0) return;
  Gemm g{.a = a.x,
         .b = a.weight,
         .m = a.m,
         .n = a.n,
         .k = a.k,
         .c = a.y,
         .c_stride = a.n,
         .c_dtype = a.dtype,
         .wide = a.wide};
  g.b.transposed = true;
  if (!a.residual && !a.pre && a.activation == Activation::identity) {
    if (!a.bias) return gemm(g);
    if (takes_bias(a)) return multiply_with_bias(g, a.bias);
  }
  g.c_dtype = compute_dtype(a.dtype);
  const Scratch product(size_t(a.m * a.n * size_of(g.c_dtype)));
  g.c = product.as<void>();
  gemm(g);
  const Finish finish{a, g.c};
  visit_linear(a.dtype, packs(kPack, {a.bias, a.residual, a.pre, a.y}, {a.n}),
               [&](auto c, auto t, auto width) {
                 constexpr int N = decltype(width)::value;
                 launch<NoShared>(finish_kernel<decltype(c), decltype(t), N>,
                                  blocks_for(a.m * a.n, kThreads * N), kThreads, current_stream(), finish);
               });
}

void linear_gradient(const LinearGradient& a) {
  if (a.n == 0) return;
  visit_linear(a.dtype, packs(kPack, {a.dy, a.pre, a.g, a.partials}, {a.n}), [&](auto c, auto t, auto width) {
    using C = decltype(c);
    constexpr int N = decltype(width)::value;
    if (a.m > 0)
      launch<NoShared>(gradient_kernel<C, decltype(t), N>,
                       blocks_for(ceil_divide(a.m, kLinearRows) * a.n, kThreads * N), kThreads,
                       current_stream(), a);
    if (a.db) launch<SumShared>(add_chunks_kernel<C>, blocks_for(a.n, 32), kThreads, current_stream(), a);
  });
}

void linear_input_gradient(const LinearInputGradient& a) {
  if (a.m * a.k == 0) return;
  Gemm g{.a = a.g, .b = a.weight, .m = a.m, .n = a.k, .k = a.n, .c_stride = a.k, .wide = a.wide};
  g.c_dtype = compute_dtype(a.dtype);
  const Scratch product(size_t(a.m * a.k * size_of(g.c_dtype)));
  g.c = product.as<void>();
  gemm(g);
  const FinishInput finish{a, g.c};
  const bool packed = packs(kPack, {a.x, a.dx, a.h}, {a.k, a.x_stride, a.dx_stride});
  visit_linear(a.dtype, packed, [&](auto c, auto t, auto width) {
    constexpr int N = decltype(width)::value;
    launch<NoShared>(finish_input_kernel<decltype(c), decltype(t), N>, blocks_for(a.m * a.k, kThreads * N),
                     kThreads, current_stream(), finish);
  });
}

}  // namespace engine::ENGINE_GPU
