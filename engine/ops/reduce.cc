// Read first: reduce.h, reduce_kernels.h.
#include "engine/ops/reduce.h"

#include "engine/ops/reduce_kernels.h"
#include "engine/ops/view.h"

namespace engine {
namespace {

// A tensor around one axis: [outer, n, inner].
struct Fold {
  int64_t outer = 1, n = 1, inner = 1;
  Fold(const Shape& shape, int axis) : n(shape[axis]) {
    for (int i = 0; i < axis; ++i) outer *= shape[i];
    for (int i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  }
};

void run_sum(const Tensor& x, const Tensor& y, const Fold& fold, double factor, bool accumulate) {
  if (fold.outer * fold.inner == 0) return;
  SumArgs a{.x = x.raw(),
            .y = y.raw(),
            .outer = fold.outer,
            .n = fold.n,
            .inner = fold.inner,
            .x_dtype = x.dtype(),
            .y_dtype = y.dtype(),
            .factor = factor,
            .accumulate = accumulate};
  const Tensor partials = x.like({sum_scratch(x.device(), a)}, DType::f64);
  a.partials = partials.data<double>();
  kernel::sum(x.device(), a);
}

//   y = factor * sum over an axis of x        dx = factor * dy, repeated along the axis
struct SumNode : NodeOf<SumNode> {
  static constexpr const char* kName = "sum";
  int64_t outer = 0, n = 0, inner = 0;
  double factor = 1;
  auto saved() { return std::tie(); }

  void backward(Backward& b) override {
    if (outer * n * inner == 0 || !b.wants(0)) return;
    const Tensor dy = b.dy();
    const Into dx = b.into(0);
    kernel::spread(dy.device(), {dy.raw(), dx.buffer.raw(), outer, n, inner, dy.dtype(), dx.buffer.dtype(),
                                 factor, dx.accumulate});
  }
};

Tensor fold_axis(const Tensor& x, const Fold& fold, const Shape& shape, DType dtype, double factor) {
  const Tensor in = contiguous(x);
  Tensor y = x.like(shape, dtype);
  run_sum(in, y, fold, factor, false);
  if (Tape* tape = recording({&in})) {
    auto& node = tape->record<SumNode>({&in}, {&y});
    node.outer = fold.outer, node.n = fold.n, node.inner = fold.inner, node.factor = factor;
  }
  return y;
}

int checked_axis(const char* op, const Tensor& x, int axis) {
  check(is_float(x.dtype()), op, ": needs a floating input, got ", x.dtype());
  check(axis >= -x.rank() && axis < x.rank(), op, ": axis ", axis, " of ", x.shape());
  return axis < 0 ? axis + x.rank() : axis;
}

Shape without_axis(const Shape& shape, int axis, bool keep_axis) {
  Shape rest;
  for (int i = 0; i < shape.rank(); ++i)
    if (i != axis || keep_axis) rest.append(i == axis ? 1 : shape[i]);
  return rest;
}

}  // namespace

Tensor sum(const Tensor& x, int axis, bool keep_axis) {
  const int a = checked_axis("sum", x, axis);
  return fold_axis(x, Fold(x.shape(), a), without_axis(x.shape(), a, keep_axis), x.dtype(), 1);
}

Tensor mean(const Tensor& x, int axis, bool keep_axis) {
  const int a = checked_axis("mean", x, axis);
  check(x.size(a) > 0, "mean: axis ", axis, " of ", x.shape(), " has no elements");
  return fold_axis(x, Fold(x.shape(), a), without_axis(x.shape(), a, keep_axis), x.dtype(),
                   1 / double(x.size(a)));
}

Tensor sum_all(const Tensor& x) {
  check(is_float(x.dtype()), "sum_all: needs a floating input, got ", x.dtype());
  return fold_axis(x, Fold({x.numel()}, 0), {}, DType::f64, 1);
}

Tensor max_last(const Tensor& x) {
  check(is_float(x.dtype()), "max_last: needs a floating input, got ", x.dtype());
  check(x.rank() > 0 && x.size(-1) > 0, "max_last: needs a last axis with elements, got ", x.shape());
  const TapeScope off(nullptr);
  const Tensor in = with_uniform_rows(x);
  const Tensor y = x.like(x.shape().leading(), x.dtype());
  if (y.numel() > 0)
    kernel::max_last(x.device(), {in.raw(), y.raw(), y.numel(), x.size(-1), in.row_stride(), x.dtype()});
  return y;
}

void sum_to_shape(const Tensor& x, const Tensor& target, bool accumulate) {
  // Neighbouring axes are merged into groups that are either kept or summed; each pass sums one group.
  Shape size;
  bool summed[kMaxRank] = {};
  const int missing = x.rank() - target.rank();
  for (int i = 0; i < x.rank(); ++i) {
    if (x.size(i) == 1) continue;
    const bool gone = i < missing || target.size(i - missing) != x.size(i);
    if (size.rank() > 0 && summed[size.rank() - 1] == gone) {
      size[size.rank() - 1] *= x.size(i);
    } else {
      summed[size.rank()] = gone;
      size.append(x.size(i));
    }
  }
  Tensor rest = x;
  int last = size.rank() - 1;
  while (last >= 0 && !summed[last]) --last;
  assert(last >= 0);
  for (int axis = 0; axis <= last; ++axis) {
    if (!summed[axis]) continue;
    const Fold fold(size, axis);
    const Tensor y = axis == last ? target : x.like({fold.outer * fold.inner}, compute_dtype(x.dtype()));
    run_sum(rest, y, fold, 1, axis == last && accumulate);
    size[axis] = 1;
    rest = y;
  }
}

}  // namespace engine
