// --device of every command that computes: the CPU's results from the stand-in, and the one line for a device
// that cannot be had.
#include <catch2/catch.hpp>
#include <cmath>

#include "data/train_tokenizer.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/io/safetensors.h"
#include "models/init.h"
#include "models/model_files.h"
#include "run_program.h"
#include "temporary_folder.h"

using Catch::Matchers::Contains;
using engine::Json;

namespace {

struct Files : TemporaryFolder {
  Files() {
    const Json section = {{"objective", "clm"},    {"vocab_size", 258},     {"context", 24},
                          {"layers", 2},           {"width", 16},           {"heads", 2},
                          {"ffn_width", 32},       {"norms", "normformer"}, {"activation", "gelu"},
                          {"positions", "learned"}};
    models::Transformer model(models::model_config_from_section(section, "test"),
                              nn::Precision::of(engine::DType::f32), nn::Gradients::none);
    models::initialise(model, "", 3);
    models::save_model(model, *this / "m");
    data::train_tokenizer({}, {.kind = data::TokenizerKind::byte, .special = {"<s>", "</s>"}})
        ->save(*this / "m");
    engine::write_file(*this / "text.txt", "It is a truth universally acknowledged.");
    engine::write_file(*this / "ids.json", R"({"input_ids": [[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]]})");
    std::string lines;
    for (const char* text : {"one two three", "four five six"}) lines += Json({{"text", text}}).dump() + "\n";
    engine::write_file(*this / "lambada.jsonl", lines);
  }
  std::string model() const { return " --model " + (*this / "m"); }
};

// The commands, as they are typed without --device.
std::vector<std::string> commands(const Files& f) {
  const std::string out = " --out " + (f / "out.safetensors");
  return {"eval ppl --data " + (f / "text.txt") + f.model(),
          "eval lambada --data " + (f / "lambada.jsonl") + f.model(),
          "generate --prompt 'It is' --tokens 4 --temperature 0" + f.model(),
          "forward --grads --tokens " + (f / "ids.json") + out + f.model(),
          "gradcheck --op rope",
          "bench ops head_scale --repeats 1",
          "bench gemm --repeats 1",
          "bench step tiny --steps 1"};
}

// More of them, of which the device is the first thing that is looked at.
std::vector<std::string> other_commands(const Files& f) {
  const std::string rows = " --tokens " + (f / "ids.json") + f.model(),
                    config = " --config " + (f / "train.json");
  return {"probe gradients" + rows,
          "probe attention" + rows,
          "probe gains" + f.model(),
          "probe gradients pre_ln" + config,
          "probe stability pre_ln" + config,
          "finetune --task cola --data " + f.path + f.model() + " --out " + (f / "run")};
}

Json json_of(const std::string& command) {
  const ProgramEnd out = run_normlab(command + " --json");
  INFO(command << "\n" << out.output);
  REQUIRE(out.code == 0);
  const size_t start = out.output.find('{');
  return engine::parse_json(out.output.substr(start, out.output.rfind('}') + 1 - start), "stdout");
}

}  // namespace

TEST_CASE("every command that computes refuses a device that cannot be had, in one line") {
  const Files files;
  std::vector<std::string> all = commands(files);
  for (const std::string& command : other_commands(files)) all.push_back(command);
  all.push_back("train --config " + (files / "train.json") + " --out " + (files / "run"));
  const Json model = {{"objective", "clm"},    {"vocab_size", 16},  {"context", 8},
                      {"layers", 1},           {"width", 8},        {"heads", 1},
                      {"ffn_width", 16},       {"norms", "pre_ln"}, {"activation", "gelu"},
                      {"positions", "learned"}};
  engine::write_file(
      files / "train.json",
      Json({{"model", model}, {"data", {{"train", "none"}}}, {"budget", {{"steps", 1}}}}).dump());
  for (const std::string& command : all) {
    const bool train = command.starts_with("train");
    const ProgramEnd unknown = run_normlab(command + (train ? " --set device=gpu" : " --device gpu"));
    INFO(command << "\n" << unknown.output);
    CHECK(unknown.code == 2);
    CHECK_THAT(unknown.output, Contains("gpu") && Contains("cuda-host"));
    const ProgramEnd missing = run_normlab(command + (train ? " --set device=cuda" : " --device cuda"));
    INFO(missing.output);
#if defined(ENGINE_HAS_cuda)
    if (command == all.front() && missing.code == 0) break;  // this machine has a GPU
    CHECK_THAT(missing.output, Contains("device cuda: ") && Contains("cuda-host"));
#else
    CHECK_THAT(missing.output, Contains("device cuda: this build has cpu"));
#endif
    CHECK(missing.code == 2);
    CHECK(std::count(missing.output.begin(), missing.output.end(), '\n') == 1);
  }
  CHECK_FALSE(engine::file_exists(files / "run"));
}

