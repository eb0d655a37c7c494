// Models between formats, bit for bit: what `normlab convert` does. Read first: hf/directory.h,
// model_files.h.
#pragma once

#include "models/companions.h"
#include "models/hf/directory.h"
#include "models/model_files.h"

namespace models {

enum class ModelFormat { normlab, hf };
inline constexpr std::array<const char*, 2> model_format_names = {"normlab", "hf"};

/// A model on its way: nothing is computed and no element type changes.
struct PortableModel {
  ModelConfig config;
  engine::NamedTensors tensors;  // in our names and layouts
  /// Keys of a Hugging Face config that change no number. They travel in the metadata of our
  /// model.safetensors and return to a config.json.
  engine::Json kept = engine::Json::object();
  std::vector<DroppedTensor> dropped;
  std::vector<CompanionFile> companions;
};

PortableModel read_portable(const std::string& folder, ModelFormat format,
                            const engine::TensorProgress& progress = {});
/// Makes the folder; config.json is written last. Error: the format cannot say this model.
void write_portable(const PortableModel& model, const std::string& folder, ModelFormat format,
                    const engine::TensorProgress& progress = {});

/// A directory for transformers' trust_remote_code (hf/custom_code.h); `code`: the Python files beside it.
void write_custom_code(const PortableModel& model, const std::string& folder,
                       const std::vector<ModelFile>& code, const engine::TensorProgress& progress = {});

/// The keys of a Hugging Face config that travelled with a directory of ours; an empty object: none did.
engine::Json kept_hf_config(const std::string& folder);

}  // namespace models
