// forward, convert and inspect on input that is wrong, through the binary: one line on stderr that says what,
// exit code 2, and no output file.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>

#include "engine/base/file.h"
#include "engine/base/json.h"
#include "models/init.h"
#include "models/model_files.h"
#include "models/model_gradcheck.h"
#include "run_program.h"
#include "temporary_folder.h"

using namespace engine;
using Catch::Matchers::Contains;

namespace {

/// A good model directory and token file, to be spoilt.
struct Sample : TemporaryFolder {
  Sample() {
    models::ModelConfig c = models::gradcheck_config("pre_ln", models::Objective::clm);
    c.activation = nn::Activation::gelu_tanh;  // so that it converts to GPT-2
    models::Transformer model(c, nn::Precision::of(DType::f32));
    models::draw_generic_values(model, 1);
    models::save_model(model, path + "/model");
    config = read_json(path + "/model/config.json");
    tensors = models::named_values(model.parameters());
    write_file(tokens(), R"({"input_ids": [[1, 2, 3]]})");
  }
  std::string weights() const { return path + "/model/model.safetensors"; }
  std::string tokens() const { return path + "/tokens.json"; }
  std::string out() const { return path + "/out"; }

  ProgramEnd forward() const {
    return run_normlab("forward --model " + path + "/model --tokens " + tokens() + " --out " + out() +
                      " --grads");
  }
  ProgramEnd convert() const { return run_normlab("convert --from normlab --to hf " + path + "/model " + out()); }
  ProgramEnd inspect() const { return run_normlab("inspect " + path + "/model"); }

  Json config;
  NamedTensors tensors;
};

void check_refused(const ProgramEnd& result, const Sample& sample, const std::string& why) {
  INFO(result.output);
  CHECK(result.code == 2);
  CHECK(std::count(result.output.begin(), result.output.end(), '\n') == 1);
  CHECK(result.output.rfind("normlab", 0) == 0);
  CHECK_THAT(result.output, Contains(why));
  CHECK_FALSE(std::filesystem::exists(sample.out()));
}

/// model.safetensors with this header and `data` bytes.
void write_raw(const Sample& sample, const std::string& header, size_t data, uint64_t claimed) {
  write_file(sample.weights(),
             std::string(reinterpret_cast<const char*>(&claimed), 8) + header + std::string(data, '\1'));
}

}  // namespace

TEST_CASE("bad models: the sample itself is good") {
  const Sample sample;
  CHECK(sample.inspect().code == 0);
  CHECK(sample.forward().code == 0);
  std::filesystem::remove_all(sample.out());
  const ProgramEnd converted = sample.convert();
  INFO(converted.output);
  CHECK(converted.code == 0);
}

TEST_CASE("bad models: tensors and their file") {
  Sample sample;
  const std::string bytes = read_file(sample.weights());
  uint64_t length = 0;
  std::copy_n(bytes.data(), 8, reinterpret_cast<char*>(&length));
  const std::string header = bytes.substr(8, length);
  const size_t data = bytes.size() - 8 - length;

  const auto refused = [&](const std::string& why) {
    check_refused(sample.forward(), sample, why);
    check_refused(sample.convert(), sample, why);
  };
  const auto with_header = [&](auto change) {
    Json json = parse_json(header, "header");
    change(json);
    const std::string text = json.dump();
    write_raw(sample, text, data, text.size());
  };
  const std::string first = sample.tensors[0].first, second = sample.tensors[1].first;

  for (const size_t kept : {size_t(0), size_t(7), size_t(8 + length / 2), bytes.size() - 1}) {
    INFO(kept << " bytes");
    write_file(sample.weights(), bytes.substr(0, kept));
    refused("model.safetensors");
  }
  write_raw(sample, header, data, ~uint64_t(0));
  refused("header length");
  write_raw(sample, std::string(length, '{'), data, length);
  refused("header");
  with_header([&](Json& h) {
    h[second]["data_offsets"] = h[first]["data_offsets"], h[second]["shape"] = h[first]["shape"];
  });
  refused("overlap");
  with_header([&](Json& h) { h[first]["data_offsets"] = {uint64_t(1) << 40, (uint64_t(1) << 40) + 4}; });
  refused("outside");
  with_header([&](Json& h) { h[first]["data_offsets"] = {-8, 0}; });
  refused("data_offsets");
  with_header([&](Json& h) { h[first]["shape"] = {int64_t(1) << 40, int64_t(1) << 40}; });
  refused(first);
  with_header([&](Json& h) { h[first]["dtype"] = "I32"; });
  refused("floating");
  with_header([&](Json& h) { h[first]["dtype"] = "F7"; });
  refused("unknown dtype");
  with_header([&](Json& h) {
    h["layers.9.surprise"] = h[first];
    h.erase(first);
  });
  refused(first);
  std::filesystem::remove(sample.weights());
  refused("model.safetensors");
  std::filesystem::create_directory(sample.weights());
  refused("model.safetensors");
  std::filesystem::remove(sample.weights());
  sample.tensors.emplace_back("layers.9.surprise", Tensor::zeros({1}, DType::f32));
  write_safetensors(sample.weights(), sample.tensors);
  refused("unexpected");
}

