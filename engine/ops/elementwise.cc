// Read first: elementwise.h, elementwise_kernels.h.
#include "engine/ops/elementwise.h"

#include <algorithm>
#include <cmath>

#include "engine/ops/elementwise_kernels.h"
#include "engine/ops/reduce.h"
#include "engine/ops/view.h"

namespace engine {
namespace {

// ------------------------------------------------------------------------------------------ binary operators

const char* name_of(BinaryOp op) {
  constexpr const char* names[] = {"add", "sub", "mul", "div"};
  return names[int(op)];
}

DType wider(const char* op, DType a, DType b) {
  check(is_float(a) && is_float(b), op, ": needs floating operands, got ", a, " and ", b);
  check(a == b || std::min(a, b) <= DType::f32, op, ": no common dtype for ", a, " and ", b,
        "; cast one of them");
  return std::min(a, b);  // the order of DType
}

Shape broadcast(const char* op, const Shape& a, const Shape& b) {
  Shape y;
  const int rank = std::max(a.rank(), b.rank());
  for (int i = 0; i < rank; ++i) {
    const int at_a = i - rank + a.rank(), at_b = i - rank + b.rank();
    const int64_t m = at_a < 0 ? 1 : a[at_a], n = at_b < 0 ? 1 : b[at_b];
    check(m == n || m == 1 || n == 1, op, ": shapes ", a, " and ", b, " do not fit: axes must be equal or 1");
    y.append(m == 1 ? n : m);
  }
  return y;
}

// Sizes and strides of two operands stretched to `shape`, with axes merged where both allow it, so that
// tensors of one shape become one long row.
struct Walk {
  int rank = 0;
  int64_t size[kMaxRank], a_stride[kMaxRank], b_stride[kMaxRank];

  Walk(const Tensor& a, const Tensor& b, const Shape& shape) {
    for (int i = 0; i < shape.rank(); ++i) {
      if (shape[i] == 1) continue;
      const int64_t sa = stride_in(a, i - shape.rank()), sb = stride_in(b, i - shape.rank());
      if (rank > 0 && a_stride[rank - 1] == sa * shape[i] && b_stride[rank - 1] == sb * shape[i]) {
        size[rank - 1] *= shape[i];
        a_stride[rank - 1] = sa, b_stride[rank - 1] = sb;
      } else {
        size[rank] = shape[i], a_stride[rank] = sa, b_stride[rank++] = sb;
      }
    }
    if (rank == 0) size[0] = 1, a_stride[0] = b_stride[0] = 0, rank = 1;
  }
  static int64_t stride_in(const Tensor& t, int axis_from_end) {
    return axis_from_end < -t.rank() || t.size(axis_from_end) == 1 ? 0 : t.stride(axis_from_end);
  }
  template <class Args>
  void fill(Args& args) const {
    args.rank = rank;
    std::copy(size, size + rank, args.size);
    std::copy(a_stride, a_stride + rank, args.a_stride);
    std::copy(b_stride, b_stride + rank, args.b_stride);
  }
};

//   a + b: (dy, dy)    a - b: (dy, -dy)    a b: (dy b, dy a)    a / b: (dy / b, -dy a / b^2)
// each summed over the axes along which its operand was stretched.
struct BinaryNode : NodeOf<BinaryNode> {
  static constexpr const char* kName = "binary";
  Saved a, b;  // undefined for add and sub, whose gradients do not read them
  Shape shape[2];
  BinaryOp op = BinaryOp::add;
  auto saved() { return std::tie(a, b); }

  void backward(Backward& back) override {
    const Tensor dy = back.dy();
    for (int i = 0; i < 2; ++i) {
      if (!back.wants(i)) continue;
      const bool stretched = !(shape[i].numel() == dy.numel());
      const bool copies = op == BinaryOp::add || (op == BinaryOp::sub && i == 0);
      if (copies && !stretched) {
        back.pass(i, dy.reshape(shape[i]));
      } else if (!stretched) {
        const Into g = back.into(i);
        gradient(dy, i, g.buffer, g.accumulate);
      } else {
        Tensor g = dy;
        if (!copies) {
          g = dy.like(dy.shape(), compute_dtype(dy.dtype()));
          gradient(dy, i, g, false);
        }
        const Into into = back.into(i);
        sum_to_shape(g, into.buffer, into.accumulate);
      }
    }
  }

  void gradient(const Tensor& dy, int operand, const Tensor& g, bool accumulate) {
    if (dy.numel() == 0) return;
    const Tensor &x = a.defined() ? a.get() : dy, &y = b.defined() ? b.get() : dy;
    BinaryBackward args{.a = x.raw(),
                        .b = y.raw(),
                        .dy = dy.raw(),
                        .g = g.raw(),
                        .a_dtype = x.dtype(),
                        .b_dtype = y.dtype(),
                        .y_dtype = dy.dtype(),
                        .g_dtype = g.dtype(),
                        .op = op,
                        .of_a = operand == 0,
                        .accumulate = accumulate};
    Walk(x, y, dy.shape()).fill(args);
    kernel::binary_backward(g.device(), args);
  }
};

Tensor binary(BinaryOp op, const Tensor& a, const Tensor& b) {
  const DType dtype = wider(name_of(op), a.dtype(), b.dtype());
  Tensor y = a.like(broadcast(name_of(op), a.shape(), b.shape()), dtype);
  if (y.numel() > 0) {
    BinaryForward args{.a = a.raw(),
                       .b = b.raw(),
                       .y = y.raw(),
                       .a_dtype = a.dtype(),
                       .b_dtype = b.dtype(),
                       .y_dtype = dtype,
                       .op = op};
    Walk(a, b, y.shape()).fill(args);
    kernel::binary_forward(y.device(), args);
  }
  if (Tape* tape = recording({&a, &b})) {
    auto& node = tape->record<BinaryNode>({&a, &b}, {&y});
    node.op = op, node.shape[0] = a.shape(), node.shape[1] = b.shape();
    if (op == BinaryOp::mul || op == BinaryOp::div) node.a = a, node.b = b;
  }
  return y;
}

// ------------------------------------------------------------------------------------------- unary functions

const char* name_of(UnaryOp op) {
  constexpr const char* names[] = {"affine", "exp", "log", "sqrt", "square", "abs", "softcap"};
  return names[int(op)];
}

struct UnaryNode : NodeOf<UnaryNode> {
  static constexpr const char* kName = "unary";
  Saved x;  // undefined for affine
  UnaryOp op = UnaryOp::affine;
  double factor = 1;
  auto saved() { return std::tie(x); }

