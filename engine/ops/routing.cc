// Read first: routing.h, rows_kernels.h, routing_kernels.h.
#include "engine/ops/routing.h"

#include <vector>

#include "engine/ops/routing_kernels.h"
#include "engine/ops/rows.h"
#include "engine/ops/rows_kernels.h"
#include "engine/ops/view.h"

namespace engine {
namespace {

struct RouteNode : NodeOf<RouteNode> {
  static constexpr const char* kName = "route_top_k";
  Saved probabilities, chosen, slots;
  bool normalize = false;
  auto saved() { return std::tie(probabilities, chosen, slots); }

  void backward(Backward& b) override {
    const Tensor& p = probabilities.get();
    if (p.numel() == 0) return;
    const Tensor dw = b.dy();
    const Into dp = b.into(0);
    kernel::route_backward(p.device(), {p.raw(), chosen.get().data<int32_t>(), slots.get().data<int32_t>(),
                                        dw.raw(), dp.buffer.raw(), p.size(0), p.size(1), chosen.get().size(1),
                                        p.dtype(), normalize, dp.accumulate});
  }
};

//   y_i = x_rows(i)        dx_r = sum over i with rows(i) = r of dy_i
struct GatherNode : NodeOf<GatherNode> {
  static constexpr const char* kName = "gather_rows";
  Saved rows, order, starts;  // either the rows or their order
  int64_t n = 0, d = 0;
  auto saved() { return std::tie(rows, order, starts); }

  void backward(Backward& b) override {
    if (n * d == 0) return;
    const Tensor dy = b.dy();
    const RowOrder sorted = order.defined() ? RowOrder{order.get(), starts.get()} : sort_rows(rows.get(), n);
    const Into dx = b.into(0);
    kernel::scatter_rows(dy.device(),
                         {dy.raw(), sorted.order.data<int32_t>(), sorted.starts.data<int32_t>(), nullptr,
                          dx.buffer.raw(), n, d, dy.dtype(), dx.buffer.dtype(), 1, dx.accumulate});
  }
};

//   y_r = sum over i with rows(i) = r of w_i x_i        dx_i = w_i dy_rows(i)        dw_i = <x_i, dy_rows(i)>
struct ScatterNode : NodeOf<ScatterNode> {
  static constexpr const char* kName = "scatter_rows";
  Saved x, rows, weights;
  auto saved() { return std::tie(x, rows, weights); }

