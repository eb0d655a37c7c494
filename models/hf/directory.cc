// Read first: directory.h.
#include "models/hf/directory.h"

#include <cstring>

#include "engine/base/check.h"
#include "models/model_files.h"

namespace models {
namespace {

using engine::check;
using engine::Json;
using engine::Safetensors;

Safetensors open_weights(const std::string& folder) {
  const std::string path = folder + "/model.safetensors";
  check(engine::file_exists(path) || engine::file_exists(path + ".index.json"), folder,
        ": no model.safetensors (other kinds of weight files are not read)");
  return Safetensors(folder);
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.raw(), b.raw(), size_t(a.bytes())) == 0;
}

}  // namespace

Json read_config_json(const std::string& folder) {
  check(engine::is_directory(folder), folder, ": not a model directory");
  return engine::read_json(folder + "/config.json", size_t(1) << 24);
}

bool is_hf_directory(const std::string& folder) {
  const Json json = read_config_json(folder);
  const bool ours = json.is_object() && json.contains("format"),
             hf = json.is_object() && json.contains("model_type");
  check(ours || hf, folder,
        "/config.json: neither a normlab model (\"format\") nor a Hugging Face one (\"model_type\")");
  return !ours;
}

HfDirectory::HfDirectory(const std::string& folder)
    : folder_(folder),
      hf_(read_hf_config(read_config_json(folder), folder + "/config.json")),
      file_(open_weights(folder)) {
  check_written_together(folder, file_);
  if (engine::file_exists(folder + "/tokenizer.json")) hf_.config.tokenizer = "tokenizer.json";
  // A layer or expert has at least one tensor: a hostile config must not make us list more than the file
  // holds.
  const int64_t least = hf_.config.layers * std::max<int64_t>(1, hf_.config.experts);
  check(least <= int64_t(file_.entries().size()), folder, ": config.json asks for ", hf_.config.layers,
        " layers; the weights have ", file_.entries().size(), " tensors in all");
  tensors_ = map_tensors(architecture().names, config());
  for (const MappedTensor& mapped : tensors_)
    for (const Part& part : mapped.parts) expected_[part.name] = part.shape;

  std::vector<std::pair<std::string, const DroppedRow*>> copies;
  for (const engine::SafetensorsEntry& entry : file_.entries()) {
    const std::string name = canonical(entry.name);
    const auto part = expected_.find(name);
    if (part != expected_.end()) {
      check(entry.shape == part->second, folder, ": tensor \"", entry.name, "\" must be ", part->second,
            ", the file has ", entry.shape);
      check(file_name_.emplace(name, entry.name).second, folder, ": tensor \"", entry.name,
            "\" is there twice");
      continue;
    }
    const DroppedRow* row = find_dropped(architecture().dropped, name);
    check(row != nullptr, folder, ": unexpected tensor \"", entry.name, "\" ", entry.shape, " in a ",
          architecture().class_name, " of ", config().layers, " layers");
    if (row->copy_of.empty())
      dropped_.push_back({entry.name, row->reason});
    else
      copies.emplace_back(entry.name, row);
  }
  for (const auto& [name, row] : copies) drop_copy(name, *row);
  for (const MappedTensor& mapped : tensors_)
    for (const Part& part : mapped.parts)
      check(file_name_.contains(part.name), folder, ": tensor \"", part.name, "\" ", part.shape,
            " is missing");
}

/// Checkpoints of the base model lack its prefix, and those that came from TensorFlow say gamma and beta.
std::string HfDirectory::canonical(const std::string& name) const {
  static const std::pair<std::string, std::string> old_leaves[] = {{"LayerNorm.gamma", "LayerNorm.weight"},
                                                                   {"LayerNorm.beta", "LayerNorm.bias"}};
  std::string today = name;
  for (const auto& [old, now] : old_leaves)
    if (name.ends_with(old)) today = name.substr(0, name.size() - old.size()) + now;
  const auto known = [&](const std::string& n) {
    return expected_.contains(n) || find_dropped(architecture().dropped, n) != nullptr;
  };
  const std::string prefixed = architecture().prefix + today;
  return !known(today) && known(prefixed) ? prefixed : today;
}

/// Of two names for one tensor a file may hold either or both; both must then agree.
void HfDirectory::drop_copy(const std::string& name, const DroppedRow& row) {
  std::string first = row.copy_of;  // which may be a copy itself, of a head that is tied
  for (const DroppedRow* next = &row; next != nullptr && !expected_.contains(first);
       next = find_dropped(architecture().dropped, first))
    first = next->copy_of;
  const auto original = file_name_.find(first);
  if (original == file_name_.end()) {
    const auto part = expected_.find(first);
    check(part != expected_.end() && file_.find(name)->shape == part->second, folder_,
          ": unexpected tensor \"", name, "\"");
    file_name_[first] = name;
    return;
  }
  check(row.stand_in || same_bits(file_.load(name), file_.load(original->second)), folder_, ": tensor \"",
        name, "\" should be a copy of \"", original->second, "\" (", row.reason, "), but differs");
  dropped_.push_back(
      {name, row.reason + (row.stand_in ? "; this one has " : ", a copy of ") + original->second});
}

Tensor HfDirectory::load(const MappedTensor& mapped) const {
  std::vector<Tensor> parts;
  for (const Part& part : mapped.parts) {
    const std::string& name = file_name_.at(part.name);
    parts.push_back(file_.load(name));
    check(engine::is_float(parts.back().dtype()), folder_, ": tensor \"", name,
          "\" must be floating, the file has ", parts.back().dtype());
    check(parts.back().dtype() == parts[0].dtype(), folder_, ": tensors \"",
          file_name_.at(mapped.parts[0].name), "\" (", parts[0].dtype(), ") and \"", name, "\" (",
          parts.back().dtype(), ") are one here and need one element type");
  }
  return join_parts(mapped, parts);
}

}  // namespace models
