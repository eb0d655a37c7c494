// Read first: import.h.
#include "models/hf/import.h"

#include "models/convert.h"
#include "models/hf/custom_code.h"
#include "models/hf/directory.h"

namespace models {
namespace {

/// Of the architecture that a model comes from, by the keys that came along with it.
PositionCount position_count_of(const engine::Json& kept) {
  for (const HfArchitecture& architecture : hf_architectures())
    if (kept.value("model_type", engine::Json()) == architecture.model_type)
      return architecture.position_count;
  return PositionCount::from_start;
}

LoadedModel load_hf(const std::string& folder, const nn::Precision& precision, nn::Gradients gradients) {
  const HfDirectory directory(folder);
  LoadedModel loaded;
  loaded.model = std::make_unique<Transformer>(directory.config(), precision, gradients);
  for (const MappedTensor& mapped : directory.tensors())
    loaded.model->parameters()[mapped.name].value.copy_from(directory.load(mapped));
  loaded.model->parameters().refresh_copies();
  loaded.model->set_position_count(position_count_of(directory.kept()));
  loaded.rename_gradients = [map = directory.tensors()](engine::NamedTensors& gradients) {
    engine::NamedTensors renamed;
    for (const auto& [name, gradient] : gradients)
      for (const MappedTensor& mapped : map)
        if (mapped.name == name)
          for (auto& part : take_apart(mapped, gradient)) renamed.push_back(std::move(part));
    gradients = std::move(renamed);
  };
  return loaded;
}

}  // namespace

ModelConfig config_of_any(const engine::Json& json, const std::string& what) {
  if (!json.is_object() || json.contains("format") || !json.contains("model_type"))
    return model_config_from_json(json, what);
  return is_custom_code(json) ? read_custom_code_config(json, what) : read_hf_config(json, what).config;
}

LoadedModel load_any(const std::string& folder, const nn::Precision& precision, nn::Gradients gradients) {
  const auto as_they_are = [](engine::NamedTensors&) {};
  if (!is_hf_directory(folder)) {
    LoadedModel loaded{load_model(folder, precision, gradients), as_they_are};
    loaded.model->set_position_count(position_count_of(kept_hf_config(folder)));
    return loaded;
  }
  const engine::Json config = read_config_json(folder);
  if (!is_custom_code(config)) return load_hf(folder, precision, gradients);
  return {load_model(folder, read_custom_code_config(config, folder + "/config.json"), precision, gradients),
          as_they_are};
}

}  // namespace models
