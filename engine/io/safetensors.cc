// Read first: safetensors.h.
#include "engine/io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "engine/base/json.h"

namespace engine {
namespace {

struct ElementType {
  const char* name;
  uint64_t size;
  int dtype;  // DType, or -1: known to the format, not to this engine
};
const ElementType kTypes[] = {{"F64", 8, int(DType::f64)},
                              {"F32", 4, int(DType::f32)},
                              {"BF16", 2, int(DType::bf16)},
                              {"F16", 2, int(DType::f16)},
                              {"I64", 8, int(DType::i64)},
                              {"I32", 4, int(DType::i32)},
                              {"U8", 1, int(DType::u8)},
                              {"BOOL", 1, int(DType::u8)},
                              {"I16", 2, -1},
                              {"I8", 1, -1},
                              {"U16", 2, -1},
                              {"U32", 4, -1},
                              {"U64", 8, -1},
                              {"F8_E4M3", 1, -1},
                              {"F8_E5M2", 1, -1}};

const ElementType* find_type(const std::string& name) {
  for (const ElementType& type : kTypes)
    if (name == type.name) return &type;
  return nullptr;
}

const char* type_name(DType dtype) {
  for (const ElementType& type : kTypes)
    if (type.dtype == int(dtype)) return type.name;
  return "";
}

constexpr uint64_t kMaxHeader = uint64_t(100) << 20;

// Reads one header entry. `what` names file and tensor.
SafetensorsEntry read_entry(const std::string& name, const Json& value, uint64_t data_size,
                            const std::string& what) {
  check_keys(value, {"dtype", "shape", "data_offsets"}, what);
  for (const char* key : {"dtype", "shape", "data_offsets"})
    check(value.contains(key), what, ": no \"", key, "\"");
  SafetensorsEntry entry;
  entry.name = name;
  entry.dtype = json_string(value["dtype"], what + ".dtype");
  const ElementType* type = find_type(entry.dtype);
  check(type != nullptr, what, ": unknown dtype \"", entry.dtype.substr(0, 32), "\"");
  const Json &shape = value["shape"], &offsets = value["data_offsets"];
  check(shape.is_array() && shape.size() <= kMaxRank, what, ": shape must be a list of at most ", kMaxRank,
        " sizes");
  double count = 1;
  for (const Json& size : shape) {
    entry.shape.append(json_int(size, what + ".shape", 0, int64_t(1) << 48));
    count *= double(entry.shape[entry.shape.rank() - 1]);
  }
  check(count <= 0x1p60, what, ": shape has too many elements");
  check(offsets.is_array() && offsets.size() == 2, what, ": data_offsets must be two numbers");
  entry.begin = uint64_t(json_int(offsets[0], what + ".data_offsets", 0, int64_t(1) << 60));
  entry.end = uint64_t(json_int(offsets[1], what + ".data_offsets", 0, int64_t(1) << 60));
  check(entry.begin <= entry.end && entry.end <= data_size, what, ": data_offsets [", entry.begin, ", ",
        entry.end, "] are outside the file's ", data_size, " bytes of data");
  const uint64_t elements = uint64_t(entry.shape.numel());
  check(elements <= data_size / type->size + 1 && entry.end - entry.begin == elements * type->size, what,
        ": shape ", entry.shape, " of ", entry.dtype, " does not fill data_offsets [", entry.begin, ", ",
        entry.end, "]");
  return entry;
}

}  // namespace

Safetensors::Safetensors(const std::string& path) : path_(path) {
  std::string file = path;
  if (is_directory(path)) {
    file = path + "/model.safetensors";
    if (!file_exists(file) && file_exists(file + ".index.json")) file += ".index.json";
  }
  if (!file.ends_with(".json")) {
    add_file(file);
    return;
  }
  const Json index = read_json(file, kMaxHeader);
  check(index.is_object() && index.contains("weight_map") && index["weight_map"].is_object(), file,
        ": no \"weight_map\" object");
  const std::string folder = file.substr(0, file.find_last_of('/') + 1);
  std::set<std::string> names;
  for (const auto& [tensor, name] : index["weight_map"].items()) {
    const std::string shard = json_string(name, file + ": weight_map");
    check(shard.find('/') == std::string::npos && !shard.empty(), file, ": shard \"", shard,
          "\" is not a plain file name");
    names.insert(shard);
  }
  for (const std::string& name : names) add_file(folder + name);
  for (const auto& [tensor, name] : index["weight_map"].items())
    check(find(tensor) != nullptr, file, ": tensor \"", tensor, "\" is in no shard");
}

void Safetensors::add_file(const std::string& path) {
  MappedFile map(path);
  uint64_t header = 0;
  check(map.size() >= 8, path, ": too short for a safetensors file (", map.size(), " bytes)");
  std::memcpy(&header, map.data(), 8);
  check(header <= kMaxHeader && header <= map.size() - 8, path, ": header length ", header,
        " exceeds the file (", map.size(), " bytes) or the limit of ", kMaxHeader);
  const uint64_t data_size = map.size() - 8 - header;
  constexpr size_t kLongest = 64;  // of a header's arrays, which are shapes
  const Json json = parse_json(std::string(reinterpret_cast<const char*>(map.data()) + 8, header),
                               path + ": header", kLongest);
  check(json.is_object(), path, ": header is not a JSON object");

  const size_t first = entries_.size();
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__") {
      check(value.is_object(), path, ": __metadata__ is not an object");
      for (const auto& [key, text] : value.items())
        if (files_.empty()) metadata_[key] = json_string(text, path + ": __metadata__." + key);
      continue;
    }
    SafetensorsEntry entry = read_entry(name, value, data_size, path + ": tensor \"" + name + "\"");
    entry.file = files_.size();
    check(by_name_.emplace(name, entries_.size()).second, path, ": tensor \"", name, "\" is in two files");
    entries_.push_back(std::move(entry));
  }
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (size_t i = first; i < entries_.size(); ++i) ranges.emplace_back(entries_[i].begin, entries_[i].end);
  std::sort(ranges.begin(), ranges.end());
  uint64_t expected = 0;
  for (const auto& [begin, end] : ranges) {
    check(begin >= expected, path, ": two tensors overlap at byte ", begin, " of the data");
    check(begin == expected, path, ": no tensor covers bytes ", expected, " to ", begin, " of the data");
    expected = end;
  }
  check(expected == data_size, path, ": ", data_size - expected, " bytes after the last tensor");
  data_offsets_.push_back(8 + header);
  files_.push_back(std::move(map));
}

