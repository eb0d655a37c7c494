// Published placements by name. The one table of presets is norm_preset_table.cc; `normlab inspect
// --diagram-book` draws it. Read first: norm_spec.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nn/norm_spec.h"

namespace nn {

/// What a preset's text may depend on.
struct PresetSizes {
  int64_t layers = 12;
};

struct NormPreset {
  std::string name;
  std::vector<std::string> aliases;
  std::string family;    // heading of the documentation
  std::string citation;  // who described it, and where
  std::string formula;   // one line
  std::string text;  // NormSpec text; @deepnorm_alpha and @layerscale stand for numbers that depend on depth
  std::string
      activation;    // set where the placement is an activation (GEGLU) or cannot do without; else empty
  std::string init;  // the rule its paper pairs it with; else empty
};

const std::vector<NormPreset>& norm_presets();
/// By name or alias; nullptr when there is none.
const NormPreset* find_norm_preset(const std::string& name);
/// The preset's placement for a model of these sizes.
NormSpec expand(const NormPreset& preset, const PresetSizes& sizes);

/// What a person writes for norms: a preset's name or NormSpec text. preset is set in the first case.
struct NamedNorms {
  NormSpec spec;
  const NormPreset* preset = nullptr;
};
/// A lone word that is no preset is an error with the nearest preset.
NamedNorms read_norms(const std::string& text, const PresetSizes& sizes);

/// (2L)^(1/4): the residual factor of DeepNorm for an encoder or a decoder alone.
double deepnorm_alpha(int64_t layers);
/// 0.1 up to 18 layers, 1e-5 up to 24, 1e-6 deeper.
double layerscale_epsilon(int64_t layers);

}  // namespace nn
