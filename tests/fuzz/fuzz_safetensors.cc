// Fuzzing safetensors files and the index files of sharded models: every tensor of a file that was accepted
// can be loaded.
#include <cstring>

#include "engine/io/safetensors.h"
#include "fuzz.h"

namespace {

/// A file from the text of its header and so many bytes of data.
std::string file(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string out(8, 0);
  std::memcpy(out.data(), &length, 8);
  return out + header + std::string(data_bytes, '\x3f');
}

void load_all(const std::string& path) {
  const engine::Safetensors file(path);
  for (const auto& entry : file.entries()) {
    fuzz_one([&] { file.load(entry.name); });
    fuzz_one([&] { file.load(entry.name, engine::DType::f32); });
  }
}

}  // namespace

std::vector<std::string> fuzz_seeds() {
  return {file(R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}})", 24),
          file(R"({"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},)"
               R"("b":{"dtype":"I64","shape":[],"data_offsets":[4,12]},"c":{"dtype":"F16","shape":[0,9],)"
               R"("data_offsets":[12,12]}})",
               12),
          file(R"({"a":{"dtype":"F32","shape":[65536,65536,65536,65536],"data_offsets":[0,0]}})", 0),
          file(R"({"a":{"dtype":"U8","shape":[281474976710656,281474976710656],"data_offsets":[0,1]}})", 1),
          R"({"weight_map": {"a": "input.safetensors"}})"};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view input = input_text(bytes, size);
  if (input.starts_with('{'))
    return fuzz_one([&] { load_all(input_file(input, "model.safetensors.index.json")); });
  return fuzz_one([&] { load_all(input_file(input, "input.safetensors")); });
}