  void backward(Backward& b) override {
    const Tensor dy = b.dy();
    if (dy.numel() == 0) return;
    const Into dx = b.into(0);
    kernel::unary_backward(dy.device(),
                           {x.defined() ? x.get().raw() : nullptr, dy.raw(), dx.buffer.raw(), dy.numel(),
                            dy.dtype(), dx.buffer.dtype(), op, factor, dx.accumulate});
  }
};

Tensor unary(UnaryOp op, const Tensor& x, double factor = 1, double offset = 0) {
  check(is_float(x.dtype()), name_of(op), ": needs a floating input, got ", x.dtype());
  const Tensor in = contiguous(x);
  Tensor y = x.like(x.shape(), x.dtype());
  if (y.numel() > 0)
    kernel::unary_forward(y.device(), {in.raw(), y.raw(), y.numel(), x.dtype(), op, factor, offset});
  if (Tape* tape = recording({&in})) {
    auto& node = tape->record<UnaryNode>({&in}, {&y});
    node.op = op, node.factor = factor;
    if (op != UnaryOp::affine) node.x = in;
  }
  return y;
}

//   y = x        dx = dy, each in its own dtype
struct CastNode : NodeOf<CastNode> {
  static constexpr const char* kName = "cast";
  auto saved() { return std::tie(); }
  void backward(Backward& b) override {
    const Tensor dy = b.dy();
    const Into dx = b.into(0);
    dx.buffer.copy_from(dy, dx.accumulate);
  }
};

//   y = x m / (1 - p)        dx = dy m / (1 - p), m drawn again
struct DropoutNode : NodeOf<DropoutNode> {
  static constexpr const char* kName = "dropout";
  uint64_t seed = 0, first_block = 0;
  const uint64_t* seed_memory = nullptr;
  double p = 0;
  auto saved() { return std::tie(); }
  void backward(Backward& b) override {
    const Tensor dy = b.dy();
    if (dy.numel() == 0) return;
    const Into dx = b.into(0);
    kernel::dropout(dy.device(), {dy.raw(), dx.buffer.raw(), dy.numel(), dy.dtype(), dx.buffer.dtype(), seed,
                                  first_block, p, dx.accumulate, seed_memory});
  }
};

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) { return binary(BinaryOp::add, a, b); }
Tensor sub(const Tensor& a, const Tensor& b) { return binary(BinaryOp::sub, a, b); }
Tensor mul(const Tensor& a, const Tensor& b) { return binary(BinaryOp::mul, a, b); }
Tensor div(const Tensor& a, const Tensor& b) { return binary(BinaryOp::div, a, b); }

Tensor affine(const Tensor& x, double factor, double offset) {
  return unary(UnaryOp::affine, x, factor, offset);
}
Tensor exp(const Tensor& x) { return unary(UnaryOp::exp, x); }
Tensor log(const Tensor& x) { return unary(UnaryOp::log, x); }
Tensor sqrt(const Tensor& x) { return unary(UnaryOp::sqrt, x); }
Tensor square(const Tensor& x) { return unary(UnaryOp::square, x); }
Tensor abs(const Tensor& x) { return unary(UnaryOp::abs, x); }
Tensor softcap(const Tensor& x, double cap) {
  check(std::isfinite(cap) && cap > 0, "softcap: the cap must be positive, got ", cap);
  return unary(UnaryOp::softcap, x, cap);
}

Tensor constant(const Shape& shape, double value, DType dtype, Device device) {
  return affine(Tensor::zeros(shape, dtype, device), 0, value);
}

Tensor cast(const Tensor& x, DType dtype) {
  check(is_float(x.dtype()) && is_float(dtype), "cast: needs floating dtypes, got ", x.dtype(), " to ",
        dtype);
  if (x.dtype() == dtype) return x;
  Tensor y = x.like(x.shape(), dtype);
  y.copy_from(x);
  if (Tape* tape = recording({&x})) tape->record<CastNode>({&x}, {&y});
  return y;
}

Tensor dropout(const Tensor& x, double p, Rng& rng) {
  check(is_float(x.dtype()), "dropout: needs a floating input, got ", x.dtype());
  check(p >= 0 && p < 1, "dropout: the probability must be in [0, 1), got ", p);
  if (p == 0) return x;
  const Tensor in = contiguous(x);
  Tensor y = x.like(x.shape(), x.dtype());
  const uint64_t first_block = rng.reserve(dropout_blocks(y.numel()));
  if (y.numel() > 0)
    kernel::dropout(y.device(), {in.raw(), y.raw(), y.numel(), x.dtype(), x.dtype(), rng.seed, first_block, p,
                                 false, rng.seed_memory});
  if (Tape* tape = recording({&in})) {
    auto& node = tape->record<DropoutNode>({&in}, {&y});
    node.seed = rng.seed, node.first_block = first_block, node.p = p;
    node.seed_memory = rng.seed_memory;
  }
  return y;
}

}  // namespace engine
