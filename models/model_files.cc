// Read first: model_files.h.
#include "models/model_files.h"

#include "engine/base/text.h"

namespace models {

using engine::check;

std::unique_ptr<Transformer> load_model(const std::string& folder, const nn::Precision& precision,
                                        nn::Gradients gradients) {
  check(engine::is_directory(folder), folder, ": not a model directory");
  const ModelConfig config = read_model_config(folder + "/config.json");
  const engine::Safetensors file(folder);
  // Compare names before allocating: a hostile config must not cost more memory than its weights.
  for (const nn::Declaration& d : declarations(config))
    check(file.find(d.name) != nullptr, folder, ": tensor \"", d.name, "\" ", d.shape, " is missing");
  auto model = std::make_unique<Transformer>(config, precision, gradients);
  load_parameters(model->parameters(), file, folder);
  return model;
}

void load_parameters(nn::Parameters& parameters, const engine::Safetensors& file, const std::string& what) {
  for (const engine::SafetensorsEntry& entry : file.entries())
    check(parameters.find(entry.name) != nullptr, what, ": unexpected tensor \"", entry.name, "\"");
  for (const Parameter* p : parameters.all()) {
    const engine::SafetensorsEntry* entry = file.find(p->name);
    check(entry != nullptr, what, ": tensor \"", p->name, "\" ", p->value.shape(), " is missing");
    check(entry->shape == p->value.shape(), what, ": tensor \"", p->name, "\" must be ", p->value.shape(),
          ", the file has ", entry->shape);
    const Tensor stored = file.load(p->name);
    check(engine::is_float(stored.dtype()), what, ": tensor \"", p->name,
          "\" must be floating, the file has ", stored.dtype());
    p->value.copy_from(stored);
  }
  parameters.refresh_copies();
}

engine::NamedTensors named_values(const nn::Parameters& parameters) {
  engine::NamedTensors tensors;
  for (const Parameter* p : parameters.all()) tensors.emplace_back(p->name, p->value);
  return tensors;
}

void save_model(const Transformer& model, const std::string& folder, engine::DType dtype) {
  engine::make_directories(folder);
  engine::NamedTensors tensors = named_values(model.parameters());
  for (auto& [name, tensor] : tensors) {
    if (tensor.dtype() == dtype) continue;
    const Tensor cast = Tensor::empty(tensor.shape(), dtype);
    cast.copy_from(tensor);
    tensor = cast;
  }
  engine::write_safetensors(folder + "/model.safetensors", tensors, {{"format", "normlab"}});
  engine::write_file(folder + "/config.json", to_json(model.config()).dump(1) + "\n");
}

}  // namespace models
