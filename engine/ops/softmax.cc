// Read first: softmax.h, softmax_kernels.h.
#include "engine/ops/softmax.h"

#include "engine/ops/softmax_kernels.h"
#include "engine/ops/view.h"

namespace engine {
namespace {

//   p = exp(x - max) / sum        dx = p (dy - <dy, p>)
//   y = x - max - log sum         dx = dy - exp(y) sum(dy)
template <bool kLog>
struct SoftmaxNodeOf : NodeOf<SoftmaxNodeOf<kLog>> {
  static constexpr const char* kName = kLog ? "log_softmax" : "softmax";
  Saved y;
  auto saved() { return std::tie(y); }

  void backward(Backward& b) override {
    const Tensor& p = y.get();
    if (p.numel() == 0) return;
    const Tensor dy = b.dy();
    const Into dx = b.into_rows(0);
    kernel::softmax_backward(p.device(),
                             {p.raw(), dy.raw(), dx.buffer.raw(), p.numel() / p.size(-1), p.size(-1),
                              dx.buffer.row_stride(), p.dtype(), kLog, dx.accumulate});
  }
};

template <bool kLog>
Tensor softmax_of(const Tensor& x) {
  constexpr const char* op = kLog ? "log_softmax" : "softmax";
  check(is_float(x.dtype()) && x.rank() > 0, op, ": needs a floating input [..., n], got ", x.dtype(), " ",
        x.shape());
  const Tensor in = with_uniform_rows(x);
  Tensor y = x.like(x.shape(), x.dtype());
  if (y.numel() > 0)
    kernel::softmax_forward(y.device(), {in.raw(), y.raw(), y.numel() / y.size(-1), y.size(-1),
                                         in.row_stride(), x.dtype(), kLog});
  if (Tape* tape = recording({&in})) tape->record<SoftmaxNodeOf<kLog>>({&in}, {&y}).y = y;
  return y;
}

}  // namespace

Tensor softmax(const Tensor& x) { return softmax_of<false>(x); }
Tensor log_softmax(const Tensor& x) { return softmax_of<true>(x); }

}  // namespace engine
