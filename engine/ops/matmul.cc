// Read first: linear.h (the API), products.h.
#include "engine/ops/linear.h"
#include "engine/ops/products.h"
#include "engine/ops/view.h"

namespace engine {
namespace {

// The matrices of a batch: `count` of them, or one that every product of the batch shares.
struct Matrices {
  explicit Matrices(const Tensor& t, bool transposed)
      : operand(matrix_of(t, transposed)), size(t.size(-2) * t.size(-1)) {
    if (size > 0) count = t.numel() / size;
  }
  Matrices flipped() const {
    Matrices other = *this;
    other.operand.transposed = !operand.transposed;
    return other;
  }
  int64_t step(int64_t batch) const { return count == batch ? size : 0; }
  GemmOperand operand;
  int64_t size, count = 1;
};

Gemm product(const Matrices& a, const Matrices& b, const Tensor& c, int64_t m, int64_t n, int64_t k) {
  return {.a = a.operand,
          .b = b.operand,
          .m = m,
          .n = n,
          .k = k,
          .c = c.raw(),
          .c_stride = n,
          .c_dtype = c.dtype()};
}

// C_i (+)= A_i B_i for each matrix of the batch.
void multiply(const Matrices& a, const Matrices& b, const Into& c, int64_t batch, int64_t m, int64_t n,
              int64_t k) {
  Gemm g = product(a, b, c.buffer, m, n, k);
  g.accumulate = c.accumulate;
  g.batch = batch, g.a_batch = a.step(batch), g.b_batch = b.step(batch), g.c_batch = m * n;
  run_product(c.buffer.device(), g);
}

// C (+)= sum over the batch of A_i B_i: the gradient of an operand that the batch shares. Summed in the
// compute dtype.
void multiply_sum(const Matrices& a, const Matrices& b, const Into& c, int64_t batch, int64_t m, int64_t n,
                  int64_t k) {
  const bool wide = c.buffer.dtype() == compute_dtype(c.buffer.dtype());
  const Tensor sum = wide ? c.buffer : c.buffer.like(c.buffer.shape(), DType::f32);
  if (batch == 0 && !(wide && c.accumulate)) sum.fill(0);
  Gemm g = product(a, b, sum, m, n, k);
  for (int64_t i = 0; i < batch; ++i) {
    g.accumulate = i > 0 || (wide && c.accumulate);
    run_product(c.buffer.device(), g);
    g.a = advanced(g.a, a.step(batch));
    g.b = advanced(g.b, b.step(batch));
  }
  if (!wide) c.buffer.copy_from(sum, c.accumulate);
}

// With C = op(A) op(B):   dA = dC op(B)^T, or its transpose op(B) dC^T
//                         dB = op(A)^T dC, or its transpose dC^T op(A)
struct MatmulNode : NodeOf<MatmulNode> {
  static constexpr const char* kName = "matmul";
  Saved a, b;
  bool ta = false, tb = false;
  int64_t batch = 1, rows = 0;  // products, and rows of C in each
  auto saved() { return std::tie(a, b); }

  void backward(Backward& back) override {
    const Tensor dy = back.dy();
    const Matrices A(a.get(), ta), B(b.get(), tb), dC(dy, false);
    const int64_t m = rows, n = dy.size(-1), k = a.get().size(ta ? -2 : -1);
    if (back.wants(0)) {
      const Into da = back.into(0);
      const auto form = da.buffer.rank() == dy.rank() ? multiply : multiply_sum;
      ta ? form(B, dC.flipped(), da, batch, k, m, n) : form(dC, B.flipped(), da, batch, m, k, n);
    }
    if (back.wants(1)) {
      const Into db = back.into(1);
      const auto form = db.buffer.rank() == dy.rank() ? multiply : multiply_sum;
      tb ? form(dC.flipped(), A, db, batch, n, k, m) : form(A.flipped(), dC, db, batch, k, n, m);
    }
  }
};

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, Transpose transpose_a, Transpose transpose_b) {
  const bool ta = transpose_a == Transpose::yes, tb = transpose_b == Transpose::yes;
  check(is_float(a.dtype()) && a.dtype() == b.dtype(),
        "matmul: needs two floating operands of one dtype, got ", a.dtype(), " and ", b.dtype());
  check(a.rank() >= 2 && b.rank() >= 2, "matmul: operands need at least two axes, got ", a.shape(), " and ",
        b.shape());
  const int64_t m = a.size(ta ? -1 : -2), k = a.size(ta ? -2 : -1);
  const int64_t inner = b.size(tb ? -1 : -2), n = b.size(tb ? -2 : -1);
  check(k == inner, "matmul: inner sizes ", k, " and ", inner, " differ: ", a.shape(),
        ta ? " transposed" : "", " times ", b.shape(), tb ? " transposed" : "");
  const Shape leading_a = a.shape().leading().leading(), leading_b = b.shape().leading().leading();
  check(leading_a == leading_b || leading_a.rank() == 0 || leading_b.rank() == 0,
        "matmul: leading axes must be equal, or absent on one side, got ", a.shape(), " and ", b.shape());

  Shape shape = leading_a.rank() ? leading_a : leading_b;
  int64_t batch = shape.numel(), rows = m;
  shape.append(m);
  shape.append(n);
  if (leading_b.rank() == 0 && !ta) rows *= batch, batch = 1;  // one tall product
  const Tensor left = contiguous(a), right = contiguous(b);
  Tensor c = a.like(shape, a.dtype());
  multiply(Matrices(left, ta), Matrices(right, tb), {c, false}, batch, rows, n, k);
  if (Tape* tape = recording({&left, &right})) {
    auto& node = tape->record<MatmulNode>({&left, &right}, {&c});
    node.a = left, node.b = right, node.ta = ta, node.tb = tb, node.batch = batch, node.rows = rows;
  }
  return c;
}

}  // namespace engine
