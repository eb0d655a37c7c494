// Read first: routing.h, routing_kernels.h.
#include "engine/ops/routing.h"

#include <algorithm>

#include "engine/ops/routing_kernels.h"
#include "engine/ops/view.h"

namespace engine {
namespace {

/// For each of n target rows, the slots that go to it, ascending: slots of row t are order[offsets[t] ..
/// offsets[t + 1]).
struct Inverse {
  std::vector<int64_t> offsets;
  std::vector<int32_t> order;
};

Inverse invert(const Tensor& rows, int64_t n) {
  const int32_t* row = rows.data<int32_t>();
  Inverse inverse;
  inverse.offsets.assign(size_t(n) + 1, 0);
  for (int64_t i = 0; i < rows.numel(); ++i) ++inverse.offsets[size_t(row[i]) + 1];
  for (int64_t t = 0; t < n; ++t) inverse.offsets[size_t(t) + 1] += inverse.offsets[size_t(t)];
  std::vector<int64_t> next(inverse.offsets.begin(), inverse.offsets.end() - 1);
  inverse.order.resize(size_t(rows.numel()));
  for (int64_t i = 0; i < rows.numel(); ++i) inverse.order[size_t(next[size_t(row[i])]++)] = int32_t(i);
  return inverse;
}

void check_rows(const char* op, const Tensor& rows, int64_t n) {
  check(rows.dtype() == DType::i32 && rows.rank() == 1, op, ": rows must be i32 [M], got ", rows.dtype(), " ",
        rows.shape());
  for (int64_t i = 0; i < rows.numel(); ++i)
    check(rows.data<int32_t>()[i] >= 0 && rows.data<int32_t>()[i] < n, op, ": row ", rows.data<int32_t>()[i],
          " at position ", i, " is outside [0, ", n, ")");
}

void check_matrix(const char* op, const Tensor& x) {
  check(is_float(x.dtype()) && x.rank() == 2, op, ": needs a floating matrix, got ", x.dtype(), " ",
        x.shape());
}

//   y_i = x[rows_i]        dx_t = sum over i with rows_i = t of dy_i
struct GatherRowsNode : NodeOf<GatherRowsNode> {
  static constexpr const char* kName = "gather_rows";
  Saved rows;
  auto saved() { return std::tie(rows); }
  void backward(Backward& b) override {
    const Tensor dy = b.dy();
    const Into dx = b.into(0);
    const Inverse inverse = invert(rows.get(), dx.buffer.size(0));
    cpu::combine_rows({dy.raw(), dx.buffer.raw(), inverse.offsets.data(), inverse.order.data(), nullptr,
                       dx.buffer.size(0), dy.size(1), dy.dtype(), dx.accumulate});
  }
};

//   y_t = sum over i with rows_i = t of w_i x_i        dx_i = w_i dy[rows_i]        dw_i = <x_i, dy[rows_i]>
struct ScatterRowsNode : NodeOf<ScatterRowsNode> {
  static constexpr const char* kName = "scatter_rows";
  Saved x, rows, weights;
  auto saved() { return std::tie(x, rows, weights); }
  void backward(Backward& b) override {
    const Tensor dy = b.dy();
    const Tensor &in = x.get(), &row = rows.get();
    if (b.wants(0)) {
      const Into dx = b.into(0);
      cpu::combine_rows({dy.raw(), dx.buffer.raw(), nullptr, row.data<int32_t>(), weights.get().raw(),
                         in.size(0), in.size(1), in.dtype(), dx.accumulate});
    }
    if (b.wants(1)) {
      const Into dw = b.into(1);
      cpu::row_products({in.raw(), dy.raw(), row.data<int32_t>(), dw.buffer.raw(), in.size(0), in.size(1),
                         in.dtype(), dw.accumulate});
    }
  }
};

//   w_s = p[token, expert] (/ S, S the sum over the token's k)
//   dp = dw        or, normalised,        dp_i = (dw_i - sum_j dw_j w_j) / S
struct RouteNode : NodeOf<RouteNode> {
  static constexpr const char* kName = "route_top_k";
  Saved probabilities, rows, weights;
  auto saved() { return std::tie(probabilities, rows, weights); }
  std::vector<int32_t> experts;  // of each slot
  bool normalize = false;

  void backward(Backward& b) override {
    const Tensor dp = Tensor::zeros(probabilities.get().shape(), probabilities.get().dtype());
    visit_float(dp.dtype(), [&](auto t) { fill<decltype(t)>(b.dy(), dp); });
    b.pass(0, dp);
  }

