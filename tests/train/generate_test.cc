// normlab generate: prompts from files, batches, stop strings, and the forms of its output.
#include <catch2/catch.hpp>

#include "engine/base/file.h"
#include "engine/base/json.h"
#include "models/model_files.h"
#include "models/model_gradcheck.h"
#include "run_program.h"
#include "temporary_folder.h"

using namespace engine;
using Catch::Matchers::Contains;

namespace {

/// A causal model with random weights over bytes, of which 256 is the end of a text.
struct ByteModel : TemporaryFolder {
  ByteModel() {
    models::ModelConfig c = models::gradcheck_config("pre_ln", models::Objective::clm);
    c.vocab_size = 257, c.context = 24, c.tokenizer = "tokenizer.json";
    models::Transformer model(models::checked(c), nn::Precision::of(DType::f32));
    models::draw_generic_values(model, 3);
    models::save_model(model, path + "/model");
    REQUIRE(
        run_normlab("tokenizer train --kind byte --special '<|endoftext|>' --out " + path + "/model").code ==
        0);
  }
  /// Standard output alone; the line about speed goes to standard error.
  ProgramEnd run(const std::string& arguments) const {
    return run_normlab("generate --model " + path + "/model --tokens 12 " + arguments + " 2>" + path +
                      "/errors");
  }
  Json json(const std::string& arguments) const {
    const ProgramEnd out = run("--json " + arguments);
    INFO(out.output << read_file(path + "/errors"));
    REQUIRE(out.code == 0);
    return parse_json(out.output, "generate");
  }
  std::string error(const std::string& arguments) const {
    CHECK(run(arguments).code == 2);
    return read_file(path + "/errors");
  }
};

}  // namespace

TEST_CASE("generate: prompts of a file, several at a time, each as it is alone") {
  const ByteModel model;
  write_file(model.path + "/prompts.txt", "the cat\n\nand a longer prompt\r\nx\n");
  write_file(model.path + "/prompts.jsonl",
             "{\"prompt\": \"the cat\"}\n{\"prompt\": \"and a longer prompt\"}\n");
  for (const char* batch : {"--batch 1", "--batch 3"}) {
    INFO(batch);
    const Json all = model.json(std::string(batch) + " --samples 2 --prompts " + model.path + "/prompts.txt");
    REQUIRE(all["prompts"].size() == 3);
    CHECK(all["prompts"][1]["prompt"] == "and a longer prompt");
    for (const Json& one : all["prompts"]) {
      const Json alone =
          model.json(std::string(batch) + " --samples 2 --prompt '" + one["prompt"].get<std::string>() + "'");
      CHECK(one["samples"] == alone["samples"]);
    }
    const Json lines =
        model.json(std::string(batch) + " --samples 2 --prompts " + model.path + "/prompts.jsonl");
    CHECK(lines["prompts"][0] == all["prompts"][0]);
    CHECK(lines["prompts"][1] == all["prompts"][1]);
  }
  const Json several = model.json("--prompt 'the cat' --prompt x");
  CHECK(several["prompts"][1]["prompt"] == "x");
  CHECK(several["prompts"][1]["samples"] == model.json("--prompt x")["samples"]);
}

TEST_CASE("generate: a stop string ends a text and is no part of it") {
  const ByteModel model;
  const Json whole = model.json("--prompt 'the cat' --temperature 0")["samples"][0];
  REQUIRE(whole["ids"].size() == 12);
  CHECK(whole["end"] == "length");
  CHECK(whole["ended"] == false);
  // Greedy texts of bytes: stop at the first printable pair.
  const std::string text = whole["text"];
  size_t at = 2;
  while (at + 1 < text.size() && !(std::isalnum(uint8_t(text[at])) && std::isalnum(uint8_t(text[at + 1]))))
    ++at;
  if (at + 1 < text.size()) {
    const std::string stop = text.substr(at, 2);
    const Json cut =
        model.json("--prompt 'the cat' --temperature 0 --stop nowhere --stop " + stop)["samples"][0];
    CHECK(cut["text"] == text.substr(0, text.find(stop)));
    CHECK(cut["end"] == "stop");
    CHECK(cut["ended"] == true);
  }
}

TEST_CASE("generate: text as it comes, in the order of the prompts, and a JSON line a text") {
  const ByteModel model;
  const Json all = model.json("--prompt ab --prompt cd --samples 2 --batch 4");
  std::string expected;
  for (const Json& prompt : all["prompts"])
    for (const Json& sample : prompt["samples"])
      expected += (expected.empty() ? "" : "\n---\n") + prompt["prompt"].get<std::string>() +
                  sample["text"].get<std::string>() + "\n";
  CHECK(model.run("--prompt ab --prompt cd --samples 2 --batch 4").output == expected);
  const std::string lines = model.run("--prompt ab --prompt cd --samples 2 --batch 4 --jsonl").output;
  size_t from = 0;
  for (const Json& prompt : all["prompts"])
    for (size_t i = 0; i < 2; ++i) {
      const size_t end = lines.find('\n', from);
      REQUIRE(end != std::string::npos);
      const Json line = parse_json(lines.substr(from, end - from), "line");
      from = end + 1;
      CHECK(line["prompt"] == prompt["prompt"]);
      CHECK(line["sample"] == i);
      CHECK(line["text"] == prompt["samples"][i]["text"]);
      CHECK(line["ids"] == prompt["samples"][i]["ids"]);
    }
  CHECK(from == lines.size());
}

TEST_CASE("generate: what makes no sense is refused") {
  const ByteModel model;
  for (const char* flag : {"--prompt-file - </dev/zero", "--prompts - </dev/zero"})
    CHECK_THAT(model.error(flag), Contains("standard input: more than 67108864 bytes"));
  write_file(model.path + "/empty.txt", "\n\n");
  write_file(model.path + "/bad.jsonl", "{\"text\": \"x\"}\n");
  CHECK_THAT(model.error("--prompt x --prompts f"), Contains("exclude each other"));
  CHECK_THAT(model.error("--json --jsonl"), Contains("exclude each other"));
  CHECK_THAT(model.error("--field text"), Contains("--field needs --prompts"));
  CHECK_THAT(model.error("--prompts " + model.path + "/empty.txt"), Contains("no prompts there"));
  CHECK_THAT(model.error("--prompts " + model.path + "/bad.jsonl"), Contains("line 1: no key \"prompt\""));
  CHECK(model.run("--prompts " + model.path + "/bad.jsonl --field text").code == 0);
  CHECK_THAT(model.error("--batch 0"), Contains("batch"));
  CHECK_THAT(model.error("--repetition-penalty 0"), Contains("repetition-penalty"));
}
