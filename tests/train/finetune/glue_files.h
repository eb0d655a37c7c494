// Files for tests of `normlab finetune`: a tiny masked LM, and task folders whose rows can be learned.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "data/train_tokenizer.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/json.h"
#include "models/init.h"
#include "models/model_files.h"
#include "run_program.h"
#include "temporary_folder.h"

using engine::Json;

inline const std::vector<std::string> kSpecial = {"<s>", "<pad>", "</s>", "<mask>"};

/// A tiny masked LM of bytes, and task folders whose answer is the text's first letter.
struct GlueFiles : TemporaryFolder {
  GlueFiles() {
    model("mlm");
    task("cola", 40, 12);
  }
  std::string put(const std::string& name, const std::string& text) const {
    engine::make_directories(std::filesystem::path(*this / name).parent_path());
    engine::write_file(*this / name, text);
    return *this / name;
  }
  std::string model(const std::string& name, const Json& overrides = Json::object(),
                    const std::vector<std::string>& special = kSpecial) const {
    Json section = {{"objective", "mlm"},    {"vocab_size", 260}, {"context", 40},
                    {"layers", 1},           {"width", 16},       {"heads", 2},
                    {"ffn_width", 32},       {"norms", "pre_ln"}, {"activation", "gelu"},
                    {"positions", "learned"}};
    section.update(overrides);
    models::Transformer model(models::model_config_from_section(section, "test"),
                              nn::Precision::of(engine::DType::f32));
    models::initialise(model, "megatron", 3);
    models::save_model(model, *this / name);
    data::train_tokenizer({}, {.kind = data::TokenizerKind::byte, .special = special})->save(*this / name);
    return *this / name;
  }
  static std::string text(int i) {
    return std::string(1, char('a' + i % 2)) + std::string(size_t(i % 7), 'x');
  }
  void task(const std::string& name, int train, int dev) const {
    const auto rows = [&](int first, int count) {
      std::string out = name == "mnli" ? "sentence1\tsentence2\tgold_label\n" : "sentence\tlabel\n";
      if (name == "stsb") out = "sentence1\tsentence2\tscore\n";
      for (int i = first; i < first + count; ++i) {
        const char* word[] = {"contradiction", "neutral", "entailment"};
        out += name == "mnli"   ? text(i) + "\tb\t" + word[i % 3] + "\n"
               : name == "stsb" ? text(i) + "\tb\t" + std::to_string(i % 6 * 0.9) + "\n"
                                : text(i) + "\t" + std::to_string(i % 2) + "\n";
      }
      return out;
    };
    put(name + "/train.tsv", rows(0, train));
    put(name + (name == "mnli" ? "/dev_matched.tsv" : "/dev.tsv"), rows(train, dev));
    if (name == "mnli") put(name + "/dev_mismatched.tsv", rows(3 * train, dev));
  }
  std::string command(const std::string& task, const std::string& out, const std::string& rest,
                      const std::string& model = "mlm") const {
    return "finetune --threads 1 --task " + task + " --model " + *this / model + " --data " + *this / task +
           " --out " + *this / out + " " + rest;
  }
};

inline Json json_of(const ProgramEnd& out) {
  INFO(out.output);
  REQUIRE(out.code == 0);
  const size_t begin = out.output.find("\n{\n");
  return engine::parse_json(out.output.substr(begin == std::string::npos ? 0 : begin), "stdout");
}

/// What does not depend on time and place.
inline Json without_times(Json result) {
  result.erase("seconds");
  for (Json& run : result["results"]) run.erase("seconds"), run.erase("path");
  return result;
}
