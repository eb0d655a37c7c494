// Read first: view.h, engine/autograd/tape.h.
#include "engine/ops/view.h"

#include <utility>

namespace engine {
namespace {

// dx = dy in x's shape.
struct ReshapeNode : NodeOf<ReshapeNode> {
  static constexpr const char* kName = "reshape";
  auto saved() { return std::tie(); }
  Shape shape;
  void backward(Backward& b) override { b.pass(0, b.dy().reshape(shape)); }
};

// dx = dy with the axes swapped back.
struct TransposeNode : NodeOf<TransposeNode> {
  static constexpr const char* kName = "transpose";
  auto saved() { return std::tie(); }
  int a = 0, c = 0;
  void backward(Backward& b) override {
    const Into dx = b.into(0);
    dx.buffer.copy_from(b.dy().transpose(a, c), dx.accumulate);
  }
};

// dx = dy.
struct CopyNode : NodeOf<CopyNode> {
  static constexpr const char* kName = "contiguous";
  auto saved() { return std::tie(); }
  void backward(Backward& b) override { b.pass(0, b.dy()); }
};

// dx = [dy_0 | dy_1 | ...] along an axis, zero where a part has no gradient or where no part lies. The parts'
// gradients are formed inside `dx`, whose producers find it through gradient_buffer().
struct SplitNode : NodeOf<SplitNode> {
  static constexpr const char* kName = "split";
  auto saved() { return std::tie(); }
  Shape shape;
  DType dtype = DType::f32;
  Device device = Device::cpu;
  int axis = 0;
  std::vector<int64_t> bounds;  // part i is [bounds[i], bounds[i + 1])
  bool covers = true;           // false: a slice, with elements outside the parts
  Tensor dx;

  Tensor part(int i) const { return dx.slice(axis, bounds[size_t(i)], bounds[size_t(i) + 1]); }
  Tensor gradient_buffer(int output) override {
    if (!dx.defined())
      dx = covers ? Tensor::empty(shape, dtype, device) : Tensor::zeros(shape, dtype, device);
    return part(output);
  }
  void backward(Backward& b) override {
    for (int i = 0; i + 1 < int(bounds.size()); ++i) {
      const Tensor target = gradient_buffer(i);
      if (!b.has(i)) {
        if (covers) target.copy_from(Tensor::zeros(target.shape(), dtype, device));
        continue;
      }
      const Tensor dy = b.dy(i);
      if (dy.storage() != dx.storage()) target.copy_from(dy);
    }
    b.pass(0, std::exchange(dx, {}));
  }
};

// dpart_i = the i-th part of dy.
struct ConcatNode : NodeOf<ConcatNode> {
  static constexpr const char* kName = "concat";
  auto saved() { return std::tie(); }
  int axis = 0;
  std::vector<int64_t> bounds;
  void backward(Backward& b) override {
    for (int i = 0; i + 1 < int(bounds.size()); ++i) {
      if (!b.wants(i)) continue;
      const Into dx = b.into(i);
      dx.buffer.copy_from(b.dy().slice(axis, bounds[size_t(i)], bounds[size_t(i) + 1]), dx.accumulate);
    }
  }
};

std::vector<Tensor> parts_of(const Tensor& x, int axis, const std::vector<int64_t>& bounds) {
  const int a = axis < 0 ? axis + x.rank() : axis;
  std::vector<Tensor> parts;
  for (size_t i = 0; i + 1 < bounds.size(); ++i) parts.push_back(x.slice(a, bounds[i], bounds[i + 1]));
  if (Tape* tape = recording({&x})) {
    std::vector<Tensor*> outputs;
    for (Tensor& part : parts) outputs.push_back(&part);
    const Tensor* inputs[] = {&x};
    auto& node = tape->record<SplitNode>(inputs, outputs);
    node.shape = x.shape();
    node.dtype = x.dtype();
    node.device = x.device();
    node.axis = a;
    node.bounds = bounds;
    node.covers = bounds.front() == 0 && bounds.back() == x.size(a);
  }
  return parts;
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  Tensor y = x.reshape(shape);
  if (Tape* tape = recording({&x})) tape->record<ReshapeNode>({&x}, {&y}).shape = x.shape();
  return y;
}

Tensor transpose(const Tensor& x, int a, int b) {
  Tensor y = x.transpose(a, b);
  if (Tape* tape = recording({&x})) {
    auto& node = tape->record<TransposeNode>({&x}, {&y});
    node.a = a, node.c = b;
  }
  return y;
}

Tensor contiguous(const Tensor& x) {
  if (x.is_contiguous()) return x;
  Tensor y = x.like(x.shape(), x.dtype());
  y.copy_from(x);
  if (Tape* tape = recording({&x})) tape->record<CopyNode>({&x}, {&y});
  return y;
}

Tensor with_uniform_rows(const Tensor& x) { return x.has_uniform_rows() ? x : contiguous(x); }

Tensor concat(const std::vector<Tensor>& parts, int axis) {
  check(!parts.empty(), "concat: needs at least one tensor");
  const int a = axis < 0 ? axis + parts[0].rank() : axis;
  check(a >= 0 && a < parts[0].rank(), "concat: axis ", axis, " of ", parts[0].shape());
  std::vector<int64_t> bounds = {0};
  for (const Tensor& part : parts) {
    Shape expected = parts[0].shape();
    if (part.rank() == expected.rank()) expected[a] = part.size(a);
    check(part.shape() == expected && part.dtype() == parts[0].dtype(), "concat: ", part.dtype(), " ",
          part.shape(), " beside ", parts[0].dtype(), " ", parts[0].shape(), " along axis ", a);
    bounds.push_back(bounds.back() + part.size(a));
  }
  Shape shape = parts[0].shape();
  shape[a] = bounds.back();
  Tensor y = parts[0].like(shape, parts[0].dtype());
  std::vector<const Tensor*> inputs;
  bool tracked = false;
  for (size_t i = 0; i < parts.size(); ++i) {
    y.slice(a, bounds[i], bounds[i + 1]).copy_from(parts[i]);
    inputs.push_back(&parts[i]);
    tracked = tracked || recording({&parts[i]});
  }
  if (tracked) {
    Tensor* outputs[] = {&y};
    auto& node = Tape::current()->record<ConcatNode>(inputs, outputs);
    node.axis = a;
    node.bounds = bounds;
  }
  return y;
}

Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end) {
  return parts_of(x, axis, {begin, end})[0];
}

std::vector<Tensor> split(const Tensor& x, int axis, const std::vector<int64_t>& sizes) {
  std::vector<int64_t> bounds = {0};
  for (int64_t size : sizes) bounds.push_back(bounds.back() + size);
  check(-x.rank() <= axis && axis < x.rank(), "split: axis ", axis, " of ", x.shape());
  check(bounds.back() == x.size(axis), "split: sizes add up to ", bounds.back(), ", axis ", axis, " of ",
        x.shape(), " has ", x.size(axis));
  return parts_of(x, axis, bounds);
}

}  // namespace engine
