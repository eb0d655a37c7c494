// The training config: defaults, overrides, errors that name the key, and config_json as the inverse of
// parse_config.
#include <catch2/catch.hpp>
#include <limits>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "train/config.h"

using namespace train;
using Catch::Matchers::Contains;
using engine::Json;
using engine::parse_json;

namespace {
TrainConfig parse(const std::string& text) { return parse_config(parse_json(text, "c.json"), "c.json"); }
}  // namespace

TEST_CASE("config: every key of the format's example is read") {
  const TrainConfig c = parse(R"({
    "model": {"preset": "gpt-125m", "norms": "normformer", "width": 64},
    "data": {"tokenizer": "tok", "train": "shards/train", "valid": "shards/valid", "sampler": "mlm",
             "context": 128, "batch": 4, "accumulate": 2},
    "optim": {"name": "nag", "lr": 0.5, "betas": [0.9, 0.98], "eps": 1e-6, "weight_decay": 0.01,
              "decay": "no_norm_no_embedding", "clip": 0},
    "schedule": {"name": "wsd", "warmup": 100, "min_lr": 1e-5},
    "precision": "f16", "loss_scale": {"init": 4, "window": 1024, "floor": 1, "memory_efficient": true},
    "dropout": {"residual": 0.1, "attention": 0.2, "activation": 0.3}, "init": "fairseq",
    "budget": {"seconds": 300}, "eval": {"every": 50}, "checkpoint": {"every": 100, "keep": 3},
    "log": {"every": 5, "layers": 20}, "seed": 7, "device": "cuda-host"})");
  CHECK(c.model["norms"] == "normformer");
  CHECK(c.data.sampler == Sampler::mlm);
  CHECK(c.data.accumulate == 2);
  CHECK(c.optim.name == OptimizerKind::nag);
  CHECK(c.optim.betas[1] == 0.98);
  CHECK(c.optim.decay == DecayGroup::no_norm_no_embedding);
  CHECK(c.schedule.name == ScheduleKind::wsd);
  CHECK(c.precision == PrecisionKind::f16);
  CHECK(c.loss_scale.floor == 1);
  CHECK(c.loss_scale.memory_efficient);
  CHECK(c.dropout.activation == 0.3);
  CHECK(c.budget.seconds == 300);
  CHECK(c.seed == 7);
  CHECK(c.device == engine::Device::cuda_host);
}

TEST_CASE("config: what is written reads back the same, and holds every key") {
  TrainConfig c = parse(R"({"model": {"norms": "pre_ln"}, "optim": {"lr": 0.0003, "betas": [0.9, 0.999]},
                            "data": {"train": "a\"b"}, "precision": "bf16"})");
  const Json json = config_json(c);
  CHECK(config_json(parse_config(json, "again")) == json);
  CHECK(json["optim"]["lr"] == 0.0003);
  for (const Field& field : config_fields(c)) {
    INFO(field.path);
    std::string path = "/" + field.path;
    for (char& ch : path) ch = ch == '.' ? '/' : ch;
    CHECK(json.contains(Json::json_pointer(path)));
    CHECK_FALSE(field.doc.empty());
  }
}

TEST_CASE("config: unknown keys name the nearest valid one by its full path") {
  CHECK_THROWS_WITH(parse(R"({"optim": {"lrr": 1}})"),
                    "c.json: unknown key \"optim.lrr\" (nearest valid key: \"optim.lr\")");
  CHECK_THROWS_WITH(parse(R"({"sead": 1})"), Contains("nearest valid key: \"seed\""));
  CHECK_THROWS_WITH(parse(R"({"optim": {"beta": {"x": 1}}})"), Contains("optim.beta"));
  CHECK_THROWS_WITH(parse(R"({"optim": 5})"), Contains("c.json: optim: expected an object of name lr betas"));
  CHECK_THROWS_WITH(parse("[1]"), Contains("expected an object"));
}

TEST_CASE("config: other trainers' names, and our own in another section, lead to the key that is meant") {
  for (const auto& [name, key] :
       std::vector<std::pair<std::string, std::string>>{{"optim.learning_rate", "optim.lr"},
                                                        {"lr", "optim.lr"},
                                                        {"optim.warmup", "schedule.warmup"},
                                                        {"warmup_updates", "schedule.warmup"},
                                                        {"data.update_freq", "data.accumulate"},
                                                        {"max_tokens", "budget.tokens"},
                                                        {"num_train_epochs", "budget.epochs"},
                                                        {"optim.grad_clip", "optim.clip"},
                                                        {"training.batch_size", "data.batch"},
                                                        {"fp16", "precision"}}) {
    INFO(name);
    CHECK_THROWS_WITH(load_config("", {name + "=1"}), Contains("unknown key \"" + name + "\"") &&
                                                          Contains("nearest valid key: \"" + key + "\""));
  }
}

