// Every placement of the preset table, as a causal and as a masked language model: its gradients against
// finite differences, and twenty optimizer steps. Read first: nn/norm_presets.h, models/model_gradcheck.h.
#include <catch2/catch.hpp>

#include "models/init.h"
#include "models/model_gradcheck.h"
#include "nn/norm_presets.h"
#include "tiny_training.h"

using namespace engine;
using namespace models;

namespace {

const Objective language_models[] = {Objective::clm, Objective::mlm};

}  // namespace

TEST_CASE("presets: whole-model gradients against finite differences", "[medium]") {
  for (const nn::NormPreset& preset : nn::norm_presets()) {
    for (const Objective objective : language_models) {
      const GradcheckResult result = gradcheck_model(gradcheck_config(preset.name, objective));
      INFO(preset.name << " " << objective_names[size_t(objective)] << "\n" << result.text);
      CHECK(result.ok);
      CHECK(result.inputs.size() >= 20);
    }
  }
}

TEST_CASE("presets: twenty AdamW steps on one batch lower the loss", "[medium]") {
  const OneThread one;
  for (const nn::NormPreset& preset : nn::norm_presets()) {
    for (const Objective objective : language_models) {
      INFO(preset.name << " " << objective_names[size_t(objective)]);
      Transformer model(gradcheck_config(preset.name, objective), nn::Precision::of(DType::f32));
      initialise(model, "", 7);
      const TokenBatch batch = random_batch(model.config(), 4, 11);
      if (preset.name == "admin") admin_profile(model, input_rows(model.config(), batch.tokens));
      const std::vector<double> losses = train_steps(model, batch, {.steps = 20, .lr = 5e-3});
      for (const double loss : losses) CHECK(std::isfinite(loss));
      CHECK(losses.back() < 0.95 * losses.front());
    }
  }
}
