// Read first: activation.h, activation_kernels.h.
#include "engine/ops/activation.h"

#include "engine/ops/activation_kernels.h"
#include "engine/ops/view.h"

namespace engine {
namespace {

// Tensors of one shape are walked as one long row when all are contiguous, else as rows of the last axis.
template <class... T>
bool flat(const T&... tensors) {
  return (tensors.is_contiguous() && ...);
}
int64_t row_length(const Tensor& x, bool is_flat) { return is_flat ? x.numel() : x.size(-1); }
int64_t stride_of(const Tensor& x, bool is_flat) { return is_flat ? x.numel() : x.row_stride(); }

//   y = act(x)        dx = act'(x) dy
struct ActivateNode : NodeOf<ActivateNode> {
  static constexpr const char* kName = "activate";
  Saved x;
  Activation activation = Activation::identity;
  auto saved() { return std::tie(x); }

  void backward(Backward& b) override {
    const Tensor& in = x.get();
    if (in.numel() == 0 || !b.wants(0)) return;
    const Tensor dy = b.dy();
    const Into dx = b.into_rows(0);
    const bool f = flat(in, dx.buffer);
    const int64_t n = row_length(in, f);
    kernel::activate_backward(in.device(),
                              {in.raw(), dy.raw(), dx.buffer.raw(), in.numel() / n, n, stride_of(in, f),
                               stride_of(dx.buffer, f), in.dtype(), activation, dx.accumulate});
  }
};

//   y = act(g) u        dg = act'(g) u dy        du = act(g) dy
struct GluNode : NodeOf<GluNode> {
  static constexpr const char* kName = "glu";
  Saved gate, up;
  Activation activation = Activation::identity;
  auto saved() { return std::tie(gate, up); }

  void backward(Backward& b) override {
    const Tensor &g = gate.get(), &u = up.get();
    if (g.numel() == 0) return;
    const Tensor dy = b.dy();
    // One pass for both gradients, unless they go to the same tensor: glu(x, x).
    const bool together = b.wants(0) && b.wants(1) && gate.get().raw() != up.get().raw();
    const auto run = [&](bool want_gate, bool want_up) {
      Into dgate, dup;
      if (want_gate) dgate = b.into_rows(0);
      if (want_up) dup = b.into_rows(1);
      const Tensor &dg = want_gate ? dgate.buffer : g, &du = want_up ? dup.buffer : u;
      const bool f = flat(g, u, dg, du);
      const int64_t n = row_length(g, f);
      kernel::glu_backward(g.device(), {g.raw(), u.raw(), dy.raw(), want_gate ? dg.raw() : nullptr,
                                        want_up ? du.raw() : nullptr, g.numel() / n, n, stride_of(g, f),
                                        stride_of(u, f), stride_of(dg, f), stride_of(du, f), g.dtype(),
                                        activation, dgate.accumulate, dup.accumulate});
    };
    if (together) return run(true, true);
    if (b.wants(0)) run(true, false);
    if (b.wants(1)) run(false, true);
  }
};

}  // namespace

const char* name_of(Activation activation) {
  constexpr const char* names[] = {"identity", "gelu", "gelu_tanh", "relu",
                                   "relu2",    "silu", "tanh",      "sigmoid"};
  return names[int(activation)];
}

Tensor activate(const Tensor& x, Activation activation) {
  check(is_float(x.dtype()), name_of(activation), ": needs a floating input, got ", x.dtype());
  const Tensor in = with_uniform_rows(x);
  Tensor y = x.like(x.shape(), x.dtype());
  if (y.numel() > 0) {
    const bool f = flat(in);
    const int64_t n = row_length(in, f);
    kernel::activate_forward(
        in.device(), {in.raw(), y.raw(), in.numel() / n, n, stride_of(in, f), in.dtype(), activation});
  }
  if (Tape* tape = recording({&in})) {
    auto& node = tape->record<ActivateNode>({&in}, {&y});
    node.x = in, node.activation = activation;
  }
  return y;
}

Tensor glu(const Tensor& gate, const Tensor& up, Activation activation) {
  check(is_float(gate.dtype()) && gate.dtype() == up.dtype(), "glu: needs floating inputs of one dtype, got ",
        gate.dtype(), " and ", up.dtype());
  check(gate.shape() == up.shape(), "glu: gate ", gate.shape(), " and up ", up.shape(), " must be equal");
  const Tensor g = with_uniform_rows(gate), u = with_uniform_rows(up);
  Tensor y = g.like(g.shape(), g.dtype());
  if (y.numel() > 0) {
    const bool f = flat(g, u);
    const int64_t n = row_length(g, f);
    kernel::glu_forward(g.device(), {g.raw(), u.raw(), y.raw(), g.numel() / n, n, stride_of(g, f),
                                     stride_of(u, f), g.dtype(), activation});
  }
  if (Tape* tape = recording({&g, &u})) {
    auto& node = tape->record<GluNode>({&g, &u}, {&y});
    node.gate = g, node.up = u, node.activation = activation;
  }
  return y;
}

}  // namespace engine