#if defined(ENGINE_HAS_cuda_host)
TEST_CASE("a stand-in that cannot be opened says why, and not that memory is short") {
  const Files files;
  const std::string command =
      BINARY_DIR "/normlab generate --prompt a --tokens 1 --device cuda-host" + files.model();
  const std::pair<const char*, const char*> all[] = {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which need more addresses themselves
    {"ulimit -v 6000000;", "cuda-host: the system gives no addresses for device memory"},
#endif
    {"NORMLAB_CUDA_HOST=backward", "NORMLAB_CUDA_HOST: expected forward, reverse"},
    {"NORMLAB_CUDA_HOST=workers=0", "NORMLAB_CUDA_HOST: expected 1 to 256 workers, got 0"}
  };
  for (const auto& [before, words] : all) {
    const ProgramEnd out = run_shell(std::string(before) + " " + command);
    INFO(before << "\n" << out.output);
    CHECK(out.code == 2);
    CHECK_THAT(out.output, Contains(words));
    CHECK(std::count(out.output.begin(), out.output.end(), '\n') == 1);
  }
}

TEST_CASE("eval, generate, forward and gradcheck on the stand-in give the CPU's results") {
  const Files files;
  const std::vector<std::string> all = commands(files);
  const auto both = [&](size_t i) {
    return std::pair(json_of(all[i]), json_of(all[i] + " --device cuda-host"));
  };
  const auto [ppl, ppl_here] = both(0);
  CHECK(ppl_here["results"][0]["loss"].get<double>() ==
        Approx(ppl["results"][0]["loss"].get<double>()).epsilon(1e-5));
  const auto [task, task_here] = both(1);
  const double perplexity = task["results"][0]["metrics"]["perplexity"].get<double>();
  CHECK(task_here["results"][0]["metrics"]["perplexity"].get<double>() == Approx(perplexity).epsilon(1e-5));
  const auto [text, text_here] = both(2);
  CHECK(text["samples"][0]["ids"] == text_here["samples"][0]["ids"]);
  CHECK(text["samples"][0]["ids"].size() == 4);

  REQUIRE(run_normlab(all[3]).code == 0);
  const auto gradients = [&] {
    const engine::Safetensors file(files / "out.safetensors");
    return file.load("grad.layers.0.attn.qkv.weight", engine::DType::f64).to_vector();
  };
  const std::vector<double> expected = gradients();
  REQUIRE(run_normlab(all[3] + " --device cuda-host").code == 0);
  const std::vector<double> got = gradients();
  double size = 0, error = 0;
  for (size_t i = 0; i < got.size(); ++i)
    size += expected[i] * expected[i], error += (got[i] - expected[i]) * (got[i] - expected[i]);
  CHECK(size > 0);
  CHECK(error <= 1e-10 * size);

  const Json check = json_of(all[4] + " --device cuda-host");
  CHECK(check["ok"] == true);
  CHECK(check["results"][0]["inputs"][0]["checked"] == 240);
}

TEST_CASE("gradcheck of a placement and bench run on the stand-in", "[medium]") {
  const Files files;
  CHECK(json_of("gradcheck --norm normformer --device cuda-host")["ok"] == true);
  const Json step = json_of("bench step tiny --steps 1 --device cuda-host");
  CHECK(step["results"][0]["value"].get<double>() > 0);
  CHECK(step["results"][0]["ceiling"] == 0);
}
#endif
