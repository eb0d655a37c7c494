// The product of kernel/gemm.h on a GPU: cuBLASLt's, and around it what cuBLASLt does not do. Operands of two
// dtypes meet in f32, small f32 products that are to be formed in double do so (engine/kernel/wide.h), and
// results that cuBLASLt cannot store are stored by a copy. Read first: cublaslt.h.
#include <optional>
#include <utility>

#include "engine/core/allocator.h"
#include "engine/cuda/biased_product.h"
#include "engine/cuda/real/cublaslt.h"
#include "engine/cuda/real/register.h"
#include "engine/kernel/copy.h"

namespace engine::cuda {
namespace {

/// Matrices in another dtype, [batch][rows][columns] without gaps, in memory that is given back in the
/// stream's order.
class Converted {
 public:
  Converted(int64_t batch, int64_t rows, int64_t columns, DType dtype)
      : size_{batch, rows, columns}, dtype_(dtype), p_(allocate(Device::cuda, bytes())) {}
  ~Converted() { release(Device::cuda, p_, bytes()); }
  Converted(const Converted&) = delete;
  Converted& operator=(const Converted&) = delete;

  void* data() const { return p_; }
  int64_t stride() const { return size_[2]; }
  int64_t distance() const { return size_[1] * size_[2]; }
  void load(const void* from, DType dtype, int64_t stride, int64_t distance) const {
    CopyArgs a = copy_args(stride, distance);
    a.from = from, a.to = p_, a.from_dtype = dtype, a.to_dtype = dtype_;
    kernel::copy(Device::cuda, a);
  }
  void store(void* to, DType dtype, int64_t stride, int64_t distance, bool accumulate) const {
    CopyArgs a = copy_args(stride, distance);
    std::swap(a.from_stride, a.to_stride);
    a.from = p_, a.to = to, a.from_dtype = dtype_, a.to_dtype = dtype, a.accumulate = accumulate;
    kernel::copy(Device::cuda, a);
  }

 private:
  size_t bytes() const { return size_t(size_[0] * size_[1] * size_[2] * size_of(dtype_)); }
  /// From matrices with gaps to these.
  CopyArgs copy_args(int64_t stride, int64_t distance) const {
    CopyArgs a{};
    a.rank = 3;
    const int64_t far[] = {distance, stride, 1}, near[] = {this->distance(), this->stride(), 1};
    for (int axis = 0; axis < 3; ++axis)
      a.size[axis] = size_[axis], a.from_stride[axis] = far[axis], a.to_stride[axis] = near[axis];
    return a;
  }

  int64_t size_[3];
  DType dtype_;
  void* p_;
};

/// An operand as it is, or converted.
class Operand {
 public:
  Operand(const GemmOperand& x, int64_t rows, int64_t columns, int64_t batch, int64_t distance, DType dtype)
      : operand(x), distance(distance) {
    if (x.dtype == dtype) return;
    if (x.transposed) std::swap(rows, columns);
    converted_.emplace(distance ? batch : 1, rows, columns, dtype);
    converted_->load(x.data, x.dtype, x.stride, distance);
    operand.data = converted_->data(), operand.stride = converted_->stride(), operand.dtype = dtype;
    this->distance = distance ? converted_->distance() : 0;
  }
  GemmOperand operand;
  int64_t distance;

 private:
  std::optional<Converted> converted_;
};

}  // namespace

void gemm(const Gemm& g) {
  if (g.m == 0 || g.n == 0 || g.batch == 0) return;
  if (g.k == 0) {
    for (int64_t b = 0; b < (g.accumulate ? 0 : g.batch); ++b)
      for (int64_t row = 0; row < g.m; ++row)
        runtime().fill(static_cast<char*>(g.c) + (b * g.c_batch + row * g.c_stride) * size_of(g.c_dtype), 0,
                       size_t(g.n * size_of(g.c_dtype)));
    return;
  }
  const DType common = g.a.dtype == g.b.dtype ? g.a.dtype : DType::f32;
  const DType compute = g.wide && common == DType::f32 ? DType::f64 : common;
  const Operand a(g.a, g.m, g.k, g.batch, g.a_batch, compute), b(g.b, g.k, g.n, g.batch, g.b_batch, compute);
  Gemm product = g;
  product.a = a.operand, product.b = b.operand, product.a_batch = a.distance, product.b_batch = b.distance;
  const bool storable = g.c_dtype == compute || (g.c_dtype == DType::f32 && size_of(compute) == 2);
  if (storable) return products().multiply(product);
  const Converted result(g.batch, g.m, g.n, size_of(compute) == 2 ? DType::f32 : compute);
  product.c = result.data(), product.c_stride = result.stride(), product.c_batch = result.distance();
  product.c_dtype = size_of(compute) == 2 ? DType::f32 : compute, product.accumulate = false;
  products().multiply(product);
  result.store(g.c, g.c_dtype, g.c_stride, g.c_batch, g.accumulate);
}

void biased_gemm(const Gemm& g, const void* bias) {
  if (g.m * g.n > 0) products().multiply(g, bias);
}

}  // namespace engine::cuda
