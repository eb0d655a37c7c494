// Read first: embedding.h, rows_kernels.h.
#include "engine/ops/embedding.h"

#include <cmath>

#include "engine/ops/rows_kernels.h"
#include "engine/ops/view.h"

namespace engine {
namespace {

//   y_i = scale w_id(i)        dw_v = scale * sum over i with id(i) = v of dy_i
struct EmbeddingNode : NodeOf<EmbeddingNode> {
  static constexpr const char* kName = "embedding";
  Saved order, starts;
  int64_t rows = 0, d = 0;
  double scale = 1;
  auto saved() { return std::tie(order, starts); }

  void backward(Backward& b) override {
    if (rows * d == 0) return;
    const Tensor dy = b.dy();
    const Into dw = b.into(0);
    kernel::scatter_rows(dy.device(),
                         {dy.raw(), order.get().data<int32_t>(), starts.get().data<int32_t>(), nullptr,
                          dw.buffer.raw(), rows, d, dy.dtype(), dw.buffer.dtype(), scale, dw.accumulate});
  }
};

void check_output(const Tensor& weight, const Shape& ids, double scale, DType dtype) {
  check(weight.rank() == 2 && is_float(weight.dtype()), "embedding: the table must be floating [V, d], got ",
        weight.dtype(), " ", weight.shape());
  check(is_float(dtype), "embedding: the output must be floating, got ", dtype);
  check(std::isfinite(scale), "embedding: the scale must be finite, got ", scale);
  check(ids.rank() < kMaxRank, "embedding: ids ", ids, " have too many axes");
}

}  // namespace

Tensor embedding(const Tensor& ids, const Tensor& weight, double scale, DType dtype) {
  check_output(weight, ids.shape(), scale, dtype);
  return embedding(
      index_rows("embedding", ids, weight.size(0), "a table", recording({&weight}) ? Sums::yes : Sums::no)
          .to(weight.device()),
      weight, scale, dtype);
}

Tensor embedding(const RowIndex& ids, const Tensor& weight, double scale, DType dtype) {
  check_output(weight, ids.ids.shape(), scale, dtype);
  check(weight.size(0) == ids.rows, "embedding: ids of ", ids.rows, " rows, and a table ", weight.shape());
  const Tensor w = contiguous(weight);
  Shape shape = ids.ids.shape();
  shape.append(weight.size(1));
  Tensor y = weight.like(shape, dtype);
  if (y.numel() > 0)
    kernel::gather_rows(y.device(), {w.raw(), ids.ids.data<int32_t>(), nullptr, y.raw(), ids.ids.numel(),
                                     w.size(1), w.dtype(), dtype, scale, false});
  if (Tape* tape = recording({&w})) {
    check(ids.order.defined(), "embedding: an index without the order of sums has no gradient");
    auto& node = tape->record<EmbeddingNode>({&w}, {&y});
    node.order = ids.order, node.starts = ids.starts;
    node.rows = w.size(0), node.d = w.size(1), node.scale = scale;
  }
  return y;
}

}  // namespace engine
