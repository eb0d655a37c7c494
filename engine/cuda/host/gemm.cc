// Products on the stand-in: the processor's, on the same memory and in the order of the stream. (On a GPU
// they are cuBLASLt's: there is no kernel of ours to be tested here.)
#include "engine/kernel/gemm.h"

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

}  // namespace

void gemm(const Gemm& g) {
  if (g.m == 0 || g.n == 0 || g.batch == 0) return;
  const standin::Where where = standin::Where::here();
  standin::current_stream().call(
      [g, where] {
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
        cpu::gemm(on_host);
        if (standin::settings().count) count(g, where);
      },
      where);
}

}  // namespace engine::cuda_host
