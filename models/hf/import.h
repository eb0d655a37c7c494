// Opening a model wherever it came from: our own directory, or a Hugging Face one converted in memory.
// Read first: model_files.h, name_map.h.
#pragma once

#include <functional>

#include "models/model_files.h"

namespace models {

struct LoadedModel {
  std::unique_ptr<Transformer> model;
  /// Gives gradients the names and layouts of the source format; does nothing for our own.
  std::function<void(engine::NamedTensors&)> rename_gradients;
};

/// The architecture that a config.json of any format says. Errors: as load_any().
ModelConfig config_of_any(const engine::Json& json, const std::string& what);

/// Error: neither format, or something that our format cannot say.
LoadedModel load_any(const std::string& folder, const nn::Precision& precision,
                     nn::Gradients gradients = nn::Gradients::none);

}  // namespace models
