// Named model sizes: the published ones, and small ones that train on a CPU. Read first: config.h.
#pragma once

#include <string>
#include <vector>

#include "models/config.h"

namespace models {

struct SizePreset {
  std::string name;
  std::string citation;  // where the sizes come from
  std::string norms;     // the placement without --norms: a preset's name or NormSpec text
  ModelConfig config;    // norms empty, kv_heads and head_dim 0 where they have their defaults
};

const std::vector<SizePreset>& size_presets();
/// An error with the nearest name when there is none.
const SizePreset& find_size_preset(const std::string& name);
/// The preset with its placement, checked.
ModelConfig model_preset(const std::string& name);

}  // namespace models
