// Read first: companions.h.
#include "models/companions.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "models/convert.h"

namespace models {
namespace {

using engine::Json;

constexpr int64_t largest_id = int64_t(1) << 26;

/// One id or a list of them; null and ids below 0 (LLaMA-1's -1) name none.
std::vector<int32_t> token_ids(const Json& config, const char* key, const std::string& what) {
  std::vector<int32_t> ids;
  if (!config.is_object() || !config.contains(key)) return ids;
  const auto add = [&](const Json& value) {
    if (value.is_null()) return;
    const int64_t id = engine::json_int(value, what + ": " + key, -largest_id, largest_id);
    if (id >= 0) ids.push_back(int32_t(id));
  };
  if (!config[key].is_array()) {
    add(config[key]);
  } else {
    for (const Json& value : config[key]) add(value);
  }
  return ids;
}

}  // namespace

const std::vector<std::string>& companion_names() {
  static const std::vector<std::string> names = {"tokenizer.json",
                                                 "tokenizer_config.json",
                                                 "special_tokens_map.json",
                                                 "added_tokens.json",
                                                 "vocab.json",
                                                 "merges.txt",
                                                 "vocab.txt",
                                                 "tokenizer.model",
                                                 "spiece.model",
                                                 "sentencepiece.bpe.model",
                                                 "chat_template.jinja",
                                                 "chat_template.json",
                                                 "generation_config.json"};
  return names;
}

bool is_model_file(const std::string& name) {
  const auto begins = [&](std::initializer_list<const char*> starts) {
    return std::any_of(starts.begin(), starts.end(), [&](const char* s) { return name.starts_with(s); });
  };
  const auto ends = [&](std::initializer_list<const char*> endings) {
    return std::any_of(endings.begin(), endings.end(), [&](const char* e) { return name.ends_with(e); });
  };
  const std::vector<std::string>& companions = companion_names();
  return name == "config.json" || ends({"_config.json"}) ||
         std::find(companions.begin(), companions.end(), name) != companions.end() ||
         (begins({"model", "pytorch_model", "adapter_model", "consolidated"}) &&
          ends({".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pth"})) ||
         (begins({"modeling_", "configuration_", "tokenization_"}) && ends({".py"}));
}

std::vector<CompanionFile> read_companions(const std::string& folder) {
  std::vector<CompanionFile> files;
  for (const std::string& name : companion_names()) {
    const std::string path = folder + "/" + name;
    if (engine::file_exists(path)) files.push_back({name, engine::read_file(path, size_t(1) << 30)});
  }
  return files;
}

TextTokens text_tokens(const std::string& folder) {
  const std::string generation = folder + "/generation_config.json", config = folder + "/config.json";
  std::vector<std::pair<std::string, Json>> sources;
  if (engine::file_exists(generation))
    sources.emplace_back(generation, engine::read_json(generation, size_t(1) << 24));
  sources.emplace_back(
      config, is_hf_directory(folder) ? engine::read_json(config, size_t(1) << 24) : kept_hf_config(folder));
  TextTokens tokens;
  for (const auto& [what, json] : sources) {
    if (tokens.ends.empty()) tokens.ends = token_ids(json, "eos_token_id", what);
    const std::vector<int32_t> begins = token_ids(json, "bos_token_id", what);
    if (!tokens.begin && !begins.empty()) tokens.begin = begins.front();
  }
  return tokens;
}

}  // namespace models
