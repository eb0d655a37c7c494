// The repository's own goldens of other people's architectures: tiny models whose loss and logits
// transformers computed (tests/goldens/hf_models.py is the script, hf_models.json what it wrote). They are
// read, compared, and written back.
#include <catch2/catch.hpp>

#include "models/convert.h"
#include "models/forward.h"
#include "models/hf/import.h"
#include "reference_measure.h"
#include "same_tensors.h"
#include "temporary_folder.h"

using namespace engine;
using namespace models;

namespace {

std::vector<double> numbers(const Json& list) { return list.get<std::vector<double>>(); }

NamedTensors tensors_of(const Json& golden, DType dtype) {
  NamedTensors tensors;
  for (const auto& [name, given] : golden["parameters"].items())
    tensors.emplace_back(name, Tensor::from(numbers(given["values"]),
                                            Shape(given["shape"].get<std::vector<int64_t>>()), dtype));
  return tensors;
}

void write_model(const std::string& folder, const Json& golden, DType dtype) {
  make_directories(folder);
  write_safetensors(folder + "/model.safetensors", tensors_of(golden, dtype));
  write_file(folder + "/config.json", golden["config"].dump());
}

void check_numbers(const std::string& folder, const Json& golden, DType dtype, double bound) {
  const LoadedModel loaded = load_any(folder, nn::Precision::of(dtype));
  const TokenBatch batch = token_batch(golden["tokens"], loaded.model->config(), "tokens");
  const NamedTensors ours = output_tensors(run_forward(*loaded.model, batch, WithGradients::no), dtype);
  NamedTensors compared, expected;
  for (const auto& [name, tensor] : ours) {
    if (!golden["expected"].contains(name)) continue;
    compared.emplace_back(name, tensor);
    expected.emplace_back(name, Tensor::from(numbers(golden["expected"][name]), tensor.shape(), DType::f64));
  }
  REQUIRE(compared.size() == 2);
  for (const auto& [name, error] : tensor_errors(compared, expected, batch.tokens.key_mask)) {
    INFO(dtype << " " << name << " " << error);
    CHECK(error <= bound);
  }
}

}  // namespace

TEST_CASE("goldens: other architectures compute what transformers does, and return as they came", "[hf]") {
  for (const Json& golden : read_json(SOURCE_DIR "/tests/goldens/hf_models.json")) {
    INFO(golden["name"]);
    for (const DType dtype : {DType::f32, DType::bf16}) {
      TemporaryFolder tmp;
      write_model(tmp / "hf", golden, dtype);
      if (dtype == DType::f32) {
        check_numbers(tmp / "hf", golden, DType::f64, 1e-9);
        check_numbers(tmp / "hf", golden, DType::f32, 1e-5);
      }
      write_portable(read_portable(tmp / "hf", ModelFormat::hf), tmp / "ours", ModelFormat::normlab);
      write_portable(read_portable(tmp / "ours", ModelFormat::normlab), tmp / "back", ModelFormat::hf);
      check_same_tensors(Safetensors(tmp / "hf"), Safetensors(tmp / "back"));
      if (dtype == DType::f32) check_numbers(tmp / "ours", golden, DType::f64, 1e-9);
      const Json after = read_json(tmp / "back/config.json");
      for (const auto& [key, value] : golden["config"].items()) {
        INFO(key);
        CHECK(after.value(key, Json("absent")) == value);
      }
    }
  }
}

TEST_CASE("goldens: without the keys that came along, the same model is written", "[hf]") {
  for (const Json& golden : read_json(SOURCE_DIR "/tests/goldens/hf_models.json")) {
    INFO(golden["name"]);
    const ModelConfig config = read_hf_config(golden["config"], "config").config;
    const HfWritten written = write_hf_config(config, {{"model_type", golden["config"]["model_type"]}});
    CHECK(written.architecture->model_type == golden["config"]["model_type"]);
    CHECK(read_hf_config(written.json, "again").config == config);
    CHECK(model_config_from_json(to_json(config), "ours") == config);
  }
}
