// Recorded steps on the stand-in, and optimizer steps whose numbers stand in device memory.
#include "engine/core/graph.h"

#include <catch2/catch.hpp>

#include "engine/cuda/host/count.h"
#include "engine/cuda/host/settings.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/optimizer.h"

using namespace engine;
using Catch::Matchers::Contains;

namespace {

Tensor here(const std::vector<double>& values, DType dtype = DType::f32) {
  return Tensor::from(values, {int64_t(values.size())}, dtype).to(Device::cuda_host);
}
Tensor ramp(int64_t n, double step, DType dtype = DType::f32) {
  std::vector<double> v(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) v[size_t(i)] = step * double(i % 37 - 18);
  return Tensor::from(v, {n}, dtype);
}

}  // namespace

TEST_CASE("a recorded step keeps the numbers of its launches, and the difference names the stale one") {
  const Tensor x = here({1, 2, 3}), y = here({0, 0, 0});
  double factor = 2;
  const auto step = [&] { y.copy_from(affine(x, factor)); };
  StepGraph graph(Device::cuda_host, step);
  graph.replay();
  CHECK(y.to_vector() == std::vector<double>{2, 4, 6});
  CHECK(graph.difference(step) == "");
  factor = 5;
  graph.replay();
  CHECK(y.to_vector() == std::vector<double>{2, 4, 6});
  CHECK_THAT(graph.difference(step),
             Contains("elementwise_cuda.cu:") && Contains("a replay keeps the old value"));
  CHECK_THAT(graph.difference([&] { step(), step(); }),
             Contains("asks for other memory") || Contains("launches"));
}

TEST_CASE("a recorded step's memory is its own") {
  const Tensor x = here({1, 2, 3}), y = here({0, 0, 0});
  const StepGraph graph(Device::cuda_host, [&] { y.copy_from(affine(affine(x, 2), 3)); });
  std::vector<Tensor> others;
  for (int i = 0; i < 8; ++i) others.push_back(here({7, 7, 7}));
  graph.replay();
  CHECK(y.to_vector() == std::vector<double>{6, 12, 18});
  for (const Tensor& t : others) CHECK(t.to_vector() == std::vector<double>{7, 7, 7});
}

TEST_CASE("what a step may not do while it is recorded") {
  const Tensor x = here({1, 2, 3});
  CHECK_THROWS_WITH(StepGraph(Device::cuda_host,
                              [&] {
                                x.copy_from(Tensor::from({1, 2, 3}, {3}, DType::f32));
                              }),
                    Contains("a copy from the host inside a recorded step"));
  CHECK_THROWS_WITH(StepGraph(Device::cuda_host, [&] { x.to_vector(); }), Contains("captured"));
  CHECK_THROWS_WITH(StepGraph(Device::cpu, [] {}), Contains("device cpu records no graphs"));
  CHECK(x.to_vector() == std::vector<double>{1, 2, 3});  // and the device is as it was
}

TEST_CASE("AdamW of an arena is one launch, which reads its numbers and its factor on the device") {
  const int64_t n = 160, border = 96;
  for (const DType low_dtype : {DType::bf16, DType::f16}) {
    const Tensor g = ramp(n, 1e-3), p = ramp(n, 0.1), m = ramp(n, 1e-4),
                 v = Tensor::full({n}, 1e-6, DType::f32);
    const auto clones = [&](Device device) {
      std::vector<Tensor> out;
      for (const Tensor& t : {p, m, v}) {
        const Tensor own = Tensor::empty(t.shape(), t.dtype());
        own.copy_from(t);
        out.push_back(own.to(device));
      }
      return out;
    };
    // Two calls on the CPU, each with its own decay, against one on the device.
    const auto cpu = clones(Device::cpu), gpu = clones(Device::cuda_host);
    const Tensor low = Tensor::zeros({border}, low_dtype), low_there = low.to(Device::cuda_host);
    const AdamOptions base{.lr = 1e-2, .step = 3};
    for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, border}, {border, n}}) {
      AdamOptions o = base;
      o.weight_decay = begin == 0 ? 0.1 : 0, o.gradient_factor = 0.25;
      const auto part = [b = begin, e = end](const Tensor& t) { return t.slice(0, b, e); };
      adamw_step(part(cpu[0]), part(g), part(cpu[1]), part(cpu[2]), o, begin == 0 ? low : Tensor());
    }
    const ScalarsInMemory scalars(Device::cuda_host);
    scalars.set(&StepScalars::factor, 0.25);
    AdamOptions o = base;
    o.arena = {.scalars = &scalars, .spans = {{border, 0.1}, {n, 0}}};
    standin::settings().count = true;
    standin::reset_traffic();
    adamw_step(gpu[0], g.to(Device::cuda_host), gpu[1], gpu[2], o, low_there);
    memory_of(Device::cuda_host).synchronize();
    CHECK(standin::total_traffic().launches == 1);
    standin::settings().count = false;
    CHECK(gpu[0].to_vector() == cpu[0].to_vector());
    CHECK(gpu[1].to_vector() == cpu[1].to_vector());
    CHECK(gpu[2].to_vector() == cpu[2].to_vector());
    CHECK(low_there.to_vector() == low.to_vector());

    scalars.set(&StepScalars::finite, 0.0);  // an overflow: nothing changes
    adamw_step(gpu[0], g.to(Device::cuda_host), gpu[1], gpu[2], o, low_there);
    CHECK(gpu[0].to_vector() == cpu[0].to_vector());
    CHECK(gpu[1].to_vector() == cpu[1].to_vector());
  }
}

TEST_CASE("the gradients' factor is formed where they are") {
  const int64_t n = 40000;
  for (const bool exact : {false, true})
    for (const double value : {1e-3, 3e38}) {
      const Tensor g = Tensor::full({n}, value, DType::f32);
      StepScalars formed[2];
      for (const Device device : {Device::cpu, Device::cuda_host}) {
        const ScalarsInMemory scalars(device, {.loss_scale = 4, .scored = 10});
        form_factor(g.to(device), scalars, {.most = 1e-3, .exact = exact});
        formed[device == Device::cuda_host] = scalars.read();
      }
      const double norm = value * std::sqrt(double(n)) / 40;
      CHECK(formed[0].norm == Approx(norm).epsilon(1e-6));
      CHECK(formed[0].finite == 1);
      CHECK(formed[0].unclipped == 1.0 / 40);
      CHECK(formed[0].factor == Approx(exact ? 1e-3 / norm / 40 : 1e-3 / (norm + 1e-6) / 40).epsilon(1e-6));
      CHECK(formed[1].norm == Approx(formed[0].norm).epsilon(1e-14));
      CHECK(formed[1].factor == Approx(formed[0].factor).epsilon(1e-14));
      CHECK(formed[1].finite == 1);
    }
  for (const double bad : {double(INFINITY), std::nan("")})
    for (const Device device : {Device::cpu, Device::cuda_host}) {
      const ScalarsInMemory scalars(device, {.scored = 1});
      form_factor(here({1, bad, 2}).to(device), scalars, {});
      CHECK(scalars.read().finite == 0);
    }
}
