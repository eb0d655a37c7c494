// Fuzzing the configs: of a training run with a --set behind it, of a model directory, of a run's "model"
// section, and Hugging Face's config.json. What is read can be written, and reads as the same. The input:
// JSON, a zero byte, the text of a --set.
#include "fuzz.h"
#include "models/config.h"
#include "models/hf/architecture.h"
#include "models/size_presets.h"
#include "train/config.h"

namespace {

using engine::Json;

void check_training(const Json& json) {
  const Json written = train::config_json(train::parse_config(json, "fuzz"));
  require(again([&] { return train::config_json(train::parse_config(written, "again")); }) == written);
}

void check_model(const models::ModelConfig& config) {
  const Json written = models::to_json(config);
  require(again([&] { return models::to_json(models::model_config_from_json(written, "again")); }) ==
          written);
}

void check_hugging_face(const Json& json) {
  const models::HfConfig read = models::read_hf_config(json, "fuzz");
  check_model(read.config);
  const Json written = models::write_hf_config(read.config, read.kept).json;
  const auto config = again([&] { return models::read_hf_config(written, "again").config; });
  require(models::to_json(config) == models::to_json(read.config));
}

}  // namespace

std::vector<std::string> fuzz_seeds() {
  const std::string set = byte_text("\0optim.lr=1e-4");
  std::vector<std::string> out = {
      train::config_json({}).dump() + set,
      R"({"model": {"preset": "gpt-125m", "norms": "normformer"}, "data": {"train": "t", "sampler": "mlm"},)"
      R"( "schedule": {"name": "wsd"}, "optim": {"betas": [0.9, 0.98]}})" +
          byte_text("\0model.norms=\"hybridnorm\""),
      R"({"preset": "gpt-125m", "experts": 4, "experts_per_token": 2, "bias": {"qkv": false}, "positions": "rope"})" +
          set,
      R"({"model_type": "gpt2", "vocab_size": 64, "n_positions": 32, "n_embd": 8, "n_layer": 1, "n_head": 2})"};
  for (const models::SizePreset& preset : models::size_presets())
    out.push_back(models::to_json(models::model_preset(preset.name)).dump());
  for (const models::HfArchitecture& architecture : models::hf_architectures())
    fuzz_one([&] {
      const Json json = {{"model_type", architecture.model_type},
                         {"architectures", {architecture.class_name}}};
      models::HfConfig read = models::read_hf_config(json, "seed");
      out.push_back(models::write_hf_config(read.config, read.kept).json.dump());
    });
  return out;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const auto parts = input_parts(input_text(bytes, size), 2);
  return fuzz_one([&] {
    Json json = engine::parse_json(std::string(parts[0]), "fuzz");
    fuzz_one([&] { check_training(json); });
    fuzz_one([&] { check_model(models::model_config_from_json(json, "fuzz")); });
    fuzz_one([&] { check_model(models::model_config_from_section(json, "fuzz")); });
    fuzz_one([&] { check_hugging_face(json); });
    train::apply_override(json, std::string(parts[1]));
    check_training(json);
  });
}
