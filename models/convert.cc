// Read first: convert.h.
#include "models/convert.h"

#include <algorithm>

#include "engine/base/check.h"
#include "models/hf/custom_code.h"
#include "models/model_files.h"
#include "models/parameter_list.h"

namespace models {
namespace {

using engine::check;
using engine::Json;
using engine::TensorProgress;

const char* const kept_key = "hf_config";  // in the metadata of our model.safetensors

Json kept_of(const engine::Safetensors& file, const std::string& folder) {
  const auto kept = file.metadata().find(kept_key);
  if (kept == file.metadata().end()) return Json::object();
  Json json = engine::parse_json(kept->second, folder + ": metadata " + kept_key);
  check(json.is_object(), folder, ": metadata ", kept_key, " is not an object");
  return json;
}

/// A model whose file has our own names.
PortableModel read_tensors(const ModelConfig& config, const engine::Safetensors& file,
                           const std::string& folder, const TensorProgress& progress) {
  PortableModel model;
  model.config = config;
  check_written_together(folder, file);
  const std::vector<ParameterInfo> list = parameter_list(model.config);
  for (const ParameterInfo& info : list) {
    const engine::SafetensorsEntry* entry = file.find(info.name);
    const Shape shape(info.shape);
    check(entry != nullptr, folder, ": tensor \"", info.name, "\" ", shape, " is missing");
    check(entry->shape == shape, folder, ": tensor \"", info.name, "\" must be ", shape, ", the file has ",
          entry->shape);
    model.tensors.emplace_back(info.name, file.load(info.name));
    check(engine::is_float(model.tensors.back().second.dtype()), folder, ": tensor \"", info.name,
          "\" must be floating, the file has ", entry->dtype);
    if (progress) progress(int64_t(model.tensors.size()), int64_t(list.size()));
  }
  if (file.entries().size() > model.tensors.size())
    for (const engine::SafetensorsEntry& entry : file.entries()) {
      bool known = false;
      for (const auto& [name, tensor] : model.tensors) known = known || name == entry.name;
      check(known, folder, ": unexpected tensor \"", entry.name, "\"");
    }
  return model;
}

PortableModel read_custom_code(const Json& config, const std::string& folder,
                               const TensorProgress& progress) {
  PortableModel model = read_tensors(read_custom_code_config(config, folder + "/config.json"),
                                     engine::Safetensors(folder), folder, progress);
  model.kept = custom_code_kept(config);
  return model;
}

PortableModel read_hf(const std::string& folder, const TensorProgress& progress) {
  const Json config = read_config_json(folder);
  if (is_custom_code(config)) return read_custom_code(config, folder, progress);
  const HfDirectory directory(folder);
  PortableModel model{directory.config(), {}, directory.kept(), directory.dropped(), {}};
  for (const MappedTensor& mapped : directory.tensors()) {
    model.tensors.emplace_back(mapped.name, directory.load(mapped));
    if (progress) progress(int64_t(model.tensors.size()), int64_t(directory.tensors().size()));
  }
  return model;
}

PortableModel read_normlab(const std::string& folder, const TensorProgress& progress) {
  check(engine::is_directory(folder), folder, ": not a model directory");
  check(!is_hf_directory(folder), folder, ": a Hugging Face model, not one of NormLab's: --from hf");
  const engine::Safetensors file(folder);
  PortableModel model = read_tensors(read_model_config(folder + "/config.json"), file, folder, progress);
  model.kept = kept_of(file, folder);
  return model;
}

/// What stands beside the weights.
std::vector<ModelFile> with_companions(const PortableModel& model, const std::string& config) {
  std::vector<ModelFile> files = {{"config.json", config}};
  for (const CompanionFile& file : model.companions) files.push_back({file.name, file.text});
  return files;
}

void write_normlab(const PortableModel& model, const std::string& folder, const TensorProgress& progress) {
  std::map<std::string, std::string> metadata = {{"format", "normlab"}};
  if (!model.kept.empty()) metadata[kept_key] = engine::json_text(model.kept);
  write_model_directory(folder, model.tensors, metadata,
                        with_companions(model, engine::json_text(to_json(model.config), 1) + "\n"), progress,
                        OtherFiles::refuse);
}

/// torch's name of an element type.
const char* torch_name(engine::DType dtype) {
  switch (dtype) {
    case engine::DType::f64: return "float64";
    case engine::DType::bf16: return "bfloat16";
    case engine::DType::f16: return "float16";
    default: return "float32";
  }
}

/// A masked LM or a classifier without token types as one of a single type whose embedding is zero, which is
/// what BERT and RoBERTa can say.
PortableModel with_token_type(PortableModel model) {
  model.config.token_types = 1;
  size_t at = 0;
  for (const ParameterInfo& info : parameter_list(model.config)) {
    if (info.name == "embed.types.weight") break;
    ++at;
  }
  const Tensor zeros = Tensor::zeros({1, model.config.width}, model.tensors.front().second.dtype());
  model.tensors.insert(model.tensors.begin() + ptrdiff_t(at), {"embed.types.weight", zeros});
  return model;
}

/// Whether the architecture that the model came from has no token types either (DistilBERT).
bool came_without_types(const PortableModel& model) {
  for (const HfArchitecture& architecture : hf_architectures())
    if (model.kept.value("model_type", Json()) == architecture.model_type)
      return std::none_of(architecture.names.begin(), architecture.names.end(),
                          [](const NameRow& row) { return row.ours == "embed.types.weight"; });
  return false;
}

void write_hf(const PortableModel& given, const std::string& folder, const TensorProgress& progress) {
  const bool untyped =
      given.config.objective != Objective::clm && given.config.token_types == 0 && !came_without_types(given);
  const PortableModel typed = untyped ? with_token_type(given) : PortableModel();
  const PortableModel& model = untyped ? typed : given;
  HfWritten written = write_hf_config(model.config, model.kept);
  const std::vector<MappedTensor> map = map_tensors(written.architecture->names, model.config);
  engine::NamedTensors tensors;
  for (size_t i = 0; i < map.size(); ++i)
    for (auto& part : take_apart(map[i], model.tensors[i].second)) tensors.push_back(std::move(part));
  for (const DroppedRow& row : written.architecture->dropped)
    for (size_t i = 0; row.stand_in && i < tensors.size(); ++i)
      if (tensors[i].first == row.copy_of) tensors.emplace_back(row.theirs, tensors[i].second);
  written.json.erase("torch_dtype");  // the older name of the same key
  written.json["dtype"] = torch_name(tensors.front().second.dtype());
  write_model_directory(folder, tensors, {{"format", "pt"}},
                        with_companions(model, engine::json_text(written.json, 2) + "\n"), progress,
                        OtherFiles::refuse);
}

}  // namespace

void write_custom_code(const PortableModel& model, const std::string& folder,
                       const std::vector<ModelFile>& code, const TensorProgress& progress) {
  Json json = custom_code_config(model.config, model.kept);
  json["dtype"] = torch_name(model.tensors.front().second.dtype());
  std::vector<ModelFile> files = with_companions(model, engine::json_text(json, 2) + "\n");
  files.insert(files.end(), code.begin(), code.end());
  write_model_directory(folder, model.tensors, {{"format", "pt"}}, files, progress, OtherFiles::refuse);
}

PortableModel read_portable(const std::string& folder, ModelFormat format, const TensorProgress& progress) {
  PortableModel model =
      format == ModelFormat::hf ? read_hf(folder, progress) : read_normlab(folder, progress);
  model.companions = read_companions(folder);
  return model;
}

void write_portable(const PortableModel& model, const std::string& folder, ModelFormat format,
                    const TensorProgress& progress) {
  if (format == ModelFormat::hf)
    write_hf(model, folder, progress);
  else
    write_normlab(model, folder, progress);
}

Json kept_hf_config(const std::string& folder) { return kept_of(engine::Safetensors(folder), folder); }

}  // namespace models
