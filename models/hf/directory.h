// A Hugging Face model directory, opened and checked: its config in our words, and its tensors in our names
// and layouts, read one at a time. Read first: architecture.h.
#pragma once

#include <map>

#include "engine/io/safetensors.h"
#include "models/hf/architecture.h"

namespace models {

/// A tensor of the file that is not part of the model, and why.
struct DroppedTensor {
  std::string name, reason;
};

class HfDirectory {
 public:
  /// Every tensor of the file or its shards is found its place before any is read. Errors: a missing,
  /// misshapen or unknown tensor; a config that our format cannot say.
  explicit HfDirectory(const std::string& folder);

  const HfArchitecture& architecture() const { return *hf_.architecture; }
  const ModelConfig& config() const { return hf_.config; }
  const engine::Json& kept() const { return hf_.kept; }
  const std::vector<DroppedTensor>& dropped() const { return dropped_; }
  /// All parameters of the model, in its order.
  const std::vector<MappedTensor>& tensors() const { return tensors_; }
  /// One of them, in the dtype of the file.
  Tensor load(const MappedTensor& mapped) const;

 private:
  std::string canonical(const std::string& name) const;
  void drop_copy(const std::string& name, const DroppedRow& row);

  std::string folder_;
  HfConfig hf_;
  engine::Safetensors file_;
  std::vector<MappedTensor> tensors_;
  std::map<std::string, Shape> expected_;         // parts by name
  std::map<std::string, std::string> file_name_;  // part -> its name in the file
  std::vector<DroppedTensor> dropped_;
};

/// config.json of a model directory, of any format.
engine::Json read_config_json(const std::string& folder);

/// Whether the folder's config.json is that of a Hugging Face model, or of ours. Error: neither.
bool is_hf_directory(const std::string& folder);

}  // namespace models
