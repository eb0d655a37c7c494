// Fuzzing a Hugging Face directory as a whole: the input is its config.json, a zero byte, and its
// model.safetensors. A model that was accepted has every parameter.
#include <cstring>

#include "engine/base/file.h"
#include "fuzz.h"
#include "models/hf/import.h"
#include "models/parameter_list.h"

namespace {

constexpr const char* kConfig =
    R"({"model_type": "gpt2", "vocab_size": 4, "n_positions": 4, "n_embd": 4, "n_layer": 1, "n_head": 2})";

std::string weights(const std::vector<std::pair<std::string, std::vector<int>>>& tensors) {
  std::string header = "{";
  size_t at = 0;
  for (const auto& [name, shape] : tensors) {
    size_t bytes = 4;
    std::string dims;
    for (const int n : shape) bytes *= size_t(n), dims += (dims.empty() ? "" : ",") + std::to_string(n);
    header += (header.size() > 1 ? "," : "") + ("\"" + name + "\":{\"dtype\":\"F32\",\"shape\":[") + dims +
              "],\"data_offsets\":[" + std::to_string(at) + "," + std::to_string(at + bytes) + "]}";
    at += bytes;
  }
  header += "}";
  std::string out(8, 0);
  const uint64_t length = header.size();
  std::memcpy(out.data(), &length, 8);
  return out + header + std::string(at, '\0');
}

}  // namespace

std::vector<std::string> fuzz_seeds() {
  const std::string whole = weights({{"wte.weight", {4, 4}},
                                     {"wpe.weight", {4, 4}},
                                     {"h.0.ln_1.weight", {4}},
                                     {"h.0.ln_1.bias", {4}},
                                     {"h.0.attn.c_attn.weight", {4, 12}},
                                     {"h.0.attn.c_attn.bias", {12}},
                                     {"h.0.attn.c_proj.weight", {4, 4}},
                                     {"h.0.attn.c_proj.bias", {4}},
                                     {"h.0.ln_2.weight", {4}},
                                     {"h.0.ln_2.bias", {4}},
                                     {"h.0.mlp.c_fc.weight", {4, 16}},
                                     {"h.0.mlp.c_fc.bias", {16}},
                                     {"h.0.mlp.c_proj.weight", {16, 4}},
                                     {"h.0.mlp.c_proj.bias", {4}},
                                     {"ln_f.weight", {4}},
                                     {"ln_f.bias", {4}}});
  return {
      std::string(kConfig) + '\0' + whole, std::string(kConfig) + '\0' + weights({{"wte.weight", {4, 4}}}),
      R"({"model_type": "llama", "vocab_size": 4, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2,)"
      R"("intermediate_size": 4, "max_position_embeddings": 4})" +
          (std::string(1, '\0') + whole)};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const auto parts = input_parts(input_text(bytes, size), 2);
  const std::string path = input_file(parts[0], "config.json");
  input_file(parts[1], "model.safetensors");
  const std::string folder = path.substr(0, path.rfind('/'));
  return fuzz_one([&] {
    // Weights are made before their file is read; a config may ask for more than a fuzzer has.
    const engine::Json json = engine::read_json(path);
    for (const auto& [key, value] : json.items())
      if (value.is_number()) engine::check(value.get<double>() <= 1000, key, ": too large");
    models::load_any(folder, nn::Precision::of(engine::DType::f32));
  });
}