  void backward(Backward& b) override {
    const Tensor& in = x.get();
    if (in.size(0) == 0) return;
    const Tensor dy = b.dy();
    const int32_t* ids = rows.get().data<int32_t>();
    if (b.wants(0) && in.size(1) > 0) {
      const Into dx = b.into(0);
      kernel::gather_rows(dy.device(), {dy.raw(), ids, weights.get().raw(), dx.buffer.raw(), in.size(0),
                                        in.size(1), dy.dtype(), dx.buffer.dtype(), 1, dx.accumulate});
    }
    if (b.wants(1)) {
      const Into dw = b.into(1);
      kernel::dot_rows(dy.device(), {in.raw(), dy.raw(), ids, dw.buffer.raw(), in.size(0), in.size(1),
                                     in.dtype(), dw.buffer.dtype(), dw.accumulate});
    }
  }
};

}  // namespace

Routing route_top_k(const Tensor& probabilities, int64_t k, bool normalize) {
  check(is_float(probabilities.dtype()) && probabilities.rank() == 2,
        "route_top_k: needs floating probabilities [N, E], got ", probabilities.dtype(), " ",
        probabilities.shape());
  const int64_t tokens = probabilities.size(0), experts = probabilities.size(1);
  check(k >= 1 && k <= experts, "route_top_k: cannot choose ", k, " of ", experts, " experts");
  check(tokens * k < (int64_t(1) << 31), "route_top_k: too many tokens: ", probabilities.shape());
  const Tensor p = contiguous(probabilities);
  const Tensor chosen = p.like({tokens, k}, DType::i32);
  kernel::choose_experts(p.device(), {p.raw(), chosen.data<int32_t>(), tokens, experts, k, p.dtype()});

  const RowOrder sorted = sort_rows(chosen.reshape({tokens * k}), experts);
  Routing routing;
  routing.weights = p.like({tokens * k}, p.dtype());
  const Tensor order = sorted.order.to(Device::cpu), host_starts = sorted.starts.to(Device::cpu);
  std::vector<int32_t> rows_of_slots(size_t(tokens * k)), slots_of_choices(size_t(tokens * k));
  for (int64_t slot = 0; slot < tokens * k; ++slot) {
    const int32_t choice = order.data<int32_t>()[slot];
    rows_of_slots[size_t(slot)] = int32_t(choice / k);
    slots_of_choices[size_t(choice)] = int32_t(slot);
  }
  routing.rows = Tensor::from_ids(rows_of_slots, {tokens * k}).to(p.device());
  const Tensor slots = Tensor::from_ids(slots_of_choices, {tokens, k}).to(p.device());
  const int32_t* starts = host_starts.data<int32_t>();
  routing.offsets.assign(starts, starts + experts + 1);
  kernel::route_forward(p.device(), {p.raw(), chosen.data<int32_t>(), slots.data<int32_t>(),
                                     routing.weights.raw(), tokens, experts, k, p.dtype(), normalize});
  if (Tape* tape = recording({&p})) {
    auto& node = tape->record<RouteNode>({&p}, {&routing.weights});
    node.probabilities = p, node.chosen = chosen, node.slots = slots, node.normalize = normalize;
  }
  return routing;
}

namespace {

void check_gathered(const Tensor& x, const Tensor& rows) {
  check(is_float(x.dtype()) && x.rank() == 2 && rows.rank() == 1,
        "gather_rows: needs floating [n, d] and ids [m], got ", x.dtype(), " ", x.shape(), " and ",
        rows.shape());
}

// `order` is undefined where nobody has sorted the ids.
Tensor gather(const Tensor& in, const Tensor& ids, const RowOrder& order) {
  Tensor y = in.like({ids.numel(), in.size(1)}, in.dtype());
  if (y.numel() > 0)
    kernel::gather_rows(in.device(), {in.raw(), ids.data<int32_t>(), nullptr, y.raw(), ids.numel(),
                                      in.size(1), in.dtype(), in.dtype(), 1, false});
  if (Tape* tape = recording({&in})) {
    auto& node = tape->record<GatherNode>({&in}, {&y});
    node.n = in.size(0), node.d = in.size(1);
    if (order.order.defined())
      node.order = order.order, node.starts = order.starts;
    else
      node.rows = ids;
  }
  return y;
}

}  // namespace

Tensor gather_rows(const Tensor& x, const Tensor& rows) {
  check_gathered(x, rows);
  const Tensor ids = contiguous(rows);
  check_ids("gather_rows", ids, x.size(0), "the rows");
  return gather(contiguous(x), ids, {});
}

Tensor gather_rows(const Tensor& x, const CheckedIds& rows) {
  check_gathered(x, rows.ids);
  check(rows.rows == x.size(0), "gather_rows: rows that were checked for ", rows.rows, ", of ", x.shape());
  return gather(contiguous(x), rows.ids, rows.order);
}

Tensor scatter_rows(const Tensor& x, const Tensor& rows, const Tensor& weights, int64_t n) {
  check(is_float(x.dtype()) && x.rank() == 2, "scatter_rows: needs a floating input [m, d], got ", x.dtype(),
        " ", x.shape());
  check(rows.shape() == Shape{x.size(0)} && weights.shape() == Shape{x.size(0)}, "scatter_rows: ", x.shape(),
        " needs an id and a weight a row, got ", rows.shape(), " and ", weights.shape());
  check(weights.dtype() == compute_dtype(x.dtype()), "scatter_rows: weights of a ", x.dtype(),
        " input must be ", compute_dtype(x.dtype()), ", got ", weights.dtype());
  check(n >= 0, "scatter_rows: a result of ", n, " rows");
  const Tensor in = contiguous(x), ids = contiguous(rows), w = contiguous(weights);
  check_ids("scatter_rows", ids, n, "a result");
  Tensor y = x.like({n, x.size(1)}, x.dtype());
  if (y.numel() > 0) {
    const RowOrder sorted = sort_rows(ids, n);
    kernel::scatter_rows(in.device(), {in.raw(), sorted.order.data<int32_t>(), sorted.starts.data<int32_t>(),
                                       w.raw(), y.raw(), n, in.size(1), in.dtype(), in.dtype(), 1, false});
  }
  if (Tape* tape = recording({&in, &w})) {
    auto& node = tape->record<ScatterNode>({&in, &w}, {&y});
    node.x = in, node.rows = ids, node.weights = w;
  }
  return y;
}

}  // namespace engine
