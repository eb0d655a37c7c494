// Read first: gemm_bench.h, gemm.h.
#include "engine/cpu/gemm_bench.h"

#include <algorithm>
#include <chrono>
#include <functional>

#include "engine/core/tensor.h"
#include "engine/cpu/gemm_peers.h"
#include "engine/cpu/parallel.h"

namespace engine {
namespace {

// One linear layer [in -> out] of the step, and how many of them there are.
struct Layer {
  const char* name;
  int64_t in, out, count;
};
constexpr int64_t kTokens = 1024;
constexpr Layer kLayers[] = {
    {"qkv", 768, 2304, 12}, {"proj", 768, 768, 12},  {"fc", 768, 3072, 12},
    {"fc2", 3072, 768, 12}, {"head", 768, 50304, 1},
};

template <class F>
double seconds(F&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + long(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// The three products of a layer at kTokens tokens, with gradients and results in f32 as peers give them.
struct Operands {
  Operands(const Layer& l, DType dtype)
      : layer(l),
        x(Tensor::full({kTokens, l.in}, 0.01, dtype)),
        w(Tensor::full({l.out, l.in}, 0.01, dtype)),
        y(Tensor::full({kTokens, l.out}, 0.01, dtype)),
        result(Tensor::zeros({std::max(kTokens * std::max(l.in, l.out), l.in * l.out)}, DType::f32)) {}

  double flops() const { return 2.0 * double(kTokens * layer.in * layer.out); }
  std::vector<std::pair<const char*, Gemm>> products() const {
    const auto rows = [](const Tensor& t, bool transposed) {
      return GemmOperand{t.raw(), t.size(1), t.dtype(), transposed};
    };
    const auto product = [&](GemmOperand a, GemmOperand b, int64_t m, int64_t n, int64_t k, bool accumulate) {
      return Gemm{
          .a = a, .b = b, .m = m, .n = n, .k = k, .c = result.raw(), .c_stride = n, .accumulate = accumulate};
    };
    return {{"y = x W^T", product(rows(x, false), rows(w, true), kTokens, layer.out, layer.in, false)},
            {"dx = dy W", product(rows(y, false), rows(w, false), kTokens, layer.in, layer.out, false)},
            {"dW += dy^T x", product(rows(y, true), rows(x, false), layer.out, layer.in, kTokens, true)}};
  }

  Layer layer;
  Tensor x, w, y, result;
};

/// Median seconds of each way: samples in turn, so that what disturbs the machine disturbs all alike.
std::vector<double> medians(const std::vector<std::function<void()>>& ways, int repeats,
                            const std::function<void()>& between) {
  std::vector<std::vector<double>> samples(ways.size());
  for (const auto& way : ways) way();  // touches memory and grows the scratch
  for (int r = 0; r < repeats; ++r) {
    for (size_t i = 0; i < ways.size(); ++i) samples[i].push_back(seconds(ways[i]));
    between();
  }
  std::vector<double> result;
  for (const auto& s : samples) result.push_back(median(s));
  return result;
}

}  // namespace

double multiply_add_peak(DType dtype) {
  std::vector<float> sink(size_t(cpu::thread_count()));
  double flops = 0, best = 0;
  const bool pairs = dtype == DType::bf16 && cpu::bf16_product() == cpu::Bf16Product::pairs;
  FmaPeak a{long(sink.size()), 400000, sink.data(), &flops, pairs};
  for (int i = 0; i < 5; ++i) {
    const double t = seconds([&] { cpu::fma_peak(a); });
    best = std::max(best, flops * double(a.rounds * a.tasks) / t * 1e-9);
  }
  return best;
}

std::vector<BenchResult> bench_gemm(int repeats) {
  std::vector<BenchResult> results;
  for (DType dtype : {DType::f32, DType::bf16}) {
    double flops = 0, own = 0, ceiling = 0;
    std::vector<BenchResult> rows;
    const auto row = [&](const std::string& name, double flops, double t) {
      rows.push_back({name, flops / t * 1e-9, "GFLOP/s"});
    };
    std::vector<GemmPeer> peers;
    for (const GemmPeer& peer : gemm_peers())
      if (peer.takes(dtype)) peers.push_back(peer);
    std::vector<double> peer_seconds(peers.size());
    for (const Layer& layer : kLayers) {
      const Operands operands(layer, dtype);
      for (const auto& [name, g] : operands.products()) {
        std::vector<std::function<void()>> ways = {[&g = g] { cpu::gemm(g); }};
        for (const GemmPeer& peer : peers) ways.push_back([&g = g, peer] { peer.run(g); });
        const std::vector<double> t =
            medians(ways, repeats, [&] { ceiling = std::max(ceiling, multiply_add_peak(dtype)); });
        row(join_text(layer.name, " ", name, " ", dtype, " [", g.m, ", ", g.n, ", ", g.k, "]"),
            operands.flops(), t[0]);
        flops += operands.flops() * double(layer.count), own += t[0] * double(layer.count);
        for (size_t i = 0; i < peers.size(); ++i) peer_seconds[i] += t[i + 1] * double(layer.count);
      }
    }
    const std::string total = join_text("GPT-2 124M step, all products, ", dtype);
    row(total, flops, own);
    for (size_t i = 0; i < peers.size(); ++i)
      row(join_text(total, ", by ", peers[i].name), flops, peer_seconds[i]);
    for (BenchResult& r : rows) {
      r.ceiling = ceiling, r.fraction = r.value / ceiling;
      results.push_back(r);
    }
  }
  return results;
}

}  // namespace engine
