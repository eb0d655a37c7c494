// Read first: head_scale.h, engine/autograd/tape.h. The shortest complete op: docs/03-writing-an-op.md walks
// through it.
#include "engine/ops/head_scale.h"

#include "engine/ops/head_scale_kernels.h"
#include "engine/ops/view.h"

namespace engine {
namespace {

//   y = gain_h x        dx = gain_h dy        dgain_h = sum over rows and the block's channels of dy x
struct HeadScaleNode : NodeOf<HeadScaleNode> {
  static constexpr const char* kName = "head_scale";
  Saved x, gain;
  auto saved() { return std::tie(x, gain); }

  void backward(Backward& b) override {
    const Tensor& in = x.get();
    const int64_t heads = gain.get().numel(), rows = in.shape().leading().numel();
    HeadScaleBackward a{.x = in.raw(),
                        .gain = gain.get().raw(),
                        .dy = b.dy().raw(),
                        .rows = rows,
                        .heads = heads,
                        .n = in.size(-1) / heads,
                        .x_stride = in.row_stride(),
                        .dtype = in.dtype()};
    Into dx, dgain;
    Tensor partials;
    if (b.wants(0)) {
      dx = b.into_rows(0);
      a.dx = dx.buffer.raw(), a.dx_stride = dx.buffer.row_stride(), a.accumulate_dx = dx.accumulate;
    }
    if (b.wants(1)) {
      dgain = b.into(1);
      partials = in.like({head_scale_scratch(in.device(), a)}, compute_dtype(in.dtype()));
      a.dgain = dgain.buffer.raw(), a.accumulate_dgain = dgain.accumulate, a.partials = partials.raw();
    }
    kernel::head_scale_backward(in.device(), a);
  }
};

}  // namespace

Tensor head_scale(const Tensor& x, const Tensor& gain) {
  check(is_float(x.dtype()), "head_scale: needs a floating input, got ", x.dtype());
  check(x.rank() >= 1 && gain.rank() == 1, "head_scale: needs input [..., channels] and gain [heads], got ",
        x.shape(), " and ", gain.shape());
  const int64_t heads = gain.numel();
  check(heads > 0 && x.size(-1) % heads == 0, "head_scale: ", heads, " heads do not divide last dim of ",
        x.shape());
  check(gain.dtype() == compute_dtype(x.dtype()), "head_scale: gain of a ", x.dtype(), " input must be ",
        compute_dtype(x.dtype()), ", got ", gain.dtype());
  const Tensor in = with_uniform_rows(x);
  Tensor g = contiguous(gain);
  // Backward writes both gradients in one pass, so the two must not be one slot of the tape.
  if (g.slot.index >= 0 && g.slot.index == in.slot.index && g.slot.tape == in.slot.tape)
    g = reshape(g, g.shape());
  Tensor y = x.like(x.shape(), x.dtype());
  if (y.numel() > 0)
    kernel::head_scale_forward(y.device(), {in.raw(), g.raw(), y.raw(), in.numel() / in.size(-1), heads,
                                            in.size(-1) / heads, in.row_stride(), in.dtype()});
  if (Tape* tape = recording({&in, &g})) {
    auto& node = tape->record<HeadScaleNode>({&in, &g}, {&y});
    node.x = in, node.gain = g;
  }
  return y;
}

}  // namespace engine
