// Read first: linear_kernels.h, engine/cpu/finished_gemm.h.
#include "engine/ops/linear_kernels.h"

#include "engine/cpu/finished_gemm.h"
#include "engine/cpu/row.h"
#include "engine/ops/activation_chunk.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

// A finished tile of x W^T, still in the cache: bias, pre-activation, activation, residual, one rounding.
template <class T>
void finish_tile(const void* context, const GemmTile& tile) {
  using C = Compute<T>;
  const auto& a = *static_cast<const LinearForward*>(context);
  visit_activation(a.activation, [&](auto act) {
    for (int64_t r = 0; r < tile.rows; ++r) {
      const C* sums = static_cast<const C*>(tile.values) + r * tile.stride;
      const C* bias = a.bias ? static_cast<const C*>(a.bias) + tile.col : nullptr;
      const int64_t first = (tile.row + r) * a.n + tile.col;
      const T* residual = a.residual ? static_cast<const T*>(a.residual) + first : nullptr;
      T *pre = a.pre ? static_cast<T*>(a.pre) + first : nullptr, *y = static_cast<T*>(a.y) + first;
      each_read<decltype(act), C>(
          tile.cols,
          [&](auto lane, int64_t i, int64_t n) {
            using P = decltype(lane);
            const P z = get<P>(sums + i, n);
            return bias ? P(z + get<P>(bias + i, n)) : z;
          },
          [&](int64_t i, int64_t n, const auto& z, const auto& value, const auto&) {
            using P = std::decay_t<decltype(z)>;
            if (pre) put(pre + i, n, z);
            put(y + i, n, residual ? P(value + get<P>(residual + i, n)) : value);
          });
    }
  });
}

template <class T>
void gradient(const LinearGradient& a) {
  using C = Compute<T>;
  const int64_t chunks = (a.m + kLinearRows - 1) / kLinearRows;
  parallel_chunks(a.m, kLinearRows, [&](int64_t begin, int64_t end) {
    C dy_buffer[kChunk], pre_buffer[kChunk], result[kChunk];
    each_chunk(0, a.n, [&](int64_t i, int64_t m) {
      C* sums = static_cast<C*>(a.partials) + begin / kLinearRows * a.n + i;
      if (a.db) out(sums, m).setZero();
      for (int64_t r = begin; r < end; ++r) {
        const C* g = load(static_cast<const T*>(a.dy) + r * a.n + i, m, dy_buffer);
        if (a.pre) {
          activation_gradients(a.activation, load(static_cast<const T*>(a.pre) + r * a.n + i, m, pre_buffer),
                               g, result, m);
          g = result;
        }
        if (a.g) store_row(a.g, a.g_dtype, r * a.n + i, g, m, false);
        if (a.db) out(sums, m) += in(g, m);
      }
    });
  });
  if (!a.db) return;
  parallel_chunks(a.n, kChunk, [&](int64_t begin, int64_t end) {
    C sum[kChunk];
    const int64_t m = end - begin;
    out(sum, m).setZero();
    for (int64_t chunk = 0; chunk < chunks; ++chunk)
      out(sum, m) += in(static_cast<const C*>(a.partials) + chunk * a.n + begin, m);
    if constexpr (std::is_same_v<C, double>)
      store(static_cast<double*>(a.db) + begin, sum, m, a.accumulate_db);
    else if (a.db_dtype == DType::f32)
      store(static_cast<float*>(a.db) + begin, sum, m, a.accumulate_db);
    else if (a.db_dtype == DType::bf16)
      store(static_cast<bf16*>(a.db) + begin, sum, m, a.accumulate_db);
    else
      store(static_cast<f16*>(a.db) + begin, sum, m, a.accumulate_db);
  });
}

// A finished tile of g W, still in the cache: times act'(x).
template <class T>
void finish_input_tile(const void* context, const GemmTile& tile) {
  using C = Compute<T>;
  const auto& a = *static_cast<const LinearInputGradient*>(context);
  for (int64_t r = 0; r < tile.rows; ++r) {
    const int64_t row = tile.row + r;
    const C* sums = static_cast<const C*>(tile.values) + r * tile.stride;
    const T* x = static_cast<const T*>(a.x) + row * a.x_stride + tile.col;
    T* dx = static_cast<T*>(a.dx) + row * a.dx_stride + tile.col;
    T* h = a.h ? static_cast<T*>(a.h) + row * a.k + tile.col : nullptr;
    each_activation(a.activation, x, tile.cols,
                    [&](int64_t i, int64_t n, const auto& value, const auto& slope) {
                      using P = std::decay_t<decltype(slope)>;
                      if (h) put(h + i, n, P(value));
                      const P d = get<P>(sums + i, n) * slope;
                      put(dx + i, n, a.accumulate ? P(get<P>(dx + i, n) + d) : d);
                    });
  }
}

}  // namespace

void linear_forward(const LinearForward& a) {
  FinishedGemm g{{.a = a.x,
                  .b = a.weight,
                  .m = a.m,
                  .n = a.n,
                  .k = a.k,
                  .c = a.y,
                  .c_stride = a.n,
                  .c_dtype = a.dtype,
                  .wide = a.wide}};
  g.b.transposed = true;
  if (a.bias || a.residual || a.pre || a.activation != Activation::identity) {
    visit_float(a.dtype, [&](auto t) { g.finish = finish_tile<decltype(t)>; });
    g.context = &a;
  }
  finished_gemm(g);
}

void linear_gradient(const LinearGradient& a) {
  visit_float(a.dtype, [&](auto t) { gradient<decltype(t)>(a); });
}

void linear_input_gradient(const LinearInputGradient& a) {
  FinishedGemm g{{.a = a.g, .b = a.weight, .m = a.m, .n = a.k, .k = a.n, .wide = a.wide}};
  g.context = &a;
  visit_float(a.dtype, [&](auto t) { g.finish = finish_input_tile<decltype(t)>; });
  finished_gemm(g);
}

}  // namespace engine::cpu::ENGINE_ISA
