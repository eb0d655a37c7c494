// Model directories and token files that are wrong: one line that says what, where, and what was expected.
#include "models/model_files.h"

#include <catch2/catch.hpp>

#include "engine/base/file.h"
#include "models/forward.h"
#include "models/init.h"
#include "models/model_gradcheck.h"
#include "temporary_folder.h"

using namespace engine;
using namespace models;
using Catch::Contains;

namespace {

const nn::Precision f32 = nn::Precision::of(DType::f32);

/// A folder with a good model in it.
struct ModelFolder : TemporaryFolder {
  explicit ModelFolder(Objective objective = Objective::clm) {
    Transformer model(gradcheck_config("normformer", objective), f32);
    draw_generic_values(model, 1);
    save_model(model, path);
    config = read_json(path + "/config.json");
    tensors = named_values(model.parameters());
  }
  void write_tensors() const { write_safetensors(path + "/model.safetensors", tensors); }
  void write_config(const Json& json) const { write_file(path + "/config.json", json.dump()); }
  void load() const { load_model(path, f32); }

  Json config;
  NamedTensors tensors;
};

TokenBatch batch_of(const char* json, Objective objective = Objective::clm) {
  return token_batch(parse_json(json, "T.json"), gradcheck_config("pre_ln", objective), "T.json");
}

}  // namespace

TEST_CASE("model files: a round trip changes no bit, and 16-bit files load") {
  const ModelFolder folder;
  const auto model = load_model(folder.path, f32);
  const TemporaryFolder copy;
  save_model(*model, copy.path);
  CHECK(read_file(copy.path + "/model.safetensors") == read_file(folder.path + "/model.safetensors"));
  CHECK(read_file(copy.path + "/config.json") == read_file(folder.path + "/config.json"));
  const TemporaryFolder half;
  save_model(*model, half.path, DType::bf16);
  CHECK(Safetensors(half.path).entries()[0].dtype == "BF16");
  CHECK_NOTHROW(load_model(half.path, f32));
}

TEST_CASE("model files: tensors that are missing, extra, misshapen or no numbers") {
  ModelFolder folder;
  SECTION("missing") {
    folder.tensors.erase(folder.tensors.begin());
    folder.write_tensors();
    CHECK_THROWS_WITH(folder.load(), Contains("embed.tokens.weight") && Contains("missing"));
  }
  SECTION("extra") {
    folder.tensors.emplace_back("layers.0.attn.rotary.inv_freq", Tensor::zeros({4}, DType::f32));
    folder.write_tensors();
    CHECK_THROWS_WITH(folder.load(), Contains("unexpected") && Contains("layers.0.attn.rotary.inv_freq"));
  }
  SECTION("misshapen") {
    folder.tensors[0].second = Tensor::zeros({23, 13}, DType::f32);
    folder.write_tensors();
    CHECK_THROWS_WITH(folder.load(),
                      Contains("embed.tokens.weight") && Contains("[23, 12]") && Contains("[23, 13]"));
  }
  SECTION("transposed, so that the bytes would fit") {
    folder.tensors[0].second = Tensor::zeros({12, 23}, DType::f32);
    folder.write_tensors();
    CHECK_THROWS_WITH(folder.load(), Contains("[12, 23]"));
  }
  SECTION("integers") {
    folder.tensors[0].second = Tensor::zeros({23, 12}, DType::i32);
    folder.write_tensors();
    CHECK_THROWS_WITH(folder.load(), Contains("embed.tokens.weight") && Contains("floating"));
  }
}

TEST_CASE("model files: broken files and folders") {
  const ModelFolder folder;
  const std::string weights = folder.path + "/model.safetensors";
  CHECK_THROWS_WITH(load_model(folder.path + "/nowhere", f32), Contains("not a model directory"));
  const std::string bytes = read_file(weights);
  for (const size_t kept : {size_t(0), size_t(5), size_t(40), bytes.size() / 2, bytes.size() - 1}) {
    INFO(kept << " bytes");
    write_file(weights, bytes.substr(0, kept));
    CHECK_THROWS_AS(folder.load(), Error);
  }
  write_file(weights, std::string(8, '\xff') + bytes.substr(8));  // an absurd header length
  CHECK_THROWS_AS(folder.load(), Error);
}

TEST_CASE("model files: configs that no model can have") {
  const ModelFolder folder;
  const auto refused = [&](const char* key, const Json& value) {
    Json config = folder.config;
    config[key] = value;
    folder.write_config(config);
    try {
      folder.load();
    } catch (const Error& error) {
      const std::string text = error.what();
      CHECK(text.find('\n') == std::string::npos);
      return text;
    }
    return std::string("accepted");
  };
  CHECK_THAT(refused("heads", 5), Contains("heads 5") && Contains("divide"));
  CHECK_THAT(refused("width", -1), Contains("width"));
  CHECK_THAT(refused("width", 1 << 30), Contains("width"));
  CHECK_THAT(refused("layers", 1000000), Contains("layers"));
  CHECK_THAT(refused("layers", 400), Contains("missing"));  // found before anything is allocated
  CHECK_THAT(refused("vocab_size", "many"), Contains("vocab_size"));
  CHECK_THAT(refused("format", "other"), Contains("format"));
  CHECK_THAT(refused("version", 2), Contains("version"));
  CHECK_THAT(refused("witdh", 12), Contains("witdh") && Contains("width"));
  CHECK_THAT(refused("norms", "attn{inn=ln}"), Contains("inn"));
  CHECK_THAT(refused("norms", "attn{in=ln} ffn{}; 7: ffn{in=ln}"), Contains("7"));
  CHECK_THAT(refused("positions", "rope"), !Contains("accepted"));  // an unexpected embed.positions.weight
  CHECK_THAT(refused("norm_eps", 0), Contains("norm_eps"));
  CHECK_THAT(refused("tokenizer", "../../etc/passwd"), Contains("tokenizer"));
}

