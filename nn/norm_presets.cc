// Finding presets by name and expanding their text for a model. Read first: norm_presets.h.
#include "nn/norm_presets.h"

#include <charconv>
#include <cmath>

#include "engine/base/check.h"
#include "engine/base/text.h"

namespace nn {
namespace {

std::string number(double value) {
  char digits[40];
  return std::string(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at; (at = text.find(from)) != std::string::npos;) text.replace(at, from.size(), to);
}

}  // namespace

double deepnorm_alpha(int64_t layers) { return std::pow(2.0 * double(layers), 0.25); }
double layerscale_epsilon(int64_t layers) { return layers <= 18 ? 0.1 : layers <= 24 ? 1e-5 : 1e-6; }

const NormPreset* find_norm_preset(const std::string& name) {
  for (const NormPreset& preset : norm_presets()) {
    if (preset.name == name) return &preset;
    for (const std::string& alias : preset.aliases)
      if (alias == name) return &preset;
  }
  return nullptr;
}

NormSpec expand(const NormPreset& preset, const PresetSizes& sizes) {
  std::string text = preset.text;
  replace_all(text, "@deepnorm_alpha", number(deepnorm_alpha(sizes.layers)));
  replace_all(text, "@layerscale", number(layerscale_epsilon(sizes.layers)));
  return parse_norm_spec(text);
}

NamedNorms read_norms(const std::string& text, const PresetSizes& sizes) {
  if (const NormPreset* preset = find_norm_preset(text)) return {expand(*preset, sizes), preset};
  const bool word =
      !text.empty() && text.size() <= 64 && text.find_first_of("{}=;: \t\n") == std::string::npos;
  if (word) {
    std::vector<std::string> names;
    for (const NormPreset& preset : norm_presets()) {
      names.push_back(preset.name);
      names.insert(names.end(), preset.aliases.begin(), preset.aliases.end());
    }
    const std::string near = engine::near_word(text, names);
    engine::fail("norms: unknown preset \"", text, "\" (",
                 near.empty() ? "" : "nearest valid: \"" + near + "\"; or ", "write NormSpec text such as attn{in=ln} ffn{in=ln} final=ln; `normlab presets` lists them)");
  }
  return {parse_norm_spec(text), nullptr};
}

}  // namespace nn
