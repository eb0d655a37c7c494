// Read first: grouped_linear.h, grouped_linear_kernels.h.
#include "engine/ops/grouped_linear.h"

#include "engine/ops/grouped_linear_kernels.h"
#include "engine/ops/view.h"

namespace engine {
namespace {

//   y_i = x_i W_e^T        dx_i = dy_i W_e        dW_e = sum over the rows of e of dy_i^T x_i
struct GroupedLinearNode : NodeOf<GroupedLinearNode> {
  static constexpr const char* kName = "grouped_linear";
  Saved x, weight, offsets;
  auto saved() { return std::tie(x, weight, offsets); }

  void backward(Backward& b) override {
    const Tensor &in = x.get(), &w = weight.get(), dy = b.dy();
    const int64_t groups = w.size(0), rows = in.size(0), n = w.size(1), k = w.size(2);
    const auto* begins = offsets.get().data<int32_t>();
    if (b.wants(0)) {
      const Into dx = b.into(0);
      kernel::grouped_product(dy.device(), {dy.raw(), w.raw(), begins, groups, rows, k, n,
                                            dx.buffer.raw(), dy.dtype(), dx.buffer.dtype(), false,
                                            dx.accumulate});
    }
    if (b.wants(1)) {
      const Into dw = b.into(1);
      kernel::grouped_gradient(dy.device(), {dy.raw(), in.raw(), begins, groups, rows, n, k, dw.buffer.raw(),
                                             dy.dtype(), dw.buffer.dtype(), dw.accumulate});
    }
  }
};

}  // namespace

Groups groups_of(const std::vector<int64_t>& offsets) {
  check(!offsets.empty() && offsets.front() == 0, "groups of rows: offsets must begin at 0");
  for (size_t e = 0; e + 1 < offsets.size(); ++e)
    check(offsets[e] <= offsets[e + 1], "groups of rows: offsets must ascend");
  check(offsets.back() < (int64_t(1) << 31), "groups of rows: too many rows: ", offsets.back());
  return {Tensor::from_ids({offsets.begin(), offsets.end()}, {int64_t(offsets.size())}), offsets.back()};
}

Tensor grouped_linear(const Tensor& x, const Tensor& weight, const Groups& groups) {
  check(is_float(x.dtype()) && weight.dtype() == x.dtype(), "grouped_linear: input ", x.dtype(), ", weight ",
        weight.dtype());
  check(x.rank() == 2 && weight.rank() == 3 && x.size(1) == weight.size(2), "grouped_linear: weight ",
        weight.shape(), " needs input [rows, in], got ", x.shape());
  check(groups.offsets.shape() == Shape{weight.size(0) + 1} && groups.rows == x.size(0), "grouped_linear: ",
        weight.size(0), " groups need as many offsets and one more, from 0 to ", x.size(0));
  const Tensor in = contiguous(x), w = contiguous(weight), offsets = groups.offsets.to(x.device());
  const int64_t n = w.size(1), k = w.size(2);
  Tensor y = x.like({x.size(0), n}, x.dtype());
  kernel::grouped_product(y.device(), {in.raw(), w.raw(), offsets.data<int32_t>(), w.size(0), x.size(0), n,
                                       k, y.raw(), y.dtype(), y.dtype(), true, false});
  if (Tape* tape = recording({&in, &w})) {
    auto& node = tape->record<GroupedLinearNode>({&in, &w}, {&y});
    node.x = in, node.weight = w, node.offsets = offsets;
  }
  return y;
}

}  // namespace engine
