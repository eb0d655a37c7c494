// A library with cuBLASLt's functions, for tests of what calls them: products by plain loops over
// column-major matrices in the host's memory, as cuBLASLt's manual defines them.
#include <dlfcn.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "engine/core/dtype.h"
#include "fake_device.h"

namespace {

using namespace engine;

FakeDevice& device() {
  // The driver's library, which is open already.
  static auto* found =
      static_cast<FakeDevice*>(dlsym(dlopen(FAKE_CUDA, RTLD_NOW | RTLD_NOLOAD), "fake_device"));
  return *found;
}

struct Product {
  int compute, scale;
  int32_t transpose_a = 0, transpose_b = 0, epilogue = 1;
  const void* bias = nullptr;
};
struct Matrix {
  int type;
  uint64_t rows, columns;
  int64_t stride;
  int32_t batch = 1;
  int64_t distance = 0;
};

double element(const void* base, const Matrix& m, int64_t batch, int64_t row, int64_t column) {
  const int64_t i = batch * m.distance + column * m.stride + row;
  switch (m.type) {
    case 1: return static_cast<const double*>(base)[i];
    case 14: return double(widen(static_cast<const bf16*>(base)[i]));
    case 2: return double(widen(static_cast<const f16*>(base)[i]));
    default: return double(static_cast<const float*>(base)[i]);
  }
}
void set_element(void* base, const Matrix& m, int64_t batch, int64_t row, int64_t column, double v) {
  const int64_t i = batch * m.distance + column * m.stride + row;
  switch (m.type) {
    case 1: static_cast<double*>(base)[i] = v; break;
    case 14: static_cast<bf16*>(base)[i] = narrow<bf16>(float(v)); break;
    case 2: static_cast<f16*>(base)[i] = narrow<f16>(float(v)); break;
    default: static_cast<float*>(base)[i] = float(v);
  }
}
template <class T>
int set(T& field, const void* value, size_t bytes) {
  if (bytes != sizeof(T)) return 7;
  std::memcpy(&field, value, bytes);
  return 0;
}

}  // namespace

extern "C" {

int cublasLtCreate(void** handle) {
  *handle = &device();
  return 0;
}
int cublasLtDestroy(void*) { return 0; }
int cublasLtMatmulDescCreate(void** product, int compute, int scale) {
  *product = new Product{compute, scale};
  return 0;
}
int cublasLtMatmulDescDestroy(void* product) {
  delete static_cast<Product*>(product);
  return 0;
}
int cublasLtMatmulDescSetAttribute(void* product, int attribute, const void* value, size_t bytes) {
  auto* p = static_cast<Product*>(product);
  if (attribute == 3) return set(p->transpose_a, value, bytes);
  if (attribute == 4) return set(p->transpose_b, value, bytes);
  if (attribute == 7) return set(p->epilogue, value, bytes);
  if (attribute == 8) return set(p->bias, value, bytes);
  return 7;
}
int cublasLtMatrixLayoutCreate(void** matrix, int type, uint64_t rows, uint64_t columns, int64_t stride) {
  if (stride < int64_t(rows)) return 7;
  *matrix = new Matrix{type, rows, columns, stride};
  return 0;
}
int cublasLtMatrixLayoutDestroy(void* matrix) {
  delete static_cast<Matrix*>(matrix);
  return 0;
}
int cublasLtMatrixLayoutSetAttribute(void* matrix, int attribute, const void* value, size_t bytes) {
  auto* m = static_cast<Matrix*>(matrix);
  if (attribute == 5) return set(m->batch, value, bytes) || m->batch > 65535 ? 7 : 0;
  if (attribute == 6) return set(m->distance, value, bytes);
  return 7;
}
int cublasLtMatmulPreferenceCreate(void** preference) {
  *preference = &device();
  return 0;
}
int cublasLtMatmulPreferenceDestroy(void*) { return 0; }
int cublasLtMatmulPreferenceSetAttribute(void*, int attribute, const void* value, size_t bytes) {
  uint64_t workspace = 0;
  if (attribute == 1) return set(workspace, value, bytes);
  if (attribute == 3) return set(device().reductions, value, bytes);
  if (attribute >= 5 && attribute <= 8) return set(device().alignment, value, bytes);
  return 7;
}
int cublasLtMatmulAlgoGetHeuristic(void*, void* product, void*, void*, void*, void*, void*, int, void* found,
                                   int* count) {
  const auto& p = *static_cast<Product*>(product);
  if ((p.epilogue == 4) != (p.bias != nullptr)) return 7;
  ++device().heuristics;
  std::memset(found, 0, 64 + 8 + 4 + 4 + 16);
  *count = device().no_algorithm ? 0 : 1;
  return device().no_algorithm ? 15 : 0;
}
int cublasLtMatmul(void*, void* product, const void* alpha, const void* a, void* a_matrix, const void* b,
                   void* b_matrix, const void* beta, const void* c, void* c_matrix, void* d, void* d_matrix,
                   const void*, void*, size_t, void*) {
  if (device().product_result != 0) return device().product_result;
  const auto& p = *static_cast<Product*>(product);
  const auto &A = *static_cast<Matrix*>(a_matrix), &B = *static_cast<Matrix*>(b_matrix),
             &C = *static_cast<Matrix*>(c_matrix);
  if (c != d || c_matrix != d_matrix || A.type != B.type) return 15;
  if ((p.compute == 70) != (A.type == 1) || (p.scale == 1) != (A.type == 1)) return 15;
  if (A.type == 1 ? C.type != 1 : C.type != A.type && C.type != 0) return 15;
  const auto scalar = [&](const void* x) {
    return p.scale == 1 ? *static_cast<const double*>(x) : double(*static_cast<const float*>(x));
  };
  const int64_t m = int64_t(p.transpose_a ? A.columns : A.rows),
                k = int64_t(p.transpose_a ? A.rows : A.columns),
                n = int64_t(p.transpose_b ? B.rows : B.columns);
  if (k != int64_t(p.transpose_b ? B.columns : B.rows) || m != int64_t(C.rows) || n != int64_t(C.columns))
    return 7;
  for (int64_t batch = 0; batch < C.batch; ++batch)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t i = 0; i < m; ++i) {
        double sum = 0;
        for (int64_t l = 0; l < k; ++l)
          sum += (p.transpose_a ? element(a, A, batch, l, i) : element(a, A, batch, i, l)) *
                 (p.transpose_b ? element(b, B, batch, j, l) : element(b, B, batch, l, j));
        sum *= scalar(alpha);
        if (scalar(beta) != 0) sum += scalar(beta) * element(c, C, batch, i, j);
        if (p.epilogue == 4) sum += element(p.bias, Matrix{C.type, C.rows, 1, int64_t(C.rows)}, 0, i, 0);
        set_element(d, C, batch, i, j, sum);
      }
  ++device().products;
  return 0;
}

}  // extern "C"