TEST_CASE("config: wrong types, values and ranges are named") {
  CHECK_THROWS_WITH(parse(R"({"optim": {"lr": "fast"}})"), Contains("c.json: optim.lr: expected a number"));
  CHECK_THROWS_WITH(parse(R"({"optim": {"lr": -1}})"), Contains("optim.lr: -1.0 is outside [0.0"));
  CHECK_THROWS_WITH(parse(R"({"optim": {"lr": 1e999}})"), Contains("c.json"));
  CHECK_THROWS_WITH(parse(R"({"data": {"batch": 0}})"), Contains("data.batch: 0 is outside [1"));
  CHECK_THROWS_WITH(parse(R"({"data": {"batch": 1.5}})"), Contains("expected an integer"));
  CHECK_THROWS_WITH(parse(R"({"optim": {"betas": [0.9]}})"), Contains("expected two numbers"));
  CHECK_THROWS_WITH(parse(R"({"optim": {"betas": [0.9, 1.0]}})"), Contains("outside"));
  CHECK_THROWS_WITH(parse(R"({"precision": "fp16"})"),
                    "c.json: precision: \"fp16\" is not f32, bf16 or f16 (nearest: f16)");
  CHECK_THROWS_WITH(parse(R"({"log": {"tensorboard": 1}})"), Contains("expected true or false"));
  CHECK_THROWS_WITH(parse(R"({"model": "gpt"})"), Contains("model: expected an object"));
}

TEST_CASE("config: rules between keys") {
  CHECK_THROWS_WITH(parse(R"({"schedule": {"min_lr": 1}})"),
                    Contains("schedule.min_lr 1 is above optim.lr 0.001"));
  CHECK_THROWS_WITH(parse(R"({"schedule": {"name": "inverse_sqrt"}})"), Contains("needs schedule.warmup"));
  CHECK_THROWS_WITH(parse(R"({"data": {"mask_keep": 0.6, "mask_random": 0.6}})"), Contains("above 1"));
  CHECK_THROWS_WITH(parse(R"({"loss_scale": {"memory_efficient": true}})"), Contains("needs precision f16"));
  CHECK_THROWS_WITH(parse(R"({"loss_scale": {"factor": 1}})"), Contains("above 1"));
  CHECK_THROWS_WITH(parse(R"({"loss_scale": {"init": 1e-4}})"),
                    Contains("loss_scale.init 0.0001 is not above loss_scale.min 0.0001"));
  CHECK_THROWS_WITH(parse(R"({"loss_scale": {"floor": 1e6}})"),
                    Contains("loss_scale.init 128.0 is below loss_scale.floor 1000000.0"));
  CHECK_THROWS_WITH(parse(R"({"schedule": {"name": "polynomial", "power": 0}})"),
                    Contains("schedule.power 0 would never lower the rate; schedule.name constant"));
  CHECK(parse(R"({"schedule": {"name": "cosine", "power": 0}})").schedule.power == 0);
  CHECK_THROWS_WITH(parse(R"({"eval": {"patience": 2}, "data": {"valid": "v"}})"),
                    Contains("set eval.every"));
  CHECK_THROWS_WITH(parse(R"({"eval": {"every": 5}})"), Contains("set data.valid"));
}

TEST_CASE("config: overrides") {
  const TrainConfig c =
      load_config("", {"optim.lr=3e-4", "optim.lr=2e-4", "schedule.name=linear", "data.train=123",
                       "data.valid=\"quoted\"", "model.norms=pre_ln", "model.width=64",
                       "model.bias.qkv=false", "optim.betas=[0.8,0.9]", "log.tensorboard=false"});
  CHECK(c.optim.lr == 2e-4);
  CHECK(c.schedule.name == ScheduleKind::linear);
  CHECK(c.data.train == "123");
  CHECK(c.data.valid == "quoted");
  CHECK(c.model.dump() == R"({"norms":"pre_ln","width":64,"bias":{"qkv":false}})");
  CHECK(c.optim.betas[0] == 0.8);
  CHECK_FALSE(c.log.tensorboard);

  CHECK_THROWS_WITH(load_config("", {"optim.lrr=1"}),
                    "--set optim.lrr=1: unknown key \"optim.lrr\" (nearest valid key: \"optim.lr\")");
  CHECK_THROWS_WITH(load_config("", {"optim.lr"}), Contains("expected KEY=VALUE"));
  CHECK_THROWS_WITH(load_config("", {"optim.lr=fast"}), Contains("\"fast\" is not a JSON value"));
  CHECK_THROWS_WITH(load_config("", {"optim=3"}),
                    Contains("\"optim\" is a section; set its keys, such as optim.name"));
  CHECK_THROWS_WITH(load_config("", {"model.bias=true", "model.bias.b=2"}), Contains("\"model.bias.\" is not an object"));
  CHECK_THROWS_WITH(load_config("", {"model..b=2"}), Contains("is not an object"));
  CHECK_THROWS_WITH(load_config("", {"precision=f8"}), Contains("--set precision=f8: \"f8\""));
  CHECK_THROWS_WITH(load_config("/nonexistent.json", {}), Contains("/nonexistent.json"));
}

