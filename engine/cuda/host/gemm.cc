// Products on the stand-in: the processor's, on the same memory and in the order of the stream. (On a GPU
// they are cuBLASLt's: there is no kernel of ours to be tested here.)
#include "engine/kernel/gemm.h"

#include <vector>

#include "engine/cuda/biased_product.h"
#include "engine/cuda/host/access.h"
#include "engine/cuda/host/count.h"
#include "engine/cuda/host/settings.h"
#include "engine/cuda/host/stream.h"

namespace engine::cuda_host {
namespace {

/// Bytes from the first element of a matrix to its last.
size_t extent(int64_t rows, int64_t columns, int64_t stride, int64_t batch, int64_t distance, DType dtype) {
  return size_t(((batch - 1) * distance + (rows - 1) * stride + columns) * size_of(dtype));
}

void check_operand(const GemmOperand& x, int64_t rows, int64_t columns, int64_t batch, int64_t distance,
                   standin::Where where) {
  if (x.transposed) std::swap(rows, columns);
  standin::copy_access(x.data, extent(rows, columns, x.stride, batch, distance, x.dtype),
                       standin::Access::read, where);
}

void count(const Gemm& g, standin::Where where) {
  const auto bytes = [&](int64_t rows, int64_t columns, int64_t distance, DType dtype) {
    return uint64_t((distance ? g.batch : 1) * rows * columns * size_of(dtype));
  };
  const uint64_t c = bytes(g.m, g.n, g.c_batch ? g.c_batch : 1, g.c_dtype);
  standin::count_product(
      where,
      bytes(g.m, g.k, g.a_batch, g.a.dtype) + bytes(g.k, g.n, g.b_batch, g.b.dtype) + (g.accumulate ? c : 0),
      c, uint64_t(2 * g.m * g.n * g.k * g.batch), size_of(g.a.dtype) == 2 && size_of(g.b.dtype) == 2);
}

/// C = sums + bias, rounded once.
void store_biased(const Gemm& g, const std::vector<float>& sums, const void* bias) {
  visit_float(g.c_dtype, [&](auto t) {
    using T = decltype(t);
    if constexpr (sizeof(T) <= sizeof(float))
      for (int64_t i = 0; i < g.m; ++i)
        for (int64_t j = 0; j < g.n; ++j)
          static_cast<T*>(g.c)[i * g.c_stride + j] =
              narrow<T>(sums[size_t(i * g.n + j)] + widen(static_cast<const T*>(bias)[j]));
  });
}

void multiply(const Gemm& g, const void* bias, standin::Where where) {
  standin::current_stream().call(
      [g, bias, where] {
        Gemm on_host = g;
        if (g.k > 0) {
          check_operand(g.a, g.m, g.k, g.batch, g.a_batch, where);
          check_operand(g.b, g.k, g.n, g.batch, g.b_batch, where);
        }
        standin::copy_access(g.c, extent(g.m, g.n, g.c_stride, g.batch, g.c_batch, g.c_dtype),
                             standin::Access::write, where);
        on_host.a.data = standin::kernel_view(g.a.data);
        on_host.b.data = standin::kernel_view(g.b.data);
        on_host.c = standin::kernel_view(g.c);
        if (bias) {
          standin::copy_access(bias, size_t(g.n * size_of(g.c_dtype)), standin::Access::read, where);
          std::vector<float> sums(size_t(g.m * g.n));
          Gemm wide = on_host;
          wide.c = sums.data(), wide.c_stride = g.n, wide.c_dtype = DType::f32;
          cpu::gemm(wide);
          store_biased(on_host, sums, standin::kernel_view(bias));
        } else {
          cpu::gemm(on_host);
        }
        if (standin::settings().count) count(g, where);
      },
      where);
}

}  // namespace

void gemm(const Gemm& g) {
  if (g.m == 0 || g.n == 0 || g.batch == 0) return;
  multiply(g, nullptr, standin::Where::here());
}

void biased_gemm(const Gemm& g, const void* bias) {
  if (g.m * g.n > 0) multiply(g, bias, standin::Where::here());
}

}  // namespace engine::cuda_host
