// Read first: gemm_bench.h, gemm.h.
#include "engine/cpu/gemm_bench.h"

#include <algorithm>
#include <chrono>

#include "engine/core/tensor.h"
#include "engine/cpu/gemm.h"
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

Tensor operand(int64_t rows, int64_t cols, DType dtype) { return Tensor::full({rows, cols}, 0.01, dtype); }

}  // namespace

double multiply_add_peak() {
  std::vector<float> sink(size_t(cpu::thread_count()));
  double flops = 0, best = 0;
  FmaPeak a{long(sink.size()), 400000, sink.data(), &flops};
  for (int i = 0; i < 5; ++i) {
    const double t = seconds([&] { cpu::fma_peak(a); });
    best = std::max(best, flops * double(a.rounds * a.tasks) / t * 1e-9);
  }
  return best;
}

std::vector<BenchResult> bench_gemm(int repeats) {
  std::vector<BenchResult> results;
  for (DType dtype : {DType::f32, DType::bf16}) {
    double total_flops = 0, total_seconds = 0;
    const double ceiling = multiply_add_peak();
    const auto row = [&](const std::string& name, double flops, double t) {
      const double value = flops / t * 1e-9;
      results.push_back({name, value, "GFLOP/s", ceiling, value / ceiling});
    };
    for (const Layer& layer : kLayers) {
      const Tensor x = operand(kTokens, layer.in, dtype), w = operand(layer.out, layer.in, dtype),
                   y = operand(kTokens, layer.out, dtype), dw = operand(layer.out, layer.in, DType::f32);
      const GemmOperand X{x.raw(), layer.in, dtype}, W{w.raw(), layer.in, dtype},
          Y{y.raw(), layer.out, dtype};
      GemmOperand Wt = W, Yt = Y;
      Wt.transposed = Yt.transposed = true;
      const struct {
        const char* name;
        Gemm g;
      } products[] = {
          {"y = x W^T",
           {.a = X,
            .b = Wt,
            .m = kTokens,
            .n = layer.out,
            .k = layer.in,
            .c = y.raw(),
            .c_stride = layer.out,
            .c_dtype = dtype}},
          {"dx = dy W",
           {.a = Y,
            .b = W,
            .m = kTokens,
            .n = layer.in,
            .k = layer.out,
            .c = x.raw(),
            .c_stride = layer.in,
            .c_dtype = dtype}},
          {"dW += dy^T x",
           {.a = Yt,
            .b = X,
            .m = layer.out,
            .n = layer.in,
            .k = kTokens,
            .c = dw.raw(),
            .c_stride = layer.in,
            .accumulate = true}},
      };
      const double flops = 2.0 * double(kTokens * layer.in * layer.out);
      for (const auto& product : products) {
        cpu::gemm(product.g);  // touches memory and grows the scratch
        std::vector<double> samples;
        for (int i = 0; i < repeats; ++i) samples.push_back(seconds([&] { cpu::gemm(product.g); }));
        const double t = median(samples);
        row(join_text(layer.name, " ", product.name, " ", dtype, " [", product.g.m, ", ", product.g.n, ", ",
                      product.g.k, "]"),
            flops, t);
        total_flops += flops * double(layer.count), total_seconds += t * double(layer.count);
      }
    }
    row(join_text("GPT-2 124M step, all products, ", dtype), total_flops, total_seconds);
  }
  return results;
}

}  // namespace engine