  template <class T>
  void fill(const Tensor& dw_tensor, const Tensor& dp_tensor) const {
    const T *dw = dw_tensor.data<T>(), *w = weights.get().data<T>(), *p = probabilities.get().data<T>();
    const int32_t* row = rows.get().data<int32_t>();
    T* dp = dp_tensor.data<T>();
    const int64_t n = dp_tensor.size(0), E = dp_tensor.size(1);
    std::vector<double> dot(size_t(n), 0.0), sum(size_t(n), 1.0);
    if (normalize) {
      std::fill(sum.begin(), sum.end(), 0.0);
      for (size_t s = 0; s < experts.size(); ++s) {
        dot[size_t(row[s])] += double(widen(dw[s])) * double(widen(w[s]));
        sum[size_t(row[s])] += double(widen(p[row[s] * E + experts[s]]));
      }
    }
    for (size_t s = 0; s < experts.size(); ++s)
      dp[row[s] * E + experts[s]] =
          narrow<T>((double(widen(dw[s])) - dot[size_t(row[s])]) / sum[size_t(row[s])]);
  }
};

}  // namespace

Routing route_top_k(const Tensor& probabilities_in, int64_t k, bool normalize) {
  check_matrix("route_top_k", probabilities_in);
  const Tensor probabilities = contiguous(probabilities_in);
  const int64_t n = probabilities.size(0), E = probabilities.size(1);
  check(k >= 1 && k <= E, "route_top_k: k = ", k, " of ", E, " experts");
  const std::vector<double> p = probabilities.to_vector();

  // The chosen experts of each token, then a stable counting sort of (token, expert) by expert.
  std::vector<int32_t> chosen(size_t(n * k)), order(static_cast<size_t>(E));
  Routing routing;
  routing.offsets.assign(size_t(E) + 1, 0);
  for (int64_t t = 0; t < n; ++t) {
    const double* row = p.data() + t * E;
    for (int64_t e = 0; e < E; ++e) order[size_t(e)] = int32_t(e);
    std::partial_sort(order.begin(), order.begin() + k, order.end(),
                      [&](int32_t a, int32_t b) { return row[a] != row[b] ? row[a] > row[b] : a < b; });
    for (int64_t j = 0; j < k; ++j) {
      chosen[size_t(t * k + j)] = order[size_t(j)];
      ++routing.offsets[size_t(order[size_t(j)]) + 1];
    }
  }
  for (int64_t e = 0; e < E; ++e) routing.offsets[size_t(e) + 1] += routing.offsets[size_t(e)];
  std::vector<int64_t> next(routing.offsets.begin(), routing.offsets.end() - 1);
  std::vector<int32_t> rows(size_t(n * k)), experts(size_t(n * k));
  std::vector<double> weights(size_t(n * k));
  for (int64_t t = 0; t < n; ++t) {
    double sum = 0;
    for (int64_t j = 0; j < k; ++j) sum += p[size_t(t * E + chosen[size_t(t * k + j)])];
    for (int64_t j = 0; j < k; ++j) {
      const int32_t e = chosen[size_t(t * k + j)];
      const size_t slot = size_t(next[size_t(e)]++);
      rows[slot] = int32_t(t);
      experts[slot] = e;
      weights[slot] = p[size_t(t * E + e)] / (normalize ? sum : 1);
    }
  }
  routing.rows = Tensor::from_ids(rows, {n * k});
  routing.weights = Tensor::from(weights, {n * k}, probabilities.dtype());
  if (Tape* tape = recording({&probabilities})) {
    auto& node = tape->record<RouteNode>({&probabilities}, {&routing.weights});
    node.probabilities = probabilities, node.rows = routing.rows, node.weights = routing.weights;
    node.experts = experts, node.normalize = normalize;
  }
  return routing;
}

Tensor gather_rows(const Tensor& x, const Tensor& rows_in) {
  check_matrix("gather_rows", x);
  const Tensor in = contiguous(x), rows = contiguous(rows_in);
  check_rows("gather_rows", rows, in.size(0));
  Tensor y = Tensor::empty({rows.numel(), in.size(1)}, in.dtype(), in.device());
  cpu::combine_rows({in.raw(), y.raw(), nullptr, rows.data<int32_t>(), nullptr, rows.numel(), in.size(1),
                     in.dtype(), false});
  if (Tape* tape = recording({&in})) tape->record<GatherRowsNode>({&in}, {&y}).rows = rows;
  return y;
}

Tensor scatter_rows(const Tensor& x, const Tensor& rows_in, const Tensor& weights_in, int64_t n) {
  check_matrix("scatter_rows", x);
  const Tensor in = contiguous(x), rows = contiguous(rows_in), weights = contiguous(weights_in);
  check_rows("scatter_rows", rows, n);
  check(rows.numel() == in.size(0) && weights.shape() == rows.shape() &&
            weights.dtype() == compute_dtype(in.dtype()),
        "scatter_rows: ", in.shape(), " needs as many rows and ", compute_dtype(in.dtype()), " weights, got ",
        rows.shape(), " and ", weights.dtype(), " ", weights.shape());
  Tensor y = Tensor::empty({n, in.size(1)}, in.dtype(), in.device());
  const Inverse inverse = invert(rows, n);
  const Tensor sorted =
      Tensor::empty(weights.shape(), weights.dtype());  // weights in the order of inverse.order
  visit_float(weights.dtype(), [&](auto t) {
    for (int64_t i = 0; i < rows.numel(); ++i)
      sorted.data<decltype(t)>()[i] = weights.data<decltype(t)>()[inverse.order[size_t(i)]];
  });
  cpu::combine_rows({in.raw(), y.raw(), inverse.offsets.data(), inverse.order.data(), sorted.raw(), n,
                     in.size(1), in.dtype(), false});
  if (Tape* tape = recording({&in, &weights})) {
    auto& node = tape->record<ScatterRowsNode>({&in, &weights}, {&y});
    node.x = in, node.rows = rows, node.weights = weights;
  }
  return y;
}

}  // namespace engine
