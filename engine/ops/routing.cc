// Read first: routing.h, rows_kernels.h, routing_kernels.h.
#include "engine/ops/routing.h"

#include "engine/ops/routing_kernels.h"
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
  Saved order, starts;
  int64_t n = 0, d = 0;
  auto saved() { return std::tie(order, starts); }

  void backward(Backward& b) override {
    if (n * d == 0) return;
    const Tensor dy = b.dy();
    const Into dx = b.into(0);
    kernel::scatter_rows(dy.device(),
                         {dy.raw(), order.get().data<int32_t>(), starts.get().data<int32_t>(), nullptr,
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

void check_gather(const Tensor& x, const Tensor& ids) {
  check(is_float(x.dtype()) && x.rank() == 2 && ids.rank() == 1,
        "gather_rows: needs floating [n, d] and ids [m], got ", x.dtype(), " ", x.shape(), " and ", ids.shape());
}

void check_scatter(const Tensor& x, const Tensor& ids, const Tensor& weights) {
  check(is_float(x.dtype()) && x.rank() == 2, "scatter_rows: needs a floating input [m, d], got ", x.dtype(),
        " ", x.shape());
  check(ids.shape() == Shape{x.size(0)} && weights.shape() == Shape{x.size(0)}, "scatter_rows: ", x.shape(),
        " needs an id and a weight a row, got ", ids.shape(), " and ", weights.shape());
  check(weights.dtype() == compute_dtype(x.dtype()), "scatter_rows: weights of a ", x.dtype(),
        " input must be ", compute_dtype(x.dtype()), ", got ", weights.dtype());
}

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

  // Slots in order of their experts; and, for gradients of tokens, each token's slots in order.
  const int64_t slots = tokens * k;
  const auto ints = [&](int64_t n) { return p.like({n}, DType::i32); };
  const Tensor choices = ints(slots), slot_of = ints(slots);
  Routing routing{.rows = {ints(slots), ints(slots), ints(tokens + 1), tokens},
                  .weights = p.like({slots}, p.dtype()),
                  .experts = {ints(experts + 1), slots},
                  .share = p.like({experts}, p.dtype())};
  auto* offsets = routing.experts.offsets.data<int32_t>();
  kernel::sort_rows(p.device(),
                    {chosen.data<int32_t>(), choices.data<int32_t>(), offsets, slots, experts});
  kernel::route_forward(p.device(), {.probabilities = p.raw(),
                                     .chosen = chosen.data<int32_t>(),
                                     .choices = choices.data<int32_t>(),
                                     .offsets = offsets,
                                     .slots = slot_of.data<int32_t>(),
                                     .rows = routing.rows.ids.data<int32_t>(),
                                     .order = routing.rows.order.data<int32_t>(),
                                     .starts = routing.rows.starts.data<int32_t>(),
                                     .weights = routing.weights.raw(),
                                     .share = routing.share.raw(),
                                     .tokens = tokens,
                                     .experts = experts,
                                     .k = k,
                                     .dtype = p.dtype(),
                                     .normalize = normalize});
  if (Tape* tape = recording({&p})) {
    auto& node = tape->record<RouteNode>({&p}, {&routing.weights});
    node.probabilities = p, node.chosen = chosen, node.slots = slot_of, node.normalize = normalize;
  }
  return routing;
}

Tensor gather_rows(const Tensor& x, const Tensor& rows) {
  check_gather(x, rows);
  return gather_rows(x, index_rows("gather_rows", rows, x.size(0), "the rows").to(x.device()));
}

Tensor gather_rows(const Tensor& x, const RowIndex& rows) {
  check_gather(x, rows.ids);
  check(x.size(0) == rows.rows, "gather_rows: ids of ", rows.rows, " rows, got ", x.shape());
  const Tensor in = contiguous(x);
  const int64_t m = rows.ids.numel();
  Tensor y = x.like({m, x.size(1)}, x.dtype());
  if (y.numel() > 0)
    kernel::gather_rows(in.device(), {in.raw(), rows.ids.data<int32_t>(), nullptr, y.raw(), m, in.size(1),
                                      in.dtype(), in.dtype(), 1, false});
  if (Tape* tape = recording({&in})) {
    check(rows.order.defined(), "gather_rows: an index without the order of sums has no gradient");
    auto& node = tape->record<GatherNode>({&in}, {&y});
    node.order = rows.order, node.starts = rows.starts, node.n = x.size(0), node.d = x.size(1);
  }
  return y;
}

Tensor scatter_rows(const Tensor& x, const Tensor& rows, const Tensor& weights, int64_t n) {
  check_scatter(x, rows, weights);
  check(n >= 0, "scatter_rows: a result of ", n, " rows");
  return scatter_rows(x, index_rows("scatter_rows", rows, n, "a result").to(x.device()), weights);
}

Tensor scatter_rows(const Tensor& x, const RowIndex& rows, const Tensor& weights) {
  check_scatter(x, rows.ids, weights);
  check(rows.order.defined(), "scatter_rows: needs an index with the order of sums");
  const Tensor in = contiguous(x), w = contiguous(weights);
  Tensor y = x.like({rows.rows, x.size(1)}, x.dtype());
  if (y.numel() > 0)
    kernel::scatter_rows(in.device(), {in.raw(), rows.order.data<int32_t>(), rows.starts.data<int32_t>(),
                                       w.raw(), y.raw(), rows.rows, in.size(1), in.dtype(), in.dtype(), 1, false});
  if (Tape* tape = recording({&in, &w})) {
    auto& node = tape->record<ScatterNode>({&in, &w}, {&y});
    node.x = in, node.rows = rows.ids, node.weights = w;
  }
  return y;
}

}  // namespace engine
