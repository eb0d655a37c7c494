// normlab convert: exit codes, messages, and what it leaves behind.
#include <algorithm>
#include <catch2/catch.hpp>

#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/json.h"
#include "engine/io/safetensors.h"
#include "run_program.h"
#include "temporary_folder.h"

namespace {

ProgramEnd convert(const std::string& arguments) { return run_normlab("convert " + arguments); }

/// GPT-2 of no width to speak of, one layer, with the mask that old files carry.
void write_gpt2(const std::string& folder) {
  const auto zeros = [](const engine::Shape& shape) {
    return engine::Tensor::zeros(shape, engine::DType::f32);
  };
  engine::NamedTensors tensors = {{"wte.weight", zeros({5, 2})}, {"wpe.weight", zeros({3, 2})}};
  const std::pair<const char*, engine::Shape> layer[] = {
      {"ln_1.weight", {2}},           {"ln_1.bias", {2}},
      {"attn.c_attn.weight", {2, 6}}, {"attn.c_attn.bias", {6}},
      {"attn.c_proj.weight", {2, 2}}, {"attn.c_proj.bias", {2}},
      {"ln_2.weight", {2}},           {"ln_2.bias", {2}},
      {"mlp.c_fc.weight", {2, 8}},    {"mlp.c_fc.bias", {8}},
      {"mlp.c_proj.weight", {8, 2}},  {"mlp.c_proj.bias", {2}},
      {"attn.bias", {1, 1, 3, 3}}};
  for (const auto& [name, shape] : layer) tensors.emplace_back(std::string("h.0.") + name, zeros(shape));
  tensors.emplace_back("ln_f.weight", zeros({2}));
  tensors.emplace_back("ln_f.bias", zeros({2}));
  engine::make_directories(folder);
  engine::write_safetensors(folder + "/model.safetensors", tensors);
  engine::write_file(folder + "/config.json", R"({"model_type": "gpt2", "vocab_size": 5, "n_positions": 3,
    "n_layer": 1, "n_embd": 2, "n_head": 1})");
}

}  // namespace

TEST_CASE("convert: there and back, naming what it drops") {
  TemporaryFolder tmp;
  write_gpt2(tmp / "hf");
  const ProgramEnd in = convert("--from hf --to normlab " + (tmp / "hf") + " " + (tmp / "ours"));
  CHECK(in.code == 0);
  CHECK(in.output == "dropped h.0.attn.bias: the causal mask, a constant\n");
  const ProgramEnd out = convert("--from normlab --to hf " + (tmp / "ours") + " " + (tmp / "back"));
  CHECK(out.code == 0);
  CHECK(out.output.empty());
  CHECK(engine::Safetensors(tmp / "back").find("transformer.h.0.attn.c_attn.weight") != nullptr);
}

TEST_CASE("convert: a run, whose tokenizer says which token ends a text") {
  TemporaryFolder tmp;
  const std::string text = tmp / "text.txt", tok = tmp / "tok", out = tmp / "hf";
  std::string words;
  for (int i = 0; i < 200; ++i) words += "the cat sat on the mat " + std::to_string(i * 7919 % 97) + "\n";
  engine::write_file(text, words);
  REQUIRE(run_normlab("tokenizer train --vocab-size 300 --special '<|endoftext|>' --out " + tok + " --input " +
                     text)
              .code == 0);
  REQUIRE(run_normlab("prepare --tokenizer " + tok + " --input " + text + " --out " + (tmp / "set")).code ==
          0);
  engine::write_file(tmp / "c.json",
                     R"({"model": {"layers": 1, "width": 8, "heads": 1, "ffn_width": 8, "context": 8,
    "norms": "pre_ln", "activation": "gelu_tanh", "positions": "learned"}, "budget": {"steps": 2}, "threads": 1,
    "data": {"tokenizer": ")" +
                         tok + R"(", "train": ")" + (tmp / "set") + R"(/train"}})");
  REQUIRE(run_normlab("train --config " + (tmp / "c.json") + " --out " + (tmp / "run")).code == 0);
  const ProgramEnd result = convert("--from normlab --to hf " + (tmp / "run") + " " + out);
  INFO(result.output);
  REQUIRE(result.code == 0);
  const engine::Json config = engine::read_json(out + "/config.json"),
                     tokenizer = engine::read_json(out + "/tokenizer_config.json"),
                     own = engine::read_json(out + "/tokenizer.json");
  CHECK(config["eos_token_id"] == own["added_tokens"][0]["id"]);
  CHECK(config["bos_token_id"] == config["eos_token_id"]);
  CHECK(config["pad_token_id"].is_null());
  CHECK(tokenizer["eos_token"] == "<|endoftext|>");
  CHECK(tokenizer["model_max_length"] == 8);

  const std::string kept = engine::read_file(tmp / "run/config.json");  // without it the run could not go on
  const ProgramEnd onto = convert("--from normlab --to hf " + (tmp / "run") + " " + (tmp / "run"));
  CHECK(onto.code == 2);
  CHECK(onto.output.find("IN and OUT are the same folder") != std::string::npos);
  const ProgramEnd other = convert("--from hf --to normlab " + out + " " + (tmp / "run"));
  CHECK(other.code == 2);
  CHECK(other.output.find("a run stands there") != std::string::npos);
  CHECK(engine::read_file(tmp / "run/config.json") == kept);
}

