// Model directories: config.json, model.safetensors and, where text goes in or out, tokenizer.json.
// Read first: transformer.h, engine/io/safetensors.h.
#pragma once

#include <memory>
#include <string>

#include "engine/io/safetensors.h"
#include "models/transformer.h"

namespace models {

/// Reads a directory in our format. Errors: a missing, extra or misshapen tensor, named.
std::unique_ptr<Transformer> load_model(const std::string& folder, const nn::Precision& precision,
                                        nn::Gradients gradients = nn::Gradients::none);

/// Copies tensors by name into the model's parameters and refreshes the compute copies. `what` names the
/// source.
void load_parameters(nn::Parameters& parameters, const engine::Safetensors& file, const std::string& what);

/// Writes config.json and model.safetensors; weights in `dtype` (f32, bf16 or f16).
void save_model(const Transformer& model, const std::string& folder,
                engine::DType dtype = engine::DType::f32);

/// Every parameter as a named tensor, in declaration order.
engine::NamedTensors named_values(const nn::Parameters& parameters);

}  // namespace models
