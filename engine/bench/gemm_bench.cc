// Read first: gemm_bench.h, gemm.h.
#include "engine/bench/gemm_bench.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>

#include "engine/base/clock.h"
#include "engine/base/philox.h"
#include "engine/bench/gemm_peers.h"
#include "engine/core/tensor.h"
#include "engine/cpu/parallel.h"

namespace engine {
namespace {

// One linear layer [in -> out] of the step, and how many of them there are.
struct Layer {
  const char* name;
  int64_t in, out, count;
};
// As many as fill the device, and its time far above that of a launch.
int64_t tokens_of(Device device) { return device == Device::cuda ? 16384 : 1024; }
constexpr Layer kLayers[] = {
    {"qkv", 768, 2304, 12}, {"proj", 768, 768, 12},  {"fc", 768, 3072, 12},
    {"fc2", 3072, 768, 12}, {"head", 768, 50304, 1},
};

// Random numbers, some of them again and again: a GPU multiplies equal ones at less power, and faster.
Tensor random_numbers(const Shape& shape, DType dtype, Device device) {
  Rng rng{1};
  std::vector<double> drawn(size_t(1) << 16);
  for (double& x : drawn) x = 0.01 * rng.normal();
  const Tensor some = Tensor::from(drawn, {int64_t(drawn.size())}, dtype).to(device);
  const Tensor all = some.like(shape, dtype);
  for (int64_t at = 0; at < all.bytes(); at += some.bytes())
    memory_of(device).copy(static_cast<char*>(all.raw()) + at, some.raw(),
                           size_t(std::min(some.bytes(), all.bytes() - at)), Transfer::within);
  return all;
}

// The three products of a layer, with gradients and results in f32 as peers give them.
struct Operands {
  Operands(const Layer& l, DType dtype, Device device)
      : layer(l),
        tokens(tokens_of(device)),
        x(random_numbers({tokens, l.in}, dtype, device)),
        w(random_numbers({l.out, l.in}, dtype, device)),
        y(random_numbers({tokens, l.out}, dtype, device)),
        result(Tensor::zeros({std::max(tokens * std::max(l.in, l.out), l.in * l.out)}, DType::f32, device)) {}

  double flops() const { return 2.0 * double(tokens * layer.in * layer.out); }
  std::vector<std::pair<const char*, Gemm>> products() const {
    const auto rows = [](const Tensor& t, bool transposed) {
      return GemmOperand{t.raw(), t.size(1), t.dtype(), transposed};
    };
    const auto product = [&](GemmOperand a, GemmOperand b, int64_t m, int64_t n, int64_t k, bool accumulate) {
      return Gemm{
          .a = a, .b = b, .m = m, .n = n, .k = k, .c = result.raw(), .c_stride = n, .accumulate = accumulate};
    };
    return {{"y = x W^T", product(rows(x, false), rows(w, true), tokens, layer.out, layer.in, false)},
            {"dx = dy W", product(rows(y, false), rows(w, false), tokens, layer.in, layer.out, false)},
            {"dW += dy^T x", product(rows(y, true), rows(x, false), layer.out, layer.in, tokens, true)}};
  }