TEST_CASE("inspect: a Hugging Face folder shows what it becomes") {
  TemporaryFolder tmp;
  write_gpt2(tmp / "hf");
  CHECK(convert("--from hf --to normlab " + (tmp / "hf") + " " + (tmp / "ours")).code == 0);
  const ProgramEnd theirs = run_normlab("inspect " + (tmp / "hf")), ours = run_normlab("inspect " + (tmp / "ours"));
  INFO(theirs.output);
  CHECK(theirs.code == 0);
  CHECK(theirs.output == ours.output);
}

TEST_CASE("convert: mistakes exit with 2, one line, and write nothing") {
  TemporaryFolder tmp;
  write_gpt2(tmp / "hf");
  const std::string hf = tmp / "hf", out = tmp / "out";
  for (const std::string& arguments :
       {"--from hf " + hf + " " + out, "--from hf --to bert " + hf + " " + out,
        "--from hf --to normlab " + hf, "--from normlab --to hf " + hf + " " + out,
        "--from hf --to normlab " + hf + " " + hf,
        "--from hf --to normlab " + (tmp / "nowhere") + " " + out}) {
    INFO(arguments);
    const ProgramEnd result = convert(arguments);
    CHECK(result.code == 2);
    CHECK(std::count(result.output.begin(), result.output.end(), '\n') == 1);
    CHECK_FALSE(engine::is_directory(out));
  }
}

TEST_CASE("convert: files of two conversions side by side are told wherever the model is read") {
  TemporaryFolder tmp;
  write_gpt2(tmp / "hf");
  const std::string ours = tmp / "ours", back = tmp / "back", config = ours + "/config.json";
  REQUIRE(convert("--from hf --to normlab " + (tmp / "hf") + " " + ours).code == 0);
  engine::write_file(tmp / "tokens.json", R"({"input_ids": [[1, 2]]})");
  const std::string forward =
      "forward --model " + ours + " --tokens " + (tmp / "tokens.json") + " --out " + (tmp / "o");
  CHECK(run_normlab(forward).output.find("warning") == std::string::npos);
  engine::write_file(config, engine::read_file(config) + " ");
  const std::string told = "warning: " + config + ": is not the file that model.safetensors was written with";
  CHECK(run_normlab(forward).output.find(told) != std::string::npos);
  CHECK(convert("--from normlab --to hf " + ours + " " + back).output.find(told) != std::string::npos);
  engine::write_file(back + "/config.json", engine::read_file(back + "/config.json") + " ");
  const std::string told_back = "warning: " + back + "/config.json: is not the file";
  CHECK(convert("--from hf --to normlab " + back + " " + (tmp / "again")).output.find(told_back) !=
        std::string::npos);
}

TEST_CASE("convert: a folder with files of another model that would stay is refused and left as it is") {
  TemporaryFolder tmp;
  write_gpt2(tmp / "hf");
  const std::string out = tmp / "out", to_ours = "--from hf --to normlab " + (tmp / "hf") + " " + out;
  REQUIRE(convert(to_ours).code == 0);
  engine::write_file(out + "/README.md", "of nobody's model\n");
  CHECK(convert(to_ours).code == 0);  // replaced
  const std::string kept = engine::read_file(out + "/model.safetensors"),
                    kept_config = engine::read_file(out + "/config.json");
  write_gpt2(tmp / "other");
  engine::write_file(tmp / "other/generation_config.json", "{}");
  for (const char* name :
       {"model-00002-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.json",
        "generation_config.json", "pytorch_model.bin", "modeling_normlab.py"}) {
    INFO(name);
    engine::write_file(out + "/" + name, "another model's");
    const ProgramEnd result = convert(to_ours);
    CHECK(result.code == 2);
    CHECK(std::count(result.output.begin(), result.output.end(), '\n') == 1);
    CHECK(result.output.find(out + ": has " + name + " of another model") != std::string::npos);
    CHECK(engine::read_file(out + "/model.safetensors") == kept);
    CHECK(engine::read_file(out + "/config.json") == kept_config);
    CHECK(engine::read_file(out + "/" + name) == "another model's");
    engine::remove_file(out + "/" + name);
  }
  // A file that the new model has too is replaced.
  engine::write_file(out + "/generation_config.json", "another model's");
  CHECK(convert("--from hf --to normlab " + (tmp / "other") + " " + out).code == 0);
  CHECK(engine::read_file(out + "/generation_config.json") == "{}");
}