const SafetensorsEntry* Safetensors::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &entries_[found->second];
}

Tensor Safetensors::load(const std::string& name) const {
  const SafetensorsEntry* entry = find(name);
  check(entry != nullptr, path_, ": no tensor \"", name, "\"");
  const ElementType* type = find_type(entry->dtype);
  check(type->dtype >= 0, path_, ": tensor \"", name, "\" has element type ", entry->dtype,
        ", which is not supported");
  Tensor t = Tensor::empty(entry->shape, DType(type->dtype), Device::cpu);
  if (t.numel() > 0)
    std::memcpy(t.raw(), files_[entry->file].data() + data_offsets_[entry->file] + entry->begin,
                size_t(t.bytes()));
  return t;
}

Tensor Safetensors::load(const std::string& name, DType dtype) const {
  const Tensor stored = load(name);
  if (stored.dtype() == dtype) return stored;
  check(is_float(stored.dtype()) == is_float(dtype), path_, ": tensor \"", name, "\" is ", stored.dtype(),
        ", expected ", dtype);
  Tensor t = stored.like(stored.shape(), dtype);
  t.copy_from(stored);
  return t;
}

void write_safetensors(AtomicFile& file, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata, const TensorProgress& progress) {
  const std::string& path = file.path();
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    check(!header.contains(name) && name != "__metadata__", path, ": tensor name \"", name, "\" is taken");
    const uint64_t end = offset + uint64_t(tensor.bytes());
    header[name] = {{"dtype", type_name(tensor.dtype())},
                    {"shape", std::vector<int64_t>(tensor.shape().begin(), tensor.shape().end())},
                    {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = json_text(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // data begins at a multiple of eight bytes
  const uint64_t length = text.size();
  file.write(&length, 8);
  file.write(text);
  int64_t done = 0;
  for (const auto& [name, tensor] : tensors) {
    Tensor t = tensor.to(Device::cpu);
    if (!t.is_contiguous()) {
      t = t.like(tensor.shape(), tensor.dtype());
      t.copy_from(tensor);
    }
    if (t.numel() > 0) file.write(t.raw(), size_t(t.bytes()));
    if (progress) progress(++done, int64_t(tensors.size()));
  }
}

void write_safetensors(const std::string& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata) {
  AtomicFile file(path);
  write_safetensors(file, tensors, metadata);
  file.commit();
}

}  // namespace engine