TEST_CASE("token files: what forward refuses") {
  CHECK_THROWS_WITH(batch_of(R"({"labels": [[1]]})"), Contains("input_ids"));
  CHECK_THROWS_WITH(batch_of(R"({"input_ids": [[1, 2], [3]]})"), Contains("row 1") && Contains("length"));
  CHECK_THROWS_WITH(batch_of(R"({"input_ids": [[]]})"), Contains("empty"));
  CHECK_THROWS_WITH(batch_of(R"({"input_ids": [1, 2]})"), Contains("list of rows"));
  CHECK_THROWS_WITH(batch_of(R"({"input_ids": [[1, 23]]})"), Contains("input_ids[0][1]") && Contains("22"));
  CHECK_THROWS_WITH(batch_of(R"({"input_ids": [[-1]]})"), Contains("input_ids[0][0]"));
  CHECK_THROWS_WITH(batch_of(R"({"input_ids": [[1.5]]})"), Contains("input_ids[0][0]"));
  CHECK_THROWS_WITH(batch_of(R"({"input_ids": [[1]], "labels": [[-5]]})"),
                    Contains("labels[0][0]") && Contains("-100"));
  CHECK_THROWS_WITH(batch_of(R"({"input_ids": [[1]], "labels": [[23]]})"), Contains("labels[0][0]"));
  CHECK_THROWS_WITH(batch_of(R"({"input_ids": [[1]], "labels": [[1, 2]]})"),
                    Contains("labels") && Contains("[1, 1]"));
  CHECK_THROWS_WITH(batch_of(R"({"input_ids": [[1]], "attention_mask": [[2]]})"),
                    Contains("attention_mask[0][0]"));
  CHECK_THROWS_WITH(batch_of(R"({"input_ids": [[1]], "token_type_ids": [[0]]})"), Contains("token types"));
  CHECK_THROWS_WITH(batch_of(R"({"input_ids": [[1]], "ids": [[0]]})"), Contains("ids"));
}

TEST_CASE("token files: next tokens are the labels of a causal model, except where the target is masked") {
  const TokenBatch batch =
      batch_of(R"({"input_ids": [[4, 5, 6], [7, 8, 9]], "attention_mask": [[1, 1, 1], [1, 1, 0]]})");
  CHECK(batch.scored == 3);
  CHECK(batch.labels.to_vector() == std::vector<double>{5, 6, -100, 8, -100, -100});
}

TEST_CASE("token files: a classifier's labels, one a row or at the first position") {
  ModelConfig config = gradcheck_config("pre_ln", Objective::classify);
  config.classes = 3;
  const auto batch = [&](const char* labels) {
    return token_batch(
        parse_json(R"({"input_ids": [[1, 2], [3, 4]], "labels": )" + std::string(labels) + "}", "T.json"),
        config, "T.json");
  };
  CHECK(batch("[2, 0]").labels.to_vector() == std::vector<double>{2, 0});
  CHECK(batch("[2, 0]").scored == 2);
  CHECK(batch("[[2, -100], [-100, -100]]").labels.to_vector() == std::vector<double>{2, -100});
  CHECK(batch("[[2, -100], [-100, -100]]").scored == 1);
  CHECK_THROWS_WITH(batch("[2, 3]"), Contains("labels[1]") && Contains("3"));
  CHECK_THROWS_WITH(batch("[2, -1]"), Contains("labels[1]") && Contains("-100"));
  CHECK_THROWS_WITH(batch("[2, 0.5]"), Contains("labels[1]"));
  CHECK_THROWS_WITH(batch("[2]"), Contains("expected 2 labels"));
  CHECK_THROWS_WITH(batch("3"), Contains("expected 2 labels"));
  CHECK_THROWS_WITH(batch("[[2], [0]]"), Contains("labels[0]") && Contains("has 1 labels"));
  CHECK_THROWS_WITH(batch("[[2, 0], [0, -100]]"), Contains("labels[0][1]") && Contains("first position"));
  config.classes = 1;
  const TokenBatch regression = batch("[2.5, -100]");
  CHECK(regression.labels.to_vector() == std::vector<double>{2.5, -100});
  CHECK(regression.scored == 2);
  CHECK_THROWS_WITH(batch("[2.5, null]"), Contains("labels[1]"));
}

TEST_CASE("forward: what cannot be scored or placed") {
  const ModelFolder folder(Objective::mlm);
  const auto model = load_model(folder.path, f32, nn::Gradients::allocated);
  const auto run = [&](const char* json, WithGradients gradients) {
    run_forward(*model, token_batch(parse_json(json, "T.json"), model->config(), "T.json"), gradients);
  };
  CHECK_THROWS_WITH(run(R"({"input_ids": [[1, 2]]})", WithGradients::yes), Contains("labels"));
  CHECK_THROWS_WITH(run(R"({"input_ids": [[1, 2]], "labels": [[-100, -100]]})", WithGradients::yes),
                    Contains("no position is scored"));
  CHECK_THROWS_WITH(run(R"({"input_ids": [[1, 2]], "labels": [[-100, -100]]})", WithGradients::no),
                    Contains("no position is scored"));
  CHECK_THROWS_WITH(run(R"({"input_ids": [[1, 2, 3, 4, 5, 6, 7]]})", WithGradients::no),
                    Contains("7") && Contains("6"));
  CHECK_NOTHROW(run(R"({"input_ids": [[1, 2]]})", WithGradients::no));
}
