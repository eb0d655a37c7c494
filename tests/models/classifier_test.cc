// Classifiers: heads on pretrained bodies, to and from Hugging Face's ...ForSequenceClassification, dropout in the
// head.
#include "models/classifier.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "engine/base/file.h"
#include "largest_gap.h"
#include "models/convert.h"
#include "models/forward.h"
#include "models/hf/import.h"
#include "models/init.h"
#include "shared_data.h"
#include "temporary_folder.h"

using namespace models;
using Catch::Matchers::Contains;
using engine::DType;
using engine::Json;

namespace {

ModelConfig encoder(const char* changes = "{}") {
  Json section = engine::parse_json(R"({"objective": "mlm", "vocab_size": 11, "context": 6, "layers": 2, "width": 8,
    "heads": 2, "ffn_width": 12, "activation": "gelu", "positions": "learned", "position_offset": 2,
    "token_types": 1, "norms": "attn{post=ln} ffn{post=ln} embed=ln"})",
                                    "test");
  section.update(engine::parse_json(changes, "test"));
  return model_config_from_section(section, "test");
}

std::unique_ptr<Transformer> drawn(const ModelConfig& config, uint64_t seed = 3) {
  auto model = std::make_unique<Transformer>(config, nn::Precision::of(DType::f32));
  initialise(*model, "", seed);
  return model;
}

std::vector<double> logits_of(const Transformer& model) {
  const engine::TapeScope off(nullptr);
  const Tokens tokens{.ids = Tensor::from_ids({0, 5, 7, 2, 0, 9, 2, 1}, {2, 4}),
                      .key_mask = Tensor::from({1, 1, 1, 1, 1, 1, 1, 0}, {2, 4}, DType::u8)};
  return model.logits(model.hidden(tokens, model.context())).to_vector();
}

