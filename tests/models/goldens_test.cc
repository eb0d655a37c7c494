// The repository's own goldens: tiny models whose loss, logits, hidden and gradients PyTorch computed in
// float64 (tests/goldens/models.py is the script, models.json what it wrote).
#include <catch2/catch.hpp>

#include "engine/base/json.h"
#include "models/forward.h"
#include "models/model_files.h"
#include "reference_measure.h"

using namespace engine;
using namespace models;

namespace {

Json goldens() { return read_json(SOURCE_DIR "/tests/goldens/models.json"); }

std::vector<double> numbers(const Json& list) { return list.get<std::vector<double>>(); }

/// The model with the golden's parameters, which must be all of its parameters and no others.
Transformer model_of(const Json& golden, DType dtype) {
  Transformer model(model_config_from_json(golden["config"], "config"), nn::Precision::of(dtype));
  CHECK(golden["parameters"].size() == model.parameters().all().size());
  for (Parameter* p : model.parameters().all()) {
    INFO(p->name);
    REQUIRE(golden["parameters"].contains(p->name));
    const Json& given = golden["parameters"][p->name];
    CHECK(Shape(given["shape"].get<std::vector<int64_t>>()) == p->value.shape());
    p->value.copy_from(Tensor::from(numbers(given["values"]), p->value.shape(), p->value.dtype()));
  }
  model.parameters().refresh_copies();
  return model;
}

std::map<std::string, double> errors_of(const Json& golden, DType dtype) {
  Transformer model = model_of(golden, dtype);
  const TokenBatch batch = token_batch(golden["tokens"], model.config(), "tokens");
  const NamedTensors ours = output_tensors(run_forward(model, batch, WithGradients::yes), dtype);
  CHECK(ours.size() == golden["expected"].size());
  NamedTensors expected;  // lists without a shape: that of ours
  for (const auto& [name, tensor] : ours)
    expected.emplace_back(name,
                          Tensor::from(numbers(golden["expected"].at(name)), tensor.shape(), DType::f64));
  return tensor_errors(ours, expected, batch.tokens.key_mask);
}

}  // namespace

TEST_CASE("goldens: loss, logits, hidden and gradients are PyTorch's") {
  for (const Json& golden : goldens()) {
    INFO(golden["name"]);
    for (const auto& [name, error] : errors_of(golden, DType::f64)) {
      INFO(name << " " << error);
      CHECK(error <= 1e-9);
    }
    for (const auto& [name, error] : errors_of(golden, DType::f32)) {
      INFO("f32 " << name << " " << error);
      CHECK(error <= 1e-4);
    }
  }
}

TEST_CASE("goldens: the placements read back as they were written") {
  for (const Json& golden : goldens()) {
    INFO(golden["name"]);
    const ModelConfig config = model_config_from_json(golden["config"], "config");
    CHECK(model_config_from_json(to_json(config), "again") == config);
  }
}
