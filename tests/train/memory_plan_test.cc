// The memory plan against what trainings of many kinds take at their peak: within a tenth.
#include "data/shard_set.h"
#include "data/tokenizer.h"
#include "engine/base/file.h"
#include "engine/core/allocator.h"
#include "models/config.h"
#include "train/memory_check.h"
#include "training_support.h"

using namespace train;

namespace {

struct Kind {
  const char* name;
  Json model, keys;
};

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> table = {
      {"large vocabulary", {{"vocab_size", 50000}, {"width", 128}, {"layers", 1}}, {{"data.batch", 8}}},
      {"wide", {{"ffn_width", 8192}, {"layers", 2}}, {{"data.batch", 8}}},
      {"deep and narrow", {{"layers", 16}, {"width", 64}, {"ffn_width", 256}}, {{"data.batch", 12}}},
      {"experts", {{"experts", 8}, {"experts_per_token", 2}, {"ffn_width", 1024}}, {{"data.batch", 12}}},
      {"activation checkpointing",
       {{"layers", 8}, {"ffn_width", 1024}},
       {{"activation_checkpointing", true}, {"data.batch", 24}}},
      {"bf16", {{"layers", 4}}, {{"precision", "bf16"}, {"data.batch", 24}}},
      {"f16 without masters",
       {{"layers", 4}},
       {{"precision", "f16"}, {"loss_scale.memory_efficient", true}, {"data.batch", 24}}},
      {"masked LM",
       {{"objective", "mlm"}, {"vocab_size", 30000}},
       {{"data.sampler", "mlm"}, {"data.batch", 12}}},
      {"average of the weights",
       {{"width", 384}, {"ffn_width", 1536}},
       {{"ema.decay", 0.9}, {"data.batch", 8}}},
      {"long context", {{"context", 1024}}, {{"data.batch", 2}}},
      {"gated, rotary, dropout",
       {{"activation", "swiglu"}, {"positions", "rope"}, {"norms", "pre_rms"}},
       {{"dropout.residual", 0.1}, {"dropout.attention", 0.1}, {"data.batch", 12}}},
      {"sizes that are no powers of two",
       {{"width", 144}, {"heads", 3}, {"ffn_width", 600}, {"context", 100}, {"norms", "post_ln"}},
       {{"data.batch", 19}}},
      {"no moments", {{"layers", 4}}, {{"optim.name", "sgd"}, {"optim.momentum", 0}, {"data.batch", 8}}},
      {"dropout everywhere",
       {{"layers", 4}},
       {{"dropout.residual", 0.1},
        {"dropout.attention", 0.1},
        {"dropout.activation", 0.1},
        {"data.batch", 8}}},
      {"nGPT", {{"layers", 6}, {"activation", "swiglu"}, {"norms", "ngpt"}}, {{"data.batch", 12}}},
      {"nGPT in bf16, recomputed",
       {{"layers", 4}, {"activation", "swiglu"}, {"positions", "rope"}, {"norms", "ngpt"}},
       {{"precision", "bf16"}, {"activation_checkpointing", true}, {"data.batch", 24}}},
      {"rotary and deep, a narrow feed-forward",
       {{"layers", 16}, {"ffn_width", 64}, {"positions", "rope"}},
       {{"data.batch", 8}}},
      {"experts of a narrow feed-forward",
       {{"layers", 12}, {"experts", 2}, {"experts_per_token", 1}, {"ffn_width", 64}},
       {{"data.batch", 8}}},
      {"one moment, accumulated",
       {{"vocab_size", 8000}},
       {{"optim.name", "nag"}, {"data.accumulate", 2}, {"data.batch", 8}}},
  };
  return table;
}

struct Measured {
  double plan, peak;
};

/// Shards of a tokenizer that has what masking needs.
void use_tokenizer(Job& job) {
  const auto tokenizer = data::train_tokenizer(
      {}, {.kind = data::TokenizerKind::byte, .special = {"<s>", "<pad>", "</s>", "<mask>"}});
  engine::make_directories(job.folder / "tokenizer");
  engine::write_file(job.folder / "tokenizer/tokenizer.json", tokenizer->to_json());
  const std::vector<int32_t> ids = learnable_tokens(6000, 16, 1);
  data::ShardWriter writer(job.folder / "masked.bin", int64_t(tokenizer->vocab_size()), 0,
                           data::hash_bytes(tokenizer->hash()));
  writer.add(ids, {uint32_t(ids.size())});
  writer.commit();
  job.set("data.tokenizer", job.folder / "tokenizer")
      .set("data.train", job.folder / "masked.bin")
      .set("data.valid", "");
}

Measured measure(const Kind& kind) {
  Job job;
  if (kind.model.value("objective", "") == "mlm") use_tokenizer(job);
  job.config["model"] = {{"objective", "clm"}, {"vocab_size", 512},    {"context", 128},
                         {"layers", 3},        {"width", 128},         {"heads", 4},
                         {"ffn_width", 512},   {"activation", "gelu"}, {"positions", "learned"},
                         {"norms", "pre_ln"}};
  job.config["model"].update(kind.model);
  job.set("budget.steps", 2).set("eval.every", 0).set("checkpoint.every", 0).set("checkpoint.keep_best", 0);
  for (const auto& [key, value] : kind.keys.items()) job.set(key, value);
  const TrainConfig config = parse_config(job.config, "test");
  const models::ModelConfig model = models::model_config_from_section(config.model, "model");
  RunDir dir(job.run("run"), RunStart::fresh);
  engine::trim_memory(engine::Device::cpu);
  engine::reset_peak_memory(engine::Device::cpu);
  const int64_t before = engine::memory_statistics(engine::Device::cpu).in_use;
  Trainer(config, model, dir).run();
  const double peak = double(engine::memory_statistics(engine::Device::cpu).peak - before);
  return {planned_memory(config, model, model.context), peak};
}

}  // namespace

TEST_CASE("the memory plan is within a tenth of the peak", "[medium]") {
  for (const Kind& kind : kinds()) {
    INFO(kind.name);
    const Measured m = measure(kind);
    INFO("plan " << m.plan / (1 << 20) << " MiB, peak " << m.peak / (1 << 20) << " MiB");
    CHECK(m.plan / m.peak > 0.9);
    CHECK(m.plan / m.peak < 1.1);
  }
}
