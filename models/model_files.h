// Model directories: config.json, model.safetensors and, where text goes in or out, tokenizer.json.
// Read first: transformer.h, engine/io/safetensors.h.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "engine/io/safetensors.h"
#include "models/transformer.h"

namespace models {

/// Reads a directory in our format. Errors: a missing, extra or misshapen tensor, named.
std::unique_ptr<Transformer> load_model(const std::string& folder, const nn::Precision& precision,
                                        nn::Gradients gradients = nn::Gradients::none);
/// The same with a config that stands elsewhere.
std::unique_ptr<Transformer> load_model(const std::string& folder, const ModelConfig& config,
                                        const nn::Precision& precision,
                                        nn::Gradients gradients = nn::Gradients::none);

/// Copies tensors by name into the model's parameters and refreshes the compute copies. `what` names the
/// source.
void load_parameters(nn::Parameters& parameters, const engine::Safetensors& file, const std::string& what);

/// A small file of a model directory: config.json, tokenizer.json.
struct ModelFile {
  std::string name, bytes;
};

/// Writes config.json and model.safetensors; weights in `dtype` (f32, bf16 or f16). `beside`: files that
/// belong to the model.
void save_model(const Transformer& model, const std::string& folder, engine::DType dtype = engine::DType::f32,
                const std::vector<ModelFile>& beside = {});

/// Writes a model directory of any format: model.safetensors first, then `files`, all of them on the disk
/// before the first takes its place. The weights' metadata keeps the files' SHA-256, for
/// check_written_together(). What has one of these names is replaced, everything else stays as it is: a model's own
/// tokenizer when its weights are saved again.
void write_model_directory(const std::string& folder, const engine::NamedTensors& tensors,
                           std::map<std::string, std::string> metadata, const std::vector<ModelFile>& files,
                           const engine::TensorProgress& progress = {});

/// Error: the folder, where it exists, has a file of a model (companions.h) that is none of `names`, those of
/// the model to be written: a further weight shard, say. It would stay, and the folder be a mixture of two
/// models.
void check_no_other_model(const std::string& folder, const std::set<std::string>& names);

/// A warning for each file beside `weights` that is not the one they were written with: the writing was
/// stopped between the two, or somebody changed it. Weights from elsewhere say nothing about it.
void check_written_together(const std::string& folder, const engine::Safetensors& weights);

/// Every parameter as a named tensor, in declaration order.
engine::NamedTensors named_values(const nn::Parameters& parameters);

}  // namespace models
