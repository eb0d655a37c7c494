// Read first: grouped_linear_kernels.h, engine/kernel/gemm.h. A product a group.
#include "engine/ops/grouped_linear_kernels.h"

#include "engine/kernel/gemm.h"
#include "engine/kernel/wide.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

const void* moved(const void* p, int64_t elements, DType dtype) {
  return static_cast<const char*>(p) + elements * size_of(dtype);
}
void* moved(void* p, int64_t elements, DType dtype) {
  return static_cast<char*>(p) + elements * size_of(dtype);
}

void multiply(Gemm g) {
  g.wide = is_wide(Device::cpu, g.m * g.n * g.k);
  gemm(g);
}

}  // namespace

void grouped_product(const GroupedProduct& a) {
  for (int64_t e = 0; e < a.groups; ++e) {
    const int64_t begin = a.offsets[e], rows = a.offsets[e + 1] - begin;
    multiply({.a = {moved(a.x, begin * a.k, a.dtype), a.k, a.dtype, false},
              .b = {moved(a.weight, e * a.n * a.k, a.dtype), a.transposed ? a.k : a.n, a.dtype, a.transposed},
              .m = rows,
              .n = a.n,
              .k = a.k,
              .c = moved(a.y, begin * a.n, a.y_dtype),
              .c_stride = a.n,
              .c_dtype = a.y_dtype,
              .accumulate = a.accumulate});
  }
}

void grouped_gradient(const GroupedGradient& a) {
  for (int64_t e = 0; e < a.groups; ++e) {  // a group without rows gets zeros: k = 0
    const int64_t begin = a.offsets[e], rows = a.offsets[e + 1] - begin;
    multiply({.a = {moved(a.dy, begin * a.n, a.dtype), a.n, a.dtype, true},
              .b = {moved(a.x, begin * a.k, a.dtype), a.k, a.dtype, false},
              .m = a.n,
              .n = a.k,
              .k = rows,
              .c = moved(a.dw, e * a.n * a.k, a.dw_dtype),
              .c_stride = a.k,
              .c_dtype = a.dw_dtype,
              .accumulate = a.accumulate});
  }
}

}  // namespace engine::cpu::ENGINE_ISA