TEST_CASE("bad models: configs") {
  const Sample sample;
  const auto refused = [&](const char* key, const Json& value, const std::string& why) {
    INFO(key << " = " << value);
    Json config = sample.config;
    value.is_null() ? void(config.erase(key)) : void(config[key] = value);
    write_file(sample.path + "/model/config.json", config.dump());
    check_refused(sample.forward(), sample, why);
    check_refused(sample.convert(), sample, why);
    check_refused(sample.inspect(), sample, why);
  };
  refused("norms", "attn{in=ln", "column 6");
  refused("norms", "attn{im=ln} ffn{}", "\"im\"");
  refused("norms", "attn{in=ln} ffn{}; 5: ffn{}", "5");
  refused("norms", "nonsense", "nonsense");
  refused("heads", 5, "divide");
  refused("kv_heads", 2, "kv_heads");
  refused("width", 0, "width");
  refused("width", int64_t(1) << 60, "width");
  refused("width", "wide", "width");
  refused("layers", nullptr, "layers");
  refused("wdith", 12, "width");
  refused("format", "pickle", "format");
  write_file(sample.path + "/model/config.json", "{\"format\": ");
  check_refused(sample.inspect(), sample, "config.json");
  write_file(sample.path + "/model/config.json", "");
  check_refused(sample.forward(), sample, "config.json");
  write_file(sample.path + "/model/config.json", std::string(100000, '['));
  check_refused(sample.forward(), sample, "config.json");
}

TEST_CASE("bad models: token files and paths") {
  const Sample sample;
  const auto refused = [&](const std::string& text, const std::string& why) {
    INFO(text);
    write_file(sample.tokens(), text);
    check_refused(sample.forward(), sample, why);
  };
  refused("", "tokens.json");
  refused("{\"input_ids\": [[1, 2", "tokens.json");
  refused("[1, 2]", "tokens.json");
  refused("{}", "input_ids");
  refused("{\"input_ids\": [[1, NaN]]}", "tokens.json");
  refused("{\"input_ids\": [[1, null]]}", "input_ids[0][1]");
  refused("{\"input_ids\": [[1, 1e300]]}", "input_ids[0][1]");
  refused("{\"input_ids\": [[1, 9999]]}", "input_ids[0][1]");
  refused("{\"input_ids\": [[1, -1]]}", "input_ids[0][1]");
  refused("{\"input_ids\": [[1, 2], [3]]}", "row 1");
  refused("{\"input_ids\": []}", "input_ids");
  refused("{\"input_ids\": [[1]]}", "no position is scored");
  refused("{\"input_ids\": [[1, 2]], \"labels\": [[-100, -100]]}", "no position is scored");
  refused("{\"input_ids\": [[1, 2, 3, 4, 5, 6, 7]]}", "positions");
  refused("{\"input_ids\": [[1, 2]], \"lables\": [[1, 2]]}", "labels");
  const auto forward_with = [&](const std::string& tokens, const std::string& flags) {
    write_file(sample.tokens(), tokens);
    return run_normlab("forward --model " + sample.path + "/model --tokens " + sample.tokens() + " --out " +
                      sample.out() + flags);
  };
  // A row of one token has logits, but no loss.
  REQUIRE(forward_with("{\"input_ids\": [[1]]}", "").code == 0);
  CHECK(Safetensors(sample.out()).find("logits") != nullptr);
  CHECK(Safetensors(sample.out()).find("loss") == nullptr);
  std::filesystem::remove(sample.out());
  check_refused(forward_with("{\"input_ids\": [[1, 2]]}", " --device cuda"), sample, "device cuda: ");
  check_refused(forward_with("{\"input_ids\": [[1, 99999999]]}", " --device cuda-host"), sample, "99999999");
  check_refused(forward_with("{\"input_ids\": [[1, 2]]}", " --device gpu"), sample, "gpu");
  std::filesystem::remove(sample.tokens());
  check_refused(sample.forward(), sample, "tokens.json");
  std::filesystem::create_directory(sample.tokens());
  check_refused(sample.forward(), sample, "tokens.json");
  const std::string model = "forward --model " + sample.path;
  check_refused(run_normlab(model + "/nowhere --tokens x --out " + sample.out()), sample, "nowhere");
  check_refused(run_normlab(model + "/model --tokens x --out " + sample.out() + " --precision f8"), sample,
                "f8");
  check_refused(run_normlab("inspect gpt-125n"), sample, "gpt-125m");
  check_refused(run_normlab("inspect gpt-125m --norms 'attn{in=lm} ffn{}'"), sample, "lm");
  check_refused(run_normlab("inspect " + sample.path + "/none.json"), sample, "no such file");
}
