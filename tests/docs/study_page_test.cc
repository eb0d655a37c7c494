// The answers to the exercises of docs/12-what-small-scale-shows.md.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/base/json.h"
#include "engine/base/philox.h"
#include "models/flops.h"
#include "models/init.h"
#include "models/parameter_list.h"
#include "train/comparison/analysis.h"
#include "train/evaluation/statistics.h"

using namespace engine;

TEST_CASE("exercise 12.1: one comparison among four") {
  const std::vector<double> baseline(5, 0), losses = {-0.031, -0.012, -0.024, -0.004, -0.029};
  const train::PairedDifference d = train::paired_difference(losses, baseline);
  CHECK(*d.p == Approx(0.018).epsilon(0.03));
  CHECK(train::verdict_of(d.mean.mean, d.p, 5) == "better");
  const train::Number corrected = train::holm({d.p, 0.2, 0.5, 0.03})[0];
  CHECK(*corrected == Approx(4 * *d.p));
  CHECK(train::verdict_of(d.mean.mean, corrected, 5) == "no difference shown");
}

TEST_CASE("exercise 12.2: the best of four") {
  Rng rng{1};
  double sum = 0;
  for (int i = 0; i < 20000; ++i) sum += std::min({rng.normal(), rng.normal(), rng.normal(), rng.normal()});
  CHECK(sum / 20000 == Approx(-1.03).margin(0.03));
}

TEST_CASE("exercise 12.3: how many seeds") {
  const auto resolved = [](int64_t n) {
    return train::student_t(0.05, double(n - 1)) / std::sqrt(double(n));
  };
  CHECK(resolved(3) == Approx(2.48).epsilon(0.01));
  CHECK(resolved(5) == Approx(1.24).epsilon(0.01));
  CHECK(resolved(17) > 0.5);
  CHECK(resolved(18) < 0.5);
}

TEST_CASE("exercise 12.4: how far these runs go") {
  const Json file = read_json(SOURCE_DIR "/docs/configs/study-char.json");
  Json section = file["model"];
  section["objective"] = "clm", section["vocab_size"] = 90;
  const models::ModelConfig model = models::model_config_from_section(section, "model");
  const double updates = file["budget"]["steps"], rows = file["data"]["batch"];
  const double tokens = updates * rows * double(model.context);
  CHECK(tokens == 1536000);
  CHECK(tokens / double(models::flops_per_token(model, 64).matrix_parameters) == Approx(1.9).epsilon(0.02));
}

TEST_CASE("exercise 12.5: what two placements share at the start") {
  models::ModelConfig config;
  config.vocab_size = 19, config.context = 6, config.layers = 2, config.width = 8, config.heads = 2,
  config.ffn_width = 16;
  const auto made = [&](const char* norms) {
    models::ModelConfig own = config;
    models::set_norms(own, norms);
    auto model = std::make_unique<models::Transformer>(models::checked(own), nn::Precision::of(DType::f32));
    models::initialise(*model, "gpt2", 7);
    return model;
  };
  const auto pre_ln = made("pre_ln"), normformer = made("normformer");
  int64_t equal = 0, more = 0;
  for (const models::ParameterInfo& p : models::parameter_list(normformer->config())) {
    if (pre_ln->parameters().find(p.name) == nullptr) {
      ++more;
      continue;
    }
    CHECK(pre_ln->parameters()[p.name].value.to_vector() ==
          normformer->parameters()[p.name].value.to_vector());
    ++equal;
  }
  CHECK(equal == int64_t(models::parameter_list(pre_ln->config()).size()));
  CHECK(more == 2 * 5);  // a layer: weight and bias of two norms, and head gains
}
