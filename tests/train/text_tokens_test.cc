// Which tokens begin and end a text: those of the tokenizer's post-processor and of the model's files, before
// the names that tokens commonly have. Through the binary where the commands must agree.
#include <catch2/catch.hpp>
#include <cmath>

#include "data/tokenizer.h"
#include "data/train_tokenizer.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "models/init.h"
#include "models/model_files.h"
#include "models/model_gradcheck.h"
#include "run_program.h"
#include "temporary_folder.h"
#include "train/open_model.h"

using namespace engine;
using namespace train;
using Catch::Matchers::Contains;

namespace {

const char* const begin_template = R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>",
  "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
  "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}})";

/// A byte-level BPE with <s> 0 and </s> 1, as tokenizer.json with this post-processor.
std::string tokenizer_json(const std::string& post_processor) {
  const std::string_view texts[] = {"the cat and the hat and the mat", "a hat on the cat"};
  data::TrainOptions options;
  options.vocab_size = 262, options.special = {"<s>", "</s>"}, options.threads = 1;
  Json json = parse_json(data::train_tokenizer(texts, options)->to_json(), "trained");
  json["post_processor"] = parse_json(post_processor, "test");
  return json.dump();
}

models::Ids begin(const std::string& post_processor) {
  return begin_of_prompt(*data::parse_tokenizer(tokenizer_json(post_processor), "test"));
}

/// A causal model with random weights and that tokenizer.
struct Sample : TemporaryFolder {
  explicit Sample(const std::string& post_processor) {
    models::ModelConfig c = models::gradcheck_config("pre_ln", models::Objective::clm);
    c.vocab_size = 262, c.context = 32, c.tokenizer = "tokenizer.json";
    models::Transformer model(models::checked(c), nn::Precision::of(DType::f32));
    models::draw_generic_values(model, 1);
    models::save_model(model, folder());
    write_file(folder() + "/tokenizer.json", tokenizer_json(post_processor));
    write_file(path + "/text.txt", "the cat and the hat");
  }
  std::string folder() const { return path + "/model"; }
  void set_generation(const char* json) const { write_file(folder() + "/generation_config.json", json); }

  Json generated(const std::string& more) const {
    const std::string command = "generate --json --temperature 0 --tokens 6 --model " + folder() + " " + more;
    const ProgramEnd out = run_normlab(command);  // the line about speed stands before or behind the object
    INFO(out.output);
    REQUIRE(out.code == 0);
    const size_t start = out.output.find('{');
    return parse_json(out.output.substr(start, out.output.rfind('}') + 1 - start), "generate")["samples"][0];
  }
  double loss() const {
    const ProgramEnd out = run_normlab("eval ppl --json --model " + folder() + " --data " + path + "/text.txt");
    INFO(out.output);
    REQUIRE(out.code == 0);
    return parse_json(out.output, "eval")["results"][0]["loss"].get<double>();
  }
};

}  // namespace

TEST_CASE("text tokens: what every kind of post-processor puts before a text") {
  CHECK(begin("null").empty());
  CHECK(begin(R"({"type": "ByteLevel", "trim_offsets": true})").empty());
  CHECK(begin(begin_template) == models::Ids{0});
  CHECK(begin(R"({"type": "Sequence", "processors": [{"type": "ByteLevel"}, )" + std::string(begin_template) +
              "]}") == models::Ids{0});
  CHECK(begin(R"({"type": "RobertaProcessing", "sep": ["</s>", 1], "cls": ["<s>", 0]})") == models::Ids{0});
  CHECK(begin(R"({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}},
    {"SpecialToken": {"id": "</s>", "type_id": 0}}], "pair": [],
    "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}})")
            .empty());
}

TEST_CASE("text tokens: a prompt is read behind the tokenizer's own beginning, once") {
  const Sample plain("null"), framed(begin_template);
  const Json wanted = plain.generated("--special --prompt '<s>the cat'")["ids"];
  CHECK(framed.generated("--prompt 'the cat'")["ids"] == wanted);
  CHECK(framed.generated("--special --prompt '<s>the cat'")["ids"] == wanted);
  CHECK(plain.generated("--prompt 'the cat'")["ids"] != wanted);
  CHECK(framed.generated("")["ids"] == plain.generated("--special --prompt '<s>'")["ids"]);
}

TEST_CASE("text tokens: a text is scored behind its begin token, else behind the end of another") {
  const Sample plain("null"), framed(begin_template);
  const double behind_end = plain.loss(), behind_begin = framed.loss();
  CHECK(std::fabs(behind_end - behind_begin) > 1e-6);
  plain.set_generation(R"({"bos_token_id": 0, "eos_token_id": 1})");
  CHECK(plain.loss() == Approx(behind_begin).epsilon(1e-12));
  plain.set_generation(R"({"bos_token_id": null})");
  CHECK(plain.loss() == Approx(behind_end).epsilon(1e-12));
  plain.set_generation(R"({"bos_token_id": 999})");  // no token of this tokenizer
  CHECK(plain.loss() == Approx(behind_end).epsilon(1e-12));
}

TEST_CASE("text tokens: any end that the model's files name ends a text") {
  const Sample sample("null");
  const Json all = sample.generated("--prompt 'the cat'");
  REQUIRE(all["ids"].size() == 6);
  CHECK(all["ended"] == false);
  const int end = all["ids"][2].get<int>();
  size_t first = 0;
  while (all["ids"][first] != end) ++first;
  for (const std::string& ids : {std::to_string(end), "[261, " + std::to_string(end) + "]"}) {
    sample.set_generation((R"({"eos_token_id": )" + ids + "}").c_str());
    const Json cut = sample.generated("--prompt 'the cat'");
    CHECK(cut["ids"].size() == first);
    CHECK(cut["ended"] == true);
  }
  sample.set_generation(R"({"eos_token_id": "end"})");
  const ProgramEnd refused = run_normlab("generate --model " + sample.folder() + " --prompt x");
  CHECK(refused.code == 2);
  CHECK_THAT(refused.output, Contains("generation_config.json: eos_token_id: expected an integer"));
}

TEST_CASE("weights that are not numbers are named by every command that would use them") {
  const Sample sample("null");
  const models::ModelConfig config = models::read_model_config(sample.folder() + "/config.json");
  auto model = models::load_model(sample.folder(), nn::Precision::of(DType::f32));
  model->parameters()["layers.0.attn.out.bias"].value.copy_from(
      Tensor::full({config.width}, NAN, DType::f32));
  models::save_model(*model, sample.folder());
  for (const std::string& command :
       {"eval ppl --json --data " + sample.path + "/text.txt", std::string("generate --prompt a")}) {
    const ProgramEnd out = run_normlab(command + " --model " + sample.folder());
    CHECK(out.code == 2);
    CHECK_THAT(out.output, Contains("tensor \"layers.0.attn.out.bias\": all") && Contains("not finite"));
  }
}
