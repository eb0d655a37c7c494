// safetensors: round trips, and one clear error for each way in which a file can be wrong.
#include "engine/io/safetensors.h"

#include <catch2/catch.hpp>
#include <filesystem>

using namespace engine;
using Catch::Matchers::Contains;

namespace {

std::string folder() {
  const std::string path = std::filesystem::temp_directory_path() / "normlab_safetensors_test";
  make_directories(path);
  return path;
}

// A file with this header and `data` bytes of zeros.
std::string file_with(const std::string& header, size_t data, uint64_t claimed_length = 0) {
  const std::string path = folder() + "/case.safetensors";
  const uint64_t length = claimed_length ? claimed_length : header.size();
  write_file(path, std::string(reinterpret_cast<const char*>(&length), 8) + header + std::string(data, '\0'));
  return path;
}

}  // namespace

TEST_CASE("tensors survive a round trip in every dtype, strided views too") {
  const std::string path = folder() + "/a.safetensors";
  NamedTensors tensors;
  for (DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16, DType::i32, DType::i64, DType::u8})
    tensors.emplace_back(name_of(dtype), Tensor::from({1, 2, 3, 4, 5, 6}, {2, 3}, dtype));
  tensors.emplace_back("transposed", tensors[1].second.transpose(0, 1));
  tensors.emplace_back("empty", Tensor::empty({0, 4}, DType::f32));
  tensors.emplace_back("scalar", Tensor::from({7}, {}, DType::f32));
  write_safetensors(path, tensors, {{"format", "pt"}});
  const Safetensors file(path);
  CHECK(file.metadata().at("format") == "pt");
  for (const auto& [name, tensor] : tensors) {
    CHECK(file.load(name).to_vector() == tensor.to_vector());
    CHECK(file.load(name).shape() == tensor.shape());
    CHECK(file.load(name).dtype() == tensor.dtype());
  }
  CHECK(file.load("bf16", DType::f64).dtype() == DType::f64);
  CHECK_THROWS_WITH(file.load("i32", DType::f32), Contains("i32"));
  CHECK_THROWS_WITH(file.load("nothing"), Contains("no tensor \"nothing\""));
  CHECK_THROWS_WITH(write_safetensors(path, {tensors[0], tensors[0]}), Contains("taken"));
}

TEST_CASE("malformed files are refused with one line") {
  const auto refused = [](const std::string& path, const std::string& why) {
    CHECK_THROWS_WITH(Safetensors(path), Contains(why));
  };
  const std::string good = R"("dtype":"F32","shape":[2],"data_offsets":[0,8])";
  CHECK_NOTHROW(Safetensors(file_with("{\"a\":{" + good + "}}", 8)));
  refused(folder() + "/missing.safetensors", "cannot open");
  refused(file_with("{}", 0, uint64_t(1) << 60), "header length");
  refused(file_with("{\"a\":{" + good + "}}", 7), "outside the file");
  refused(file_with("{\"a\":{" + good + "}}", 9), "after the last tensor");
  refused(file_with("{\"a\":{" + good + "},\"b\":{" + good + "}}", 8), "overlap");
  refused(file_with(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8), "no tensor covers");
  refused(file_with(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8), "does not fill");
  refused(file_with(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}})", 8), "outside [0");
  refused(file_with(R"({"a":{"dtype":"F32","shape":[281474976710656,281474976710656],"data_offsets":[0,8]}})", 8), "too many");
  refused(file_with(R"({"a":{"dtype":"Q4","shape":[2],"data_offsets":[0,8]}})", 8), "unknown dtype");
  refused(file_with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8), "outside the file");
  refused(file_with(R"({"a":{"dtype":"F32","shape":[2]}})", 8), "data_offsets");
  refused(file_with("{\"a\":{" + good + "},\"a\":{" + good + "}}", 8), "twice");
  refused(file_with("[1]", 0), "not a JSON object");
  refused(file_with("{\"a\"", 0), "not valid JSON");
  refused(file_with(R"({"a":{"dtype":"F32","shape":8,"data_offsets":[0,8]}})", 8), "shape must be a list");
  refused(file_with(R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1],"data_offsets":[0,4]}})", 4),
          "at most 6 sizes");
  refused(file_with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8]}})", 8), "must be two numbers");
  refused(file_with(R"({"__metadata__":[]})", 0), "__metadata__ is not an object");
  write_file(folder() + "/short.safetensors", "1234567");
  refused(folder() + "/short.safetensors", "too short for a safetensors file (7 bytes)");
  const Safetensors exotic(file_with(R"({"a":{"dtype":"I8","shape":[8],"data_offsets":[0,8]}})", 8));
  CHECK_THROWS_WITH(exotic.load("a"), Contains("not supported"));
}

TEST_CASE("a sharded model is one set of tensors") {
  const std::string path = folder() + "/sharded";
  std::filesystem::remove_all(path);
  make_directories(path);
  write_safetensors(path + "/m-1.safetensors", {{"a", Tensor::from({1}, {1}, DType::f32)}});
  write_safetensors(path + "/m-2.safetensors", {{"b", Tensor::from({2}, {1}, DType::f32)}});
  write_file(path + "/model.safetensors.index.json", R"({"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}})");
  CHECK(Safetensors(path).load("b").item() == 2);
  write_file(path + "/model.safetensors.index.json", R"({"weight_map":{"c":"m-1.safetensors"}})");
  CHECK_THROWS_WITH(Safetensors(path), Contains("in no shard"));
  write_file(path + "/model.safetensors.index.json", R"({"weight_map":{"a":"../m-1.safetensors"}})");
  CHECK_THROWS_WITH(Safetensors(path), Contains("plain file name"));
  write_file(path + "/model.safetensors.index.json", R"({"weights":{}})");
  CHECK_THROWS_WITH(Safetensors(path), Contains("no \"weight_map\" object"));
  write_safetensors(path + "/m-2.safetensors", {{"a", Tensor::from({2}, {1}, DType::f32)}});
  write_file(path + "/model.safetensors.index.json",
             R"({"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}})");
  CHECK_THROWS_WITH(Safetensors(path), Contains("tensor \"a\" is in two files"));
}
