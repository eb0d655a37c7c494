// Several ranks, as threads: with parallel.sum=tree their losses, norms and files are those of one rank.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <mutex>

#include "data/shard_set.h"
#include "data/train_tokenizer.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "models/init.h"
#include "ranks_job.h"
#include "train/shards.h"

using namespace train;
using Catch::Matchers::Contains;

namespace {

/// A masked model, with rows of very different lengths.
void mask(RanksJob& job) {
  const auto tokenizer = data::train_tokenizer(
      {}, {.kind = data::TokenizerKind::byte, .special = {"<s>", "<pad>", "</s>", "<mask>"}});
  engine::make_directories(job.folder / "tokenizer");
  engine::write_file(job.folder / "tokenizer/tokenizer.json", tokenizer->to_json());
  data::ShardWriter writer(job.folder / "masked.bin", int64_t(tokenizer->vocab_size()), 0,
                           data::hash_bytes(tokenizer->hash()));
  const std::vector<int32_t> ids = learnable_tokens(6000, 16, 1);
  std::vector<uint32_t> lengths;
  for (uint32_t left = 6000, n = 1; left > 0; left -= n, n = std::min<uint32_t>(left, n * 7 % 31 + 1))
    lengths.push_back(n);
  writer.add(ids, lengths);
  writer.commit();
  job.set("data.tokenizer", job.folder / "tokenizer").set("data.sampler", "mlm");
  for (const char* part : {"data.train", "data.valid"}) job.set(part, job.folder / "masked.bin");
  job.set("model.objective", "mlm").set("model.vocab_size", int64_t(tokenizer->vocab_size()));
}

}  // namespace

TEST_CASE("ranks: buckets cover the arena once, in one order, and shards are those of every bucket") {
  const int64_t block = 16384, elements = 37 * block + 100, matrices = 20 * block + 7, embeddings = 30 * block + 9;
  for (int ranks = 1; ranks <= 8; ++ranks) {
    const std::vector<Bucket> buckets = plan_buckets(elements, matrices, embeddings, ranks, 4 * block);
    std::vector<int> covered(38, 0);
    for (const Bucket& b : buckets) {
      CHECK(b.begin % block == 0);
      CHECK(b.bounds.size() == size_t(ranks) + 1);
      CHECK(b.bounds.front() == 0);
      CHECK(b.bounds.back() == b.end - b.begin);
      CHECK(std::is_sorted(b.bounds.begin(), b.bounds.end()));
      for (int64_t e = b.begin; e < b.end; e += block) ++covered[size_t(e / block)];
    }
    CHECK(std::count(covered.begin(), covered.end(), 1) == 38);
    CHECK(buckets.front().end == 20 * block);         // the last matrices first
    CHECK(buckets.back().end == 31 * block);          // embeddings last
    int64_t held = 0;
    for (int r = 0; r < ranks; ++r) {
      int64_t at = 0;
      for (const nn::Piece& p : pieces_of(buckets, r)) {
        CHECK(p.at == at);
        at += p.end - p.begin;
      }
      held += at;
    }
    CHECK(held == elements);
  }
}

TEST_CASE("ranks: tree: 1, 2, 4 and 8 ranks have the same losses, norms and files", "[medium]") {
  RanksJob job;
  const std::string kind = GENERATE("f32", "bf16", "f16", "memory-efficient f16", "moe", "zero 1 f32", "zero 1 bf16",
                                    "zero 1 f16", "ema, zero 1", "nag, no clip", "untied", "zero 1 untied",
                                    "zero 1 ngpt bf16", "ngpt f16");
  if (kind.ends_with("bf16") || kind.ends_with("untied") || kind == "ema, zero 1") job.set("precision", "bf16");
  if (kind.ends_with(" f16") || kind == "f16") job.set("precision", "f16");
  if (kind == "memory-efficient f16") job.set("loss_scale.memory_efficient", true).set("optim.eps", 1e-4);
  if (kind == "moe")  // without a norm in the middle of a feed-forward layer
    job.set("model.norms", "pre_ln").set("model.experts", 4).set("model.experts_per_token", 2).set("precision", "bf16").set("dropout.activation", 0);
  if (kind.starts_with("ema")) job.set("ema.decay", 0.7);
  if (kind.starts_with("nag")) job.set("optim.name", "nag").set("optim.clip", 0);
  if (kind.ends_with("untied")) job.set("model.tied", false);
  if (kind.find("ngpt") != std::string::npos)
    job.set("model.norms", "ngpt").set("model.activation", "swiglu").set("model.positions", "rope").set("ema.decay", 0.7);
  job.train_on(1, "one");
  if (kind.find("zero 1") != std::string::npos) job.set("parallel.zero", 1).set("log.layers", 2);
  for (int ranks : {2, 4, 8}) {
    const std::string name = std::to_string(ranks);
    job.train_on(ranks, name);
    INFO(kind);
    job.check_equal("one", name);
  }
}

TEST_CASE("ranks: a masked model whose ranks score different numbers of positions") {
  RanksJob job;
  mask(job);
  job.set("precision", GENERATE("f16", "bf16")).set("data.mask_probability", 0.1);
  job.train_on(1, "one");
  for (int ranks : {2, 8}) {
    job.train_on(ranks, std::to_string(ranks));
    job.check_equal("one", std::to_string(ranks));
  }
}

