// Read first: grouped_linear.h, products.h.
#include "engine/ops/grouped_linear.h"

#include "engine/ops/products.h"
#include "engine/ops/view.h"

namespace engine {
namespace {

// Rows [begin, end) of x and expert e's matrix as operands.
struct Group {
  int64_t e, begin, rows;
};

std::vector<Group> groups_of(const std::vector<int64_t>& offsets) {
  std::vector<Group> groups;
  for (size_t e = 0; e + 1 < offsets.size(); ++e)
    groups.push_back({int64_t(e), offsets[e], offsets[e + 1] - offsets[e]});
  return groups;
}

void* at(const Tensor& t, int64_t element) {
  return static_cast<char*>(t.raw()) + element * size_of(t.dtype());
}

//   y_i = x_i W_e^T        dx_i = dy_i W_e        dW_e = sum over the rows of e of dy_i^T x_i
struct GroupedLinearNode : NodeOf<GroupedLinearNode> {
  static constexpr const char* kName = "grouped_linear";
  Saved x, weight;
  auto saved() { return std::tie(x, weight); }
  std::vector<int64_t> offsets;

  void backward(Backward& b) override {
    const Tensor &in = x.get(), &w = weight.get(), dy = b.dy();
    const int64_t n = w.size(1), k = w.size(2);
    if (b.wants(0)) {
      const Into dx = b.into(0);
      for (const Group& g : groups_of(offsets))
        run_product(dy.device(), {.a = advanced(matrix_of(dy), g.begin * n),
                                  .b = advanced(matrix_of(w), g.e * n * k),
                                  .m = g.rows,
                                  .n = k,
                                  .k = n,
                                  .c = at(dx.buffer, g.begin * k),
                                  .c_stride = k,
                                  .c_dtype = dx.buffer.dtype(),
                                  .accumulate = dx.accumulate});
    }
    if (b.wants(1)) {
      const Into dw = b.into(1);
      for (const Group& g : groups_of(offsets))  // an expert without rows gets zeros: k = 0
        run_product(dy.device(), {.a = advanced(matrix_of(dy, true), g.begin * n),
                                  .b = advanced(matrix_of(in), g.begin * k),
                                  .m = n,
                                  .n = k,
                                  .k = g.rows,
                                  .c = at(dw.buffer, g.e * n * k),
                                  .c_stride = k,
                                  .c_dtype = dw.buffer.dtype(),
                                  .accumulate = dw.accumulate});
    }
  }
};

}  // namespace

Tensor grouped_linear(const Tensor& x, const Tensor& weight, const std::vector<int64_t>& offsets) {
  check(is_float(x.dtype()) && weight.dtype() == x.dtype(), "grouped_linear: input ", x.dtype(), ", weight ",
        weight.dtype());
  check(x.rank() == 2 && weight.rank() == 3 && x.size(1) == weight.size(2), "grouped_linear: weight ",
        weight.shape(), " needs input [rows, in], got ", x.shape());
  check(int64_t(offsets.size()) == weight.size(0) + 1 && offsets.front() == 0 && offsets.back() == x.size(0),
        "grouped_linear: ", weight.size(0), " groups need as many offsets and one more, from 0 to ",
        x.size(0));
  for (size_t e = 0; e + 1 < offsets.size(); ++e)
    check(offsets[e] <= offsets[e + 1], "grouped_linear: offsets must ascend");
  const Tensor in = contiguous(x), w = contiguous(weight);
  const int64_t n = w.size(1), k = w.size(2);
  Tensor y = x.like({x.size(0), n}, x.dtype());
  for (const Group& g : groups_of(offsets))
    run_product(y.device(), {.a = advanced(matrix_of(in), g.begin * k),
                             .b = advanced(matrix_of(w, true), g.e * n * k),
                             .m = g.rows,
                             .n = n,
                             .k = k,
                             .c = at(y, g.begin * n),
                             .c_stride = n,
                             .c_dtype = y.dtype()});
  if (Tape* tape = recording({&in, &w})) {
    auto& node = tape->record<GroupedLinearNode>({&in, &w}, {&y});
    node.x = in, node.weight = w, node.offsets = offsets;
  }
  return y;
}

}  // namespace engine
