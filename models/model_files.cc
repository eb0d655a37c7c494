// Read first: model_files.h.
#include "models/model_files.h"

#include <deque>

#include "engine/base/folder.h"
#include "engine/base/json.h"
#include "engine/base/log.h"
#include "engine/base/sha256.h"
#include "engine/base/text.h"
#include "models/companions.h"

namespace models {

using engine::check;

namespace {
const char* const together_key = "written_with";  // of the weights' metadata: file name -> SHA-256

void check_entry(const engine::SafetensorsEntry* entry, const std::string& name, const engine::Shape& shape,
                 const std::string& what) {
  check(entry != nullptr, what, ": tensor \"", name, "\" ", shape, " is missing");
  check(entry->shape == shape, what, ": tensor \"", name, "\" must be ", shape, ", the file has ",
        entry->shape);
}

}  // namespace

std::unique_ptr<Transformer> load_model(const std::string& folder, const nn::Precision& precision,
                                        nn::Gradients gradients) {
  check(engine::is_directory(folder), folder, ": not a model directory");
  return load_model(folder, read_model_config(folder + "/config.json"), precision, gradients);
}

std::unique_ptr<Transformer> load_model(const std::string& folder, const ModelConfig& config,
                                        const nn::Precision& precision, nn::Gradients gradients) {
  const engine::Safetensors file(folder);
  check_written_together(folder, file);
  // Before allocating: a hostile config must not cost more memory than its weights.
  for (const nn::Declaration& d : declarations(config))
    check_entry(file.find(d.name), d.name, d.shape, folder);
  auto model = std::make_unique<Transformer>(config, precision, gradients);
  load_parameters(model->parameters(), file, folder);
  return model;
}

void load_parameters(nn::Parameters& parameters, const engine::Safetensors& file, const std::string& what) {
  for (const engine::SafetensorsEntry& entry : file.entries())
    check(parameters.find(entry.name) != nullptr, what, ": unexpected tensor \"", entry.name, "\"");
  for (const Parameter* p : parameters.all()) {
    check_entry(file.find(p->name), p->name, p->value.shape(), what);
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

void save_model(const Transformer& model, const std::string& folder, engine::DType dtype,
                const std::vector<ModelFile>& beside) {
  engine::NamedTensors tensors = named_values(model.parameters());
  for (auto& [name, tensor] : tensors) {
    if (tensor.dtype() == dtype) continue;
    const Tensor cast = Tensor::empty(tensor.shape(), dtype);
    cast.copy_from(tensor);
    tensor = cast;
  }
  std::vector<ModelFile> files = {{"config.json", engine::json_text(to_json(model.config()), 1) + "\n"}};
  files.insert(files.end(), beside.begin(), beside.end());
  write_model_directory(folder, tensors, {{"format", "normlab"}}, files);
}

void write_model_directory(const std::string& folder, const engine::NamedTensors& tensors,
                           std::map<std::string, std::string> metadata, const std::vector<ModelFile>& files,
                           const engine::TensorProgress& progress) {
  engine::make_directories(folder);
  const engine::FolderLock lock(folder);
  std::deque<engine::AtomicFile> written;
  engine::Json sums = engine::Json::object();
  for (const ModelFile& file : files) sums[file.name] = engine::sha256_hex(file.bytes);
  metadata[together_key] = engine::json_text(sums);
  engine::write_safetensors(written.emplace_back(folder + "/model.safetensors"), tensors, metadata, progress);
  for (const ModelFile& file : files) written.emplace_back(folder + "/" + file.name).write(file.bytes);
  for (engine::AtomicFile& file : written) file.flush();
  for (engine::AtomicFile& file : written) file.commit();
}

void check_no_other_model(const std::string& folder, const std::set<std::string>& names) {
  if (!engine::is_directory(folder)) return;
  for (const std::string& name : engine::list_folder(folder))
    check(names.contains(name) || !is_model_file(name), folder, ": has ", name,
          " of another model, which would stand beside the new one's files; choose another folder, or remove "
          "that model's files");
}

void check_written_together(const std::string& folder, const engine::Safetensors& weights) {
  const auto sums = weights.metadata().find(together_key);
  if (sums == weights.metadata().end()) return;
  const std::string what = weights.path() + ": metadata " + together_key;
  const engine::Json files = engine::parse_json(sums->second, what);
  check(files.is_object(), what, ": expected an object");
  for (const auto& [name, sum] : files.items()) {
    check(engine::is_plain_file_name(name), what, ": \"", name, "\" is not a plain file name");
    const std::string path = folder + "/" + name;
    if (!engine::is_regular_file(path) || engine::sha256_file(path) != engine::json_string(sum, what))
      engine::log_warning(
          path,
          ": is not the file that model.safetensors was written with: the writing was stopped "
          "between the two, or the file was changed since");
  }
}

}  // namespace models
