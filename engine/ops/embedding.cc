// Read first: embedding.h, rows_kernels.h.
#include "engine/ops/embedding.h"

#include <cmath>

#include "engine/ops/rows.h"
#include "engine/ops/rows_kernels.h"
#include "engine/ops/view.h"

namespace engine {
namespace {

//   y_i = scale w_id(i)        dw_v = scale * sum over i with id(i) = v of dy_i
struct EmbeddingNode : NodeOf<EmbeddingNode> {
  static constexpr const char* kName = "embedding";
  Saved ids, order, starts;  // either the ids or their order
  int64_t rows = 0, d = 0;
  double scale = 1;
  auto saved() { return std::tie(ids, order, starts); }

  void backward(Backward& b) override {
    if (rows * d == 0) return;
    const Tensor dy = b.dy();
    const RowOrder sorted =
        order.defined() ? RowOrder{order.get(), starts.get()} : sort_rows(ids.get(), rows);
    const Into dw = b.into(0);
    kernel::scatter_rows(dy.device(),
                         {dy.raw(), sorted.order.data<int32_t>(), sorted.starts.data<int32_t>(), nullptr,
                          dw.buffer.raw(), rows, d, dy.dtype(), dw.buffer.dtype(), scale, dw.accumulate});
  }
};

// `order` is undefined where nobody has sorted the ids.
Tensor look_up(const Tensor& ids, const RowOrder& order, const Tensor& w, double scale, DType dtype) {
  Shape shape = ids.shape();
  check(shape.rank() < kMaxRank, "embedding: ids ", shape, " have too many axes");
  shape.append(w.size(1));
  Tensor y = w.like(shape, dtype);
  if (y.numel() > 0)
    kernel::gather_rows(y.device(), {w.raw(), ids.data<int32_t>(), nullptr, y.raw(), ids.numel(), w.size(1),
                                     w.dtype(), dtype, scale, false});
  if (Tape* tape = recording({&w})) {
    auto& node = tape->record<EmbeddingNode>({&w}, {&y});
    node.rows = w.size(0), node.d = w.size(1), node.scale = scale;
    if (order.order.defined())
      node.order = order.order, node.starts = order.starts;
    else
      node.ids = ids;
  }
  return y;
}

void check_table(const Tensor& weight, double scale, DType dtype) {
  check(weight.rank() == 2 && is_float(weight.dtype()), "embedding: the table must be floating [V, d], got ",
        weight.dtype(), " ", weight.shape());
  check(is_float(dtype), "embedding: the output must be floating, got ", dtype);
  check(std::isfinite(scale), "embedding: the scale must be finite, got ", scale);
}

}  // namespace

Tensor embedding(const Tensor& ids, const Tensor& weight, double scale, DType dtype) {
  check_table(weight, scale, dtype);
  const Tensor i = contiguous(ids), w = contiguous(weight);
  check_ids("embedding", i, weight.size(0), "a table");
  return look_up(i, {}, w, scale, dtype);
}

Tensor embedding(const CheckedIds& ids, const Tensor& weight, double scale, DType dtype) {
  check_table(weight, scale, dtype);
  check(ids.rows == weight.size(0), "embedding: ids that were checked for ", ids.rows, " rows, with a table ",
        weight.shape());
  return look_up(ids.ids, ids.order, contiguous(weight), scale, dtype);
}

}  // namespace engine
