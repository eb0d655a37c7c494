// The answers to the exercises of docs/09-training.md.
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/ops/optimizer.h"
#include "models/flops.h"
#include "models/size_presets.h"
#include "train/loss_scaler.h"
#include "train/schedule.h"

using namespace engine;

namespace {

/// A weight after AdamW's first update.
double after_one_update(double weight, double gradient, const AdamOptions& options) {
  const Tensor w = Tensor::from({weight}, {1}), g = Tensor::from({gradient}, {1});
  const Tensor m = Tensor::zeros({1}, DType::f64), v = Tensor::zeros({1}, DType::f64);
  adamw_step(w, g, m, v, options);
  return w.item();
}

}  // namespace

TEST_CASE("exercise 9.1: the size of a gradient does not matter") {
  CHECK(after_one_update(1, 0.001, {.lr = 0.01}) == Approx(0.99).epsilon(1e-4));
  CHECK(after_one_update(1, 10, {.lr = 0.01}) == Approx(0.99).epsilon(1e-4));
}

TEST_CASE("exercise 9.2: weight decay") {
  CHECK(after_one_update(1, 0, {.lr = 1e-3, .weight_decay = 0.1}) == Approx(0.9999));
  CHECK(std::pow(0.9999, 10000) == Approx(0.37).epsilon(0.01));
}

TEST_CASE("exercise 9.3: a schedule") {
  const train::Schedule schedule({.name = train::ScheduleKind::cosine, .warmup = 100}, 1, 1100);
  CHECK(schedule.rate(49) == Approx(0.5));
  CHECK(schedule.rate(600) == Approx(0.5));
}

TEST_CASE("exercise 9.4: clipping") {
  CHECK(train::clip_factor(5, 1) == Approx(0.2).epsilon(1e-5));
  CHECK(train::clip_factor(0.5, 1) == 1);
}

TEST_CASE("exercise 9.5: operations a token") {
  const models::FlopsPerToken flops =
      models::flops_per_token(models::find_size_preset("gpt-125m").config, 1024);
  CHECK(flops.matrices == Approx(6 * flops.matrix_parameters));
  CHECK(0.4 * 4e11 / 16.5e6 == Approx(9700).epsilon(0.001));
}