/// The config.json of a classifier that was written for Hugging Face, changed, and read again.
std::string refusal(const Json& changes) {
  TemporaryFolder tmp;
  const auto model = make_classifier(*drawn(encoder()), {.classes = 3}, nn::Precision::of(DType::f32));
  save_model(*model, tmp / "ours");
  write_portable(read_portable(tmp / "ours", ModelFormat::normlab), tmp / "hf", ModelFormat::hf);
  Json config = engine::read_json(tmp / "hf/config.json");
  config.update(changes);
  engine::write_file(tmp / "hf/config.json", engine::json_text(config));
  try {
    read_portable(tmp / "hf", ModelFormat::hf);
  } catch (const engine::Error& e) {
    return e.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("a classifier has the body of its source and a head that its rule draws") {
  const auto source = drawn(encoder());
  const auto precision = nn::Precision::of(DType::f32);
  const auto model = make_classifier(*source, {.classes = 3, .names = {"a", "b", "c"}, .seed = 5}, precision);
  CHECK(model->config().objective == Objective::classify);
  CHECK(model->config().class_names == std::vector<std::string>{"a", "b", "c"});
  CHECK(model->parameters().find("mlm.dense.weight") == nullptr);
  for (const Parameter* p : model->parameters().all())
    if (!p->name.starts_with("classify.")) {
      INFO(p->name);
      CHECK(p->value.to_vector() == source->parameters()[p->name].value.to_vector());
    }
  for (const char* name : {"classify.dense.weight", "classify.dense.bias", "classify.out.weight", "classify.out.bias"}) {
    INFO(name);
    double most = 0;
    for (const double x : model->parameters()[name].value.to_vector()) most = larger(most, x);
    CHECK(most <= 1 / std::sqrt(8.0));
    CHECK(most > 0.1);
  }
  const auto normal = make_classifier(*source, {.classes = 3, .init = HeadInit::normal, .seed = 5}, precision);
  for (const double x : normal->parameters()["classify.out.bias"].value.to_vector()) CHECK(x == 0);
  for (const double x : normal->parameters()["classify.dense.weight"].value.to_vector()) CHECK(std::fabs(x) < 0.1);
  const auto other = make_classifier(*source, {.classes = 3, .seed = 6}, precision);
  CHECK(logits_of(*other) != logits_of(*model));
  CHECK(logits_of(*make_classifier(*source, {.classes = 3, .seed = 5}, precision)) == logits_of(*model));

  const auto kept = make_classifier(*model, {.classes = 3, .init = HeadInit::kept}, precision);
  CHECK(logits_of(*kept) == logits_of(*model));
  CHECK_THROWS_WITH(make_classifier(*model, {.classes = 2, .init = HeadInit::kept}, precision),
                    Contains("3 outputs, 2 are needed"));
  CHECK_THROWS_WITH(make_classifier(*source, {.classes = 3, .init = HeadInit::kept}, precision),
                    Contains("no classification head"));
  const auto causal = drawn(encoder(R"({"objective": "clm"})"));
  CHECK_THROWS_WITH(make_classifier(*causal, {}, precision), Contains("causal"));
}

TEST_CASE("names of classes are part of a model, and checked") {
  const auto with = [](const char* changes) { return encoder(changes); };
  const ModelConfig c =
      with(R"({"objective": "classify", "classes": 2, "class_names": ["no", "yes"]})");
  CHECK(to_json(c)["class_names"] == Json({"no", "yes"}));
  CHECK(model_config_from_json(to_json(c), "test") == c);
  CHECK_THROWS_WITH(with(R"({"objective": "classify", "classes": 3, "class_names": ["no", "yes"]})"),
                    Contains("2 class_names for 3 classes"));
  CHECK_THROWS_WITH(with(R"({"objective": "classify", "classes": 2, "class_names": ["no", "no"]})"),
                    Contains("different texts"));
  CHECK_THROWS_WITH(with(R"({"class_names": ["no", "yes"]})"), Contains("class_names"));
  CHECK_THROWS_WITH(with(R"({"objective": "classify", "classes": 2, "class_names": "no"})"),
                    Contains("expected a list"));
}

TEST_CASE("classifiers go to Hugging Face's classes and back, with their names of classes") {
  struct Example {
    const char *changes, *type, *class_name, *dense;
    int64_t classes;
    std::vector<std::string> names;
  };
  const char* const pre = R"({"norms": "attn{in=ln} ffn{in=ln} embed=ln final=ln"})";
  const Example examples[] = {
      {"{}", "roberta", "RobertaForSequenceClassification", "classifier.dense.weight", 3, {"a", "b", "c"}},
      {"{}", "roberta", "RobertaForSequenceClassification", "classifier.dense.weight", 1, {}},
      {R"({"token_types": 0})", "roberta", "RobertaForSequenceClassification", "classifier.dense.weight", 2, {}},
      {R"({"position_offset": 0, "token_types": 2, "activation": "relu"})", "bert", "BertForSequenceClassification",
       "bert.pooler.dense.weight", 2, {"x", "y"}},
      {pre, "roberta-prelayernorm", "RobertaPreLayerNormForSequenceClassification", "classifier.dense.weight", 2, {}},
  };
  for (const Example& e : examples) {
    INFO(e.type << " " << e.classes);
    TemporaryFolder tmp;
    const auto model = make_classifier(*drawn(encoder(e.changes)), {.classes = e.classes, .names = e.names},
                                       nn::Precision::of(DType::f32));
    save_model(*model, tmp / "ours");
    write_portable(read_portable(tmp / "ours", ModelFormat::normlab), tmp / "hf", ModelFormat::hf);
    const Json config = engine::read_json(tmp / "hf/config.json");
    CHECK(config["model_type"] == e.type);
    CHECK(config["architectures"] == Json({e.class_name}));
    CHECK(config["id2label"].size() == size_t(e.classes));
    CHECK(config["id2label"]["0"] == (e.names.empty() ? "LABEL_0" : e.names[0]));
    CHECK(config["label2id"][e.names.empty() ? "LABEL_0" : e.names[0]] == 0);
    CHECK(engine::Safetensors(tmp / "hf").find(e.dense) != nullptr);
    const auto back = load_any(tmp / "hf", nn::Precision::of(DType::f32)).model;
    CHECK(back->config().class_names == e.names);
    CHECK(logits_of(*back) == logits_of(*model));
    // And from there to ours again: the same file of weights, but for a token type that it had to get.
    write_portable(read_portable(tmp / "hf", ModelFormat::hf), tmp / "again", ModelFormat::normlab);
    CHECK(logits_of(*load_any(tmp / "again", nn::Precision::of(DType::f32)).model) == logits_of(*model));
  }
}

TEST_CASE("heads that cannot be said are refused with a clear word") {
  CHECK(refusal(Json::object()) == "accepted");
  CHECK(refusal({{"problem_type", "single_label_classification"}}) == "accepted");
  CHECK_THAT(refusal({{"problem_type", "multi_label_classification"}}), Contains("multi_label_classification"));
  CHECK_THAT(refusal({{"problem_type", "regression"}}), Contains("3 outputs"));
  CHECK_THAT(refusal({{"id2label", {{"0", "a"}, {"1", "b"}}}}),
             Contains("must be [2, 8], the file has [3, 8]"));  // another number of classes than the weights
  CHECK_THAT(refusal({{"id2label", {{"0", "a"}, {"1", "b"}, {"3", "c"}}}}), Contains("no name for class 2"));
  CHECK_THAT(refusal({{"num_labels", 2}}), Contains("has 3 names, num_labels is 2"));
  for (const char* other : {"RobertaForTokenClassification", "RobertaForQuestionAnswering", "RobertaForMultipleChoice"})
    CHECK_THAT(refusal({{"architectures", {other}}}),
               Contains(other) && Contains("RobertaForMaskedLM or RobertaForSequenceClassification"));
  CHECK_THAT(refusal({{"architectures", {"RobertaForMaskedLM"}}}), Contains("\"classifier.dense.weight\"") && Contains("in a RobertaForMaskedLM"));
  CHECK_THROWS_WITH(read_hf_config(engine::parse_json(R"({"model_type": "gpt2", "architectures":
      ["GPT2ForSequenceClassification"], "vocab_size": 11, "n_positions": 6, "n_layer": 2, "n_embd": 8,
      "n_head": 2})",
                                                      "test"),
                                   "config.json"),
                    Contains("GPT2ForSequenceClassification cannot be said here") && Contains("GPT2LMHeadModel"));
}