TEST_CASE("ranks: resumed on any other number, with and without ZeRO, over an epoch's end") {
  RanksJob job;
  job.set("precision", "bf16").set("budget.steps", 9).set("schedule.steps", 9).set("eval.every", 3);
  write_shard(job.folder / "train.bin", learnable_tokens(600, 16, 1), 16);  // 37 rows an epoch: 8 a step
  job.train_on(1, "whole");
  const std::vector<std::pair<int, int>> legs = {{4, 1}, {2, 0}, {8, 1}, {1, 0}};
  int64_t steps = 0;
  for (const auto& [ranks, zero] : legs) {
    steps = std::min<int64_t>(9, steps + 3);
    job.set("budget.steps", steps).set("parallel.zero", zero);
    job.train_on(ranks, "legs", steps == 3 ? RunStart::fresh : RunStart::resume);
  }
  job.check_equal("whole", "legs");
}

TEST_CASE("ranks: 3 ranks, odd sizes: equal weights on all, and close to one rank") {
  RanksJob job;
  job.set("data.accumulate", 6).set("model.width", 48).set("model.ffn_width", 90).set("model.heads", 3);
  job.set("parallel.zero", GENERATE(0, 1));
  job.train_on(1, "one");
  job.train_on(3, "three");
  const auto one = job.result("one"), three = job.result("three");
  REQUIRE(one.losses.size() == three.losses.size());
  for (size_t i = 0; i < one.losses.size(); ++i) CHECK(three.losses[i] == Approx(one.losses[i]).epsilon(1e-6));
}

TEST_CASE("ranks: a model smaller than one bucket, and fewer rows than ranks take at once") {
  RanksJob job;
  job.set("model.width", 16).set("model.ffn_width", 32).set("parallel.bucket_mib", 32).set("data.batch", 2);
  write_shard(job.folder / "train.bin", learnable_tokens(90, 16, 1), 16);  // 5 rows
  job.set("parallel.zero", 1);
  job.train_on(1, "one");
  for (int ranks : {2, 4}) {
    job.train_on(ranks, std::to_string(ranks));
    job.check_equal("one", std::to_string(ranks));
  }
}

TEST_CASE("ranks: fast: losses of one rank but for the last digits") {
  RanksJob job;
  job.set("parallel.sum", "fast");
  job.train_on(1, "one");
  job.train_on(4, "four");
  const auto one = job.result("one"), four = job.result("four");
  REQUIRE(one.losses.size() == four.losses.size());
  for (size_t i = 0; i < one.losses.size(); ++i) CHECK(four.losses[i] == Approx(one.losses[i]).epsilon(1e-6));
}

TEST_CASE("ranks: validation of 7 batches, limit 5, the last one short, and early stop") {
  RanksJob job;
  job.set("eval.every", 1).set("eval.batches", 5).set("data.batch", 4).set("data.accumulate", 4).set("eval.patience", 1);
  job.set("optim.lr", 0.3).set("budget.steps", 20).set("checkpoint.keep", 30);
  write_shard(job.folder / "valid.bin", learnable_tokens(16 * 27 + 1, 16, 2), 16);
  const RunEnd end = job.train_on(1, "one");
  CHECK(end == RunEnd::stopped_early);
  for (int ranks : {2, 4}) {
    CHECK(job.train_on(ranks, std::to_string(ranks)) == end);
    job.check_equal("one", std::to_string(ranks));
  }
}

TEST_CASE("ranks: validation has the same bits on 1 to 4 ranks, also where they divide nothing") {
  RanksJob job;
  job.set("data.batch", 4);
  write_shard(job.folder / "valid.bin", learnable_tokens(16 * 27 + 1, 16, 2), 16);  // 7 batches, the last one short
  const TrainConfig config = parse_config(job.config, "test");
  const models::ModelConfig model_config = models::model_config_from_section(config.model, "model");
  const int64_t limit = GENERATE(0, 5);
  std::vector<Evaluation> seen;
  for (int ranks = 1; ranks <= 4; ++ranks) {
    std::vector<Evaluation> of_ranks{size_t(ranks)};
    engine::run_rank_threads(ranks, [&](engine::Communicator& c) {
      models::Transformer model(model_config, nn::Precision::of(engine::DType::f32));
      models::initialise(model, "", 1);
      const RunData data = open_run_data(config, model_config, c.rank(), ranks);
      of_ranks[size_t(c.rank())] = evaluate(model, *data.validation, limit, data.vocabulary, c);
    });
    seen.insert(seen.end(), of_ranks.begin(), of_ranks.end());
  }
  for (const Evaluation& e : seen) {
    CHECK(e.loss == seen[0].loss);
    CHECK(e.scored == (limit ? 5 * 4 * 16 : 16 * 27));
  }
}

TEST_CASE("ranks: early stop of 3 ranks, at one update") {
  RanksJob job;
  job.set("eval.every", 1).set("eval.batches", 5).set("data.batch", 4).set("data.accumulate", 3).set("eval.patience", 1);
  job.set("optim.lr", 0.3).set("budget.steps", 20).set("parallel.zero", GENERATE(0, 1));
  CHECK(job.train_on(3, "three") == RunEnd::stopped_early);
  const std::vector<double> valid = job.result("three").valid;
  REQUIRE(valid.size() >= 2);
  CHECK(valid.size() < 20);
  CHECK(valid.back() >= valid[valid.size() - 2]);
}