TEST_CASE("config: how numbers may be written") {
  for (const auto& [key, text, value] : std::vector<std::tuple<std::string, std::string, int64_t>>{
           {"model.vocab_size", "50k", 50'000},
           {"model.ffn_width", "1.5k", 1500},
           {"model.vocab_size", "2M", 2'000'000},
           {"model.head_dim", "1e2", 100},
           {"model.rope_theta", "10k", 10'000},
           {"model.rope_scaling.original_context", "8k", 8000},
           {"data.batch", "1e3", 1000},
           {"data.batch", "5.0", 5},
           {"seed", "-0", 0}}) {
    INFO(key << "=" << text);
    Json json = Json::object();
    apply_override(json, key + "=" + text);
    const Json found = json.flatten().begin().value();
    REQUIRE(found.is_number());
    CHECK(found.get<double>() == double(value));
  }
  Json json = Json::object();
  apply_override(json, "model.tokenizer=5k");
  CHECK(json["model"]["tokenizer"] == "5k");  // text stays text
  const auto refused = [](const std::string& text, const std::string& why) {
    INFO(text);
    CHECK_THROWS_WITH(load_config("", {text}), "--set " + text + ": " + why);
  };
  for (const std::string key : {"model.vocab_size", "model.norm_eps", "data.batch", "optim.lr"})
    for (const std::string value :
         {"0x10", "1_000", "1,000", "1e400", "nan", "-inf", "5e", "k", "1kk", "1e3k", ""})
      refused(key + "=" + value, "\"" + value + "\" is not a JSON value, such as 0.1, 20 or 10k");
  refused("model.vocab_size=5.5", "expected an integer, got 5.5");
  refused("model.vocab_size=1e19", "expected an integer in [1, 67108864], got 1e+19");
  refused("model.vocab_size=-1k", "-1000 is outside [1, 67108864]");
  refused("budget.steps=1e18", "expected an integer in [0, 1000000000000000], got 1e+18");
  refused("seed=18446744073709551615", "18446744073709551615 is out of range");
}

TEST_CASE("config: overrides are nested as little as files are") {
  const std::string deep = std::string(60000, '[') + std::string(60000, ']');
  for (const char* key : {"optim.lr", "optim.betas", "data.train", "model.norms", "model.a.b"})
    CHECK_THROWS_WITH(load_config("", {std::string(key) + "=" + deep}),
                      Contains(key) && Contains("nested deeper than 64 levels"));
  std::string path = "model";
  for (int i = 0; i < 60000; ++i) path += ".a";
  CHECK_THROWS_WITH(load_config("", {path + "=1"}), Contains("nested deeper than 64 levels"));
  CHECK_THROWS_WITH(load_config("", {"model.a={\"b\":1,\"b\":2}"}), Contains("key \"b\" appears twice"));
}

TEST_CASE("config: an override repairs a file before it is checked") {
  const std::string path = std::string(BINARY_DIR) + "/config_test.json";
  engine::write_file(path, R"({"schedule": {"min_lr": 0.01}})");
  CHECK_THROWS_WITH(load_config(path, {}), Contains(path));
  CHECK(load_config(path, {"optim.lr=0.1"}).schedule.min_lr == 0.01);
}

TEST_CASE("config: the help page lists every key with its default") {
  TrainConfig c;
  const std::string page = config_help();
  for (const Field& field : config_fields(c)) CHECK_THAT(page, Contains("  " + field.path + " ") || Contains("  " + field.path + "\n"));
  CHECK_THAT(page,
             Contains("(default: 0.001)") && Contains("[f32, bf16 or f16]") && Contains("(default: cosine)"));
}
