// Reading and writing safetensors, the format of model weights: a length, a JSON header, raw little-endian
// elements.
//
// A file is mapped and its header is checked before anything is read: bounds, sizes, overlaps and holes, so
// that a truncated or hostile file is one clear Error. Format: the safetensors project's documentation.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/file.h"
#include "engine/core/tensor.h"

namespace engine {

struct SafetensorsEntry {
  std::string name;
  std::string dtype;  // as in the file: F32, BF16, ...
  Shape shape;
  uint64_t begin = 0, end = 0;  // bytes, from the start of the data
  size_t file = 0;              // which of the files of a sharded model
};

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// One safetensors file, or all the files that a *.safetensors.index.json names.
class Safetensors {
 public:
  /// `path`: a .safetensors file, an index file, or a folder that holds model.safetensors or its index.
  explicit Safetensors(const std::string& path);

  const std::vector<SafetensorsEntry>& entries() const { return entries_; }  // in the files' order
  const SafetensorsEntry* find(const std::string& name) const;
  /// The "__metadata__" object of the first file.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// A copy in memory, cast to `dtype`. Error: no such tensor, an element type that this engine does not
  /// have.
  Tensor load(const std::string& name, DType dtype) const;
  /// A copy in the stored dtype.
  Tensor load(const std::string& name) const;
  const std::string& path() const { return path_; }

 private:
  void add_file(const std::string& path);
  std::string path_;
  std::vector<MappedFile> files_;
  std::vector<uint64_t> data_offsets_;
  std::vector<SafetensorsEntry> entries_;
  std::map<std::string, size_t> by_name_;
  std::map<std::string, std::string> metadata_;
};

/// Told how many of how many tensors are done.
using TensorProgress = std::function<void(int64_t done, int64_t total)>;

/// Writes tensors, which may have any strides, as all of `file`; commit() is the caller's. Names must differ.
void write_safetensors(AtomicFile& file, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {},
                       const TensorProgress& progress = {});
/// The same with commit().
void write_safetensors(const std::string& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace engine