  Layer layer;
  int64_t tokens;
  Tensor x, w, y, result;
};

struct Product {
  std::string name;
  Gemm gemm;
  double flops, count;
};

/// Best seconds of every product in each way. A round runs one way after the other, each through all
/// products, with a pause before each: a library's idle threads wait actively for a moment, and would take a
/// processor from whoever comes next.
std::vector<std::vector<double>> best_times(const std::vector<Product>& products,
                                            const std::vector<std::function<void(const Gemm&)>>& ways,
                                            int repeats, const std::function<void()>& between,
                                            Device device) {
  const int calls = device == Device::cuda ? 10 : 1;  // between two waits, which take as long as a product
  std::vector<std::vector<double>> best(ways.size(), std::vector<double>(products.size(), 1e30));
  for (int round = -1; round < repeats; ++round)  // the first touches memory and is not counted
    for (size_t w = 0; w < ways.size(); ++w) {
      if (ways.size() > 1) std::this_thread::sleep_for(std::chrono::milliseconds(50));
      for (size_t p = 0; p < products.size(); ++p) {
        const double t = seconds_of([&] {
          for (int i = 0; i < calls; ++i) ways[w](products[p].gemm);
          memory_of(device).synchronize();
        });
        if (round >= 0) best[w][p] = std::min(best[w][p], t / calls);
        if (round >= 0 && w == 0) between();
      }
    }
  return best;
}

}  // namespace

double multiply_add_peak(cpu::Bf16Product way) {
  std::vector<float> sink(static_cast<size_t>(cpu::thread_count()));
  double flops = 0, best = 0;
  FmaPeak a{long(sink.size()), 400000, sink.data(), &flops, way};
  for (int i = 0; i < 3; ++i) {
    const double t = seconds_of([&] { cpu::fma_peak(a); });
    best = std::max(best, flops * double(a.rounds * a.tasks) / t * 1e-9);
  }
  return best;
}

double multiply_add_peak(DType dtype) {
  using cpu::Bf16Product;
  if (dtype == DType::f16 && cpu::bf16_product() == Bf16Product::amx)  // four products of bf16 each
    return multiply_add_peak(Bf16Product::amx) / 4;
  const Bf16Product way = dtype == DType::bf16 ? cpu::bf16_product() : Bf16Product::widened;
  const bool by_instruction = way == Bf16Product::pairs || way == Bf16Product::amx;
  return multiply_add_peak(by_instruction ? way : Bf16Product::widened);
}

std::vector<BenchResult> bf16_peaks() {
  using cpu::Bf16Product;
  std::vector<BenchResult> results;
  for (const Bf16Product way : {Bf16Product::widened, Bf16Product::pairs, Bf16Product::amx}) {
    if (!cpu::supported(way)) continue;
    const char* used = way == cpu::bf16_product() ? ", in use" : "";
    results.push_back(
        {join_text("peak of bf16, ", cpu::name_of(way), used), multiply_add_peak(way), "GFLOP/s"});
  }
  double best = 0;
  for (const BenchResult& r : results) best = std::max(best, r.value);
  for (BenchResult& r : results) r.ceiling = best, r.fraction = r.value / best;
  return results;
}

std::vector<BenchResult> bench_gemm(int repeats, Device device) {
  std::vector<BenchResult> results;
  if (device == Device::cpu) results = bf16_peaks();
  std::vector<DType> dtypes = {DType::f32, DType::bf16};
  if (device == Device::cpu && cpu::bf16_product() == cpu::Bf16Product::amx) dtypes.push_back(DType::f16);
  for (const DType dtype : dtypes) {
    std::vector<Operands> operands;
    std::vector<Product> products;
    for (const Layer& layer : kLayers) {
      operands.emplace_back(layer, dtype, device);
      for (const auto& [name, g] : operands.back().products())
        products.push_back(
            {join_text(layer.name, " ", name, " ", dtype, " [", g.m, ", ", g.n, ", ", g.k, "]"), g,
             operands.back().flops(), double(layer.count)});
    }
    std::vector<std::function<void(const Gemm&)>> ways = {
        [device](const Gemm& g) { kernel::gemm(device, g); }};
    const std::string total = join_text("GPT-2 124M step, all products, ", dtype);
    std::vector<std::string> totals = {total};
    for (const GemmPeer& peer : gemm_peers())
      if (device == Device::cpu && peer.takes(dtype))
        ways.push_back(peer.run), totals.push_back(join_text(total, ", by ", peer.name));

    double ceiling = 0;
    const auto peak = [&] {
      if (device == Device::cpu) ceiling = std::max(ceiling, multiply_add_peak(dtype));
    };
    const auto best = best_times(products, ways, repeats, peak, device);
    if (device != Device::cpu)
      for (size_t p = 0; p < products.size(); ++p)
        ceiling = std::max(ceiling, products[p].flops / best[0][p] * 1e-9);
    const auto row = [&](const std::string& name, double flops, double time) {
      const double value = flops / time * 1e-9;
      results.push_back({name, value, "GFLOP/s", ceiling, value / ceiling});
    };
    for (size_t p = 0; p < products.size(); ++p) row(products[p].name, products[p].flops, best[0][p]);
    for (size_t w = 0; w < ways.size(); ++w) {
      double flops = 0, time = 0;
      for (size_t p = 0; p < products.size(); ++p)
        flops += products[p].count * products[p].flops, time += products[p].count * best[w][p];
      row(totals[w], flops, time);
    }
  }
  return results;
}

}  // namespace engine
