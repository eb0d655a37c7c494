// Read first: import.h.
#include "models/hf/import.h"

#include "models/hf/custom_code.h"
#include "models/hf/directory.h"

namespace models {
namespace {

LoadedModel load_hf(const std::string& folder, const nn::Precision& precision, nn::Gradients gradients) {
  const HfDirectory directory(folder);
  LoadedModel loaded;
  loaded.model = std::make_unique<Transformer>(directory.config(), precision, gradients);
  for (const MappedTensor& mapped : directory.tensors())
    loaded.model->parameters()[mapped.name].value.copy_from(directory.load(mapped));
  loaded.model->parameters().refresh_copies();
  loaded.counts_kept_tokens = directory.architecture().counts_kept_tokens;
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

void LoadedModel::check_rows(const Tokens& tokens) const {
  if (!counts_kept_tokens || !tokens.key_mask.defined()) return;
  const int64_t rows = tokens.key_mask.size(0), T = tokens.key_mask.size(1);
  const uint8_t* kept = tokens.key_mask.data<uint8_t>();
  for (int64_t i = 0; i < rows * T; ++i)
    engine::check(
        i % T == 0 || kept[i - 1] || !kept[i], "attention_mask: row ", i / T,
        " has padding before a token; this model counts positions without it, so pad behind the rows");
}

ModelConfig config_of_any(const engine::Json& json, const std::string& what) {
  if (!json.is_object() || json.contains("format") || !json.contains("model_type"))
    return model_config_from_json(json, what);
  return is_custom_code(json) ? read_custom_code_config(json, what) : read_hf_config(json, what).config;
}

LoadedModel load_any(const std::string& folder, const nn::Precision& precision, nn::Gradients gradients) {
  const auto as_they_are = [](engine::NamedTensors&) {};
  if (!is_hf_directory(folder)) return {load_model(folder, precision, gradients), as_they_are};
  const engine::Json config = read_config_json(folder);
  if (!is_custom_code(config)) return load_hf(folder, precision, gradients);
  return {load_model(folder, read_custom_code_config(config, folder + "/config.json"), precision, gradients),
          as_they_are};
}

}  // namespace models