TEST_CASE("Hugging Face's tiny classifiers are the same models as their copies in our format") {
  const std::string root = shared_path("reference/glue");
  if (root.empty()) return;
  for (const char* name : {"/roberta-tiny", "/roberta-tiny-regression"}) {
    const auto theirs = load_any(root + name, nn::Precision::of(DType::f64)).model;
    const auto ours = load_any(root + name + "-normlab", nn::Precision::of(DType::f64)).model;
    CHECK(theirs->config().classes == ours->config().classes);
    for (const Parameter* p : ours->parameters().all()) {
      INFO(p->name);
      CHECK(theirs->parameters()[p->name].value.to_vector() == p->value.to_vector());
    }
  }
}

TEST_CASE("dropout in a head: off by default, seeded, and right in its mean") {
  for (const bool adaptive : {false, true}) {
    INFO(adaptive);
    const ModelConfig config =
        adaptive ? encoder(R"({"objective": "clm", "adaptive": {"cutoffs": [4], "factor": 2}})")
                 : encoder(R"({"objective": "classify", "classes": 3})");
    Transformer model(config, nn::Precision::of(DType::f64));
    initialise(model, "", 1);
    // Far from the linear range a mean of losses is no loss of the mean.
    const Tensor ids = Tensor::from_ids({0, 5, 7, 2}, {1, 4});
    const Tensor labels = adaptive ? Tensor::from_ids({5, 7, 2, 8}, {1, 4}) : Tensor::from_ids({1}, {1});
    const Tensor hidden = model.hidden({.ids = ids}, model.context());
    const double plain = model.loss(hidden, labels).item();
    engine::Rng one{7}, two{7};
    const double dropped = model.loss(hidden, labels, {.dropout = 0.3, .rng = &one}).item();
    CHECK(dropped != plain);
    CHECK(model.loss(hidden, labels, {.dropout = 0.3, .rng = &two}).item() == dropped);
    CHECK(one.offset == two.offset);
    double sum = 0;
    for (int i = 0; i < 400; ++i) sum += model.loss(hidden, labels, {.dropout = 0.3, .rng = &one}).item();
    CHECK(sum / 400 == Approx(plain).margin(0.02));
  }
}
