// Ten AdamW steps of every reference model in f64, against PyTorch's losses and gradient norms: model,
// gradient norm, clipping and optimizer together. Read first: tests/models/reference_test.cc,
// train/optimizer.h.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>

#include "engine/ops/optimizer.h"
#include "models/forward.h"
#include "shared_data.h"
#include "train/optimizer.h"

using namespace engine;

namespace {

struct Step {
  double loss, norm;
};

/// One update as the trainer makes it: summed loss, one factor for the division by scored positions and the
/// clip.
Step update(models::Transformer& model, train::Optimizer& optimizer, const models::TokenBatch& batch,
            double lr, double clip) {
  Tape tape;
  model.parameters().clear_gradients();
  double loss = 0;
  {
    const TapeScope scope(tape);
    const Tensor sum = model.loss(model.hidden(batch.tokens, model.context()), batch.labels);
    loss = sum.item() / double(batch.scored);
    tape.backward(sum);
  }
  model.parameters().complete_gradients();
  const double norm = std::sqrt(sum_of_squares(model.parameters().grads())) / double(batch.scored);
  optimizer.step(lr, std::min(1.0, clip / (norm + 1e-6)) / double(batch.scored));
  return {loss, norm};
}

}  // namespace

TEST_CASE("ten AdamW steps of the reference models agree with PyTorch to 1e-8", "[medium]") {
  const std::string root = shared_path("reference");
  if (root.empty()) return;
  int models_trained = 0;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    const std::string folder = entry.path();
    if (!file_exists(folder + "/train.json")) continue;
    INFO(folder);
    const Json expected = read_json(folder + "/train.json");
    const auto model = models::load_model(folder, nn::Precision::of(DType::f64), nn::Gradients::allocated);
    CHECK(model->parameters().count() == expected["parameters"].get<int64_t>());
    model->parameters().grads().fill(0);  // gaps between parameters count in the norm of the arena
    train::OptimConfig config;
    config.name = train::OptimizerKind::adamw;
    config.betas = {expected["betas"][0], expected["betas"][1]};
    config.eps = expected["eps"];
    config.weight_decay = expected["weight_decay_rank2"];
    config.decay = train::DecayGroup::matrices;
    train::Optimizer optimizer(model->parameters(), config);
    const Json& batches = expected["batches"];
    for (size_t i = 0; i < expected["losses"].size(); ++i) {
      const models::TokenBatch batch =
          models::token_batch(batches[i % batches.size()], model->config(), folder);
      const Step step = update(*model, optimizer, batch, expected["lr"], expected["clip"]);
      const double loss = expected["losses"][i], norm = expected["grad_norms"][i];
      INFO("step " << i);
      CHECK(std::fabs(step.loss - loss) <= 1e-8 * std::fabs(loss));
      CHECK(std::fabs(step.norm - norm) <= 1e-8 * norm);
    }
    ++models_trained;
  }
  CHECK(models_trained >= 60);
}
