// The answers to the exercises of docs/06-precision.md.
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/core/tensor.h"
#include "train/loss_scaler.h"

using namespace engine;

namespace {

/// A number after it was stored in a type.
double in(DType dtype, double value) {
  const Tensor to = Tensor::empty({1}, dtype);
  to.copy_from(Tensor::from({value}, {1}, DType::f32));
  return to.item();
}

}  // namespace

TEST_CASE("exercise 6.1: underflow") {
  CHECK(in(DType::f16, 1e-8) == 0);
  CHECK(in(DType::f16, 1e-8 * 1024) / 1024 == Approx(1e-8).epsilon(0.01));
}

TEST_CASE("exercise 6.2: a sum that stops") {
  double sum = 0;
  for (int i = 0; i < 1000; ++i) sum = in(DType::bf16, sum + 1);
  CHECK(sum == 256);
}

TEST_CASE("exercise 6.3: master weights") {
  CHECK(in(DType::bf16, 1 - 0.001) == 1);
  CHECK(in(DType::bf16, 1 - 0.002) == 1 - 0x1p-8);
}

TEST_CASE("exercise 6.4: the scaler") {
  train::LossScaler scaler({.init = 64, .window = 2}, 1, 1);
  std::vector<double> scales;
  for (double norm : {1.0, 1.0, double(INFINITY), 1.0, 1.0}) {
    scaler.observe(norm);
    scales.push_back(scaler.scale());
  }
  CHECK(scales == std::vector<double>{64, 128, 64, 64, 128});
}

TEST_CASE("exercise 6.5: bf16 has the range of f32") {
  CHECK(in(DType::bf16, 1e-30) == Approx(1e-30).epsilon(0.004));
  CHECK(in(DType::bf16, 1e-30 * 1024) / 1024 == in(DType::bf16, 1e-30));
}
