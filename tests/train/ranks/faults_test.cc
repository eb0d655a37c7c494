// What goes wrong on one rank alone: an overflow, a bit that flips, nothing to score, an error. Ranks are
// threads here, so that a test can reach into one of them.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "../training_support.h"
#include "engine/comm/rank_threads.h"
#include "models/init.h"

using namespace train;
using Catch::Matchers::Contains;

namespace {

constexpr int64_t kVocabulary = 16, kLength = 8;

models::ModelConfig small_config() {
  models::ModelConfig c;
  c.layers = 2, c.width = 64, c.heads = 2, c.ffn_width = 128, c.vocab_size = kVocabulary, c.context = kLength;
  models::set_norms(c, "normformer");
  return models::checked(c);
}

// Random tokens that predict random tokens; the first `unscored` positions of each row are not scored.
MicroBatch random_batch(uint64_t seed, int64_t rows, int64_t unscored) {
  engine::Rng rng{seed, 0};
  std::vector<int32_t> ids, labels;
  for (int64_t i = 0; i < rows * kLength; ++i) {
    ids.push_back(int32_t(rng.below(kVocabulary)));
    labels.push_back(i % kLength < unscored ? -100 : int32_t(rng.below(kVocabulary)));
  }
  const models::ModelConfig config = small_config();
  return {models::input_rows(config, {.ids = engine::Tensor::from_ids(ids, {rows, kLength})}),
          models::targets(config, engine::Tensor::from_ids(labels, {rows, kLength})), rows * (kLength - unscored)};
}

ParallelConfig buckets(int zero) {
  ParallelConfig config;
  config.zero = zero, config.bucket_mib = 0.1;
  return config;
}

/// A rank's model, optimizer and update.
struct Rank {
  Rank(engine::Communicator& c, engine::DType dtype, int zero, const UpdateOptions& options,
       const models::ModelConfig& config = small_config())
      : model(config, nn::Precision::of(dtype)),
        shards(model.parameters(), c, buckets(zero)),
        optimizer(model.parameters(), {}, shards.pieces()),
        scaler({}, c.size(), 1),
        update(model, optimizer, shards, dtype == engine::DType::f16 ? &scaler : nullptr, options) {
    models::initialise(model, "", 1);
    shards.deal_values();
  }
  models::Transformer model;
  Shards shards;
  Optimizer optimizer;
  LossScaler scaler;
  Update update;
};

struct Seen {
  double loss = 0, norm = 0, scale = 0;
  ScaleEvent event = ScaleEvent::apply;
  std::vector<double> weights, gradients;
};

}  // namespace

TEST_CASE("faults: an overflow on one rank: all skip that update and have the same scale") {
  const int zero = GENERATE(0, 1);
  std::vector<Seen> seen(3);
  engine::run_rank_threads(3, [&](engine::Communicator& c) {
    Rank rank(c, engine::DType::f16, zero, {.clip = 1});
    const MicroBatch batch = random_batch(uint64_t(c.rank()), 2, 0);
    const engine::Tensor gain = rank.model.parameters()["layers.1.attn.in_norm.weight"].value;
    const double before = gain.to_vector()[0];
    if (c.rank() == 1) gain.fill(std::numeric_limits<double>::infinity());
    const Update::Gradients g = rank.update.gradients({&batch, 1}, c.rank());
    if (c.rank() == 1) gain.fill(before);
    const Update::Gradients next = rank.update.gradients({&batch, 1}, 3 + c.rank());
    seen[size_t(c.rank())] = {next.loss, next.norm, rank.scaler.scale(), g.event, {}, {}};
  });
  for (const Seen& s : seen) {
    CHECK(s.event == ScaleEvent::skip);
    CHECK(s.scale == 64);
    CHECK(std::isfinite(s.norm));
    CHECK(s.norm == seen[0].norm);
    CHECK(s.loss == seen[0].loss);
  }
}

TEST_CASE("faults: ranks with 3 and 50 scored positions, and with none, are one rank with all of them") {
  const int zero = GENERATE(0, 1);
  const int last = GENERATE(0, 1);  // whether the empty micro-batch is the last one of its rank
  UpdateOptions options{.dropout = {0.2, 0.2, 0.2}, .seed = 3, .clip = 0.01};
  options.sum = SumOrder::tree;
  const MicroBatch none = random_batch(9, 2, kLength);
  const MicroBatch few = random_batch(1, 3, 7), many = random_batch(2, 7, 1), more = random_batch(3, 2, 0);
  const std::vector<MicroBatch> all = last ? std::vector{few, many, none, more} : std::vector{none, many, few, more};
  const auto run = [&](int ranks) {
    std::vector<Seen> seen{size_t(ranks)};
    engine::run_rank_threads(ranks, [&](engine::Communicator& c) {
      Rank rank(c, engine::DType::bf16, zero, options);
      Seen& s = seen[size_t(c.rank())];
      for (int step = 0; step < 3; ++step) {
        std::vector<MicroBatch> mine;
        for (int i = c.rank(); i < 4; i += ranks) mine.push_back(all[size_t(i)]);
        const Update::Gradients g = rank.update.gradients(mine, 4 * step + c.rank());
        s.loss = g.loss, s.norm = g.norm;
        rank.shards.collect_gradients();
        s.gradients = rank.model.parameters().grads().to_vector();
        rank.update.apply(g, 0.01, {});
      }
      rank.shards.collect_values();
      s.weights = rank.model.parameters().values().to_vector();
    });
    for (const Seen& s : seen) {
      CHECK(s.weights == seen[0].weights);
      CHECK(s.gradients == seen[0].gradients);
    }
    return seen[0];
  };
  const Seen one = run(1);
  for (int ranks : {2, 4}) {
    const Seen several = run(ranks);
    CHECK(several.loss == one.loss);
    CHECK(several.norm == one.norm);
    CHECK(several.gradients == one.gradients);
    CHECK(several.weights == one.weights);
  }
}

TEST_CASE("faults: an error in one rank's computation is known to all before anyone goes on") {
  engine::run_rank_threads(2, [&](engine::Communicator& c) {
    Rank rank(c, engine::DType::f32, 1, {});
    MicroBatch batch = random_batch(1, 2, 0);
    if (c.rank() == 1) batch.labels = random_batch(2, 1, 0).labels;  // of other rows
    const Update::Gradients g = rank.update.gradients({&batch, 1}, c.rank());
    if (g.agreement.troubles.size() != 2 || g.agreement.troubles[1].code != 2 || g.agreement.troubles[0].code != 0)
      engine::fail("the agreement does not have rank 1's error");
  });
  SUCCEED();
}

namespace {

struct FaultJob : Job {
  FaultJob() {
    set("model.width", 64).set("model.ffn_width", 128).set("data.batch", 1).set("eval.every", 0);
    set("parallel.check", true).set("parallel.timeout", 60).set("parallel.bucket_mib", 0.1);
    set("log.every", 1000);
  }
  /// Trains on two ranks; `meddle(trainer, update)` is called on rank 1 before each update is applied.
  RunEnd train_on_two(const std::function<void(const UpdateView&)>& meddle) {
    const TrainConfig parsed = parse_config(config, "test");
    std::vector<RunEnd> ends(2);
    engine::run_rank_threads(2, [&](engine::Communicator& c) {
      std::optional<RunDir> dir;
      if (c.rank() == 0) dir.emplace(run("run"), RunStart::fresh);
      Trainer trainer(parsed, models::model_config_from_section(parsed.model, "model"), dir ? &*dir : nullptr, c);
      trainer.watch([&](const UpdateView& view) {
        if (c.rank() == 1) meddle(view);
        return true;
      });
      ends[size_t(c.rank())] = trainer.run();
      steps[size_t(c.rank())] = trainer.counters().step;
    });
    CHECK(ends[0] == ends[1]);
    CHECK(steps[0] == steps[1]);
    return ends[0];
  }
  int64_t steps[2] = {};
};

}  // namespace

TEST_CASE("faults: a bit that flips on one rank is named with the rank and the update") {
  FaultJob job;
  job.set("budget.steps", 200).set("schedule.steps", 200);
  const auto flip = [](const UpdateView& view) {
    if (view.step == 60) *view.model.parameters()["layers.0.ffn.up.weight"].value.data<float>() += 1;
  };
  CHECK_THROWS_WITH(job.train_on_two(flip),
                    Contains("rank 1 (thread0): has another sum of weights at update 100 than rank 0"));
}

TEST_CASE("faults: a budget of seconds ends all ranks at the same update, whatever their speed") {
  FaultJob job;
  job.config["budget"] = {{"seconds", 0.6}};
  job.set("schedule.steps", 100000).set("checkpoint.seconds", 0.1).set("checkpoint.every", 0);
  CHECK(job.train_on_two([](const UpdateView& view) { ::usleep(view.step % 3 == 0 ? 30000 : 0); }) ==
        RunEnd::finished);
  CHECK(job.steps[0] > 3);
}

TEST_CASE("faults: a checkpoint every update, whose writer is slower than the updates") {
  FaultJob job;
  job.set("budget.steps", 30).set("schedule.steps", 30).set("checkpoint.every", 1).set("parallel.zero", 1);
  CHECK(job.train_on_two([](const UpdateView&) {}) == RunEnd::finished);
  CHECK(job.steps[1] == 30);
}

TEST_CASE("faults: numbers beyond repair on one rank end all, and its layer is named") {
  FaultJob job;
  job.set("budget.steps", 50).set("schedule.steps", 50);
  const auto spoil = [](const UpdateView& view) {
    if (view.step == 5) view.model.parameters()["layers.1.ffn.up.weight"].value.fill(INFINITY);
  };
  CHECK_THROWS_WITH(job.train_on_two(spoil), Contains("step 6") && Contains("layer 1 ffn"));
}

namespace {

/// One layer of experts that a constant row sends to a single one of: all its positions look alike.
models::ModelConfig expert_config() {
  models::ModelConfig c = small_config();
  models::set_norms(c, "pre_ln");
  c.experts = 4, c.experts_per_token = 1, c.positions = nn::Positions::rope;
  return models::checked(c);
}

MicroBatch constant_batch(const models::ModelConfig& config, int64_t rows) {
  const std::vector<int32_t> ids(size_t(rows * kLength), 3);
  return {models::input_rows(config, {.ids = engine::Tensor::from_ids(ids, {rows, kLength})}),
          models::targets(config, engine::Tensor::from_ids(ids, {rows, kLength})), rows * kLength};
}

}  // namespace

TEST_CASE("faults: experts that no position of one rank chooses: one rank's numbers, equal weights on all") {
  const int zero = GENERATE(0, 1);
  const models::ModelConfig config = expert_config();
  UpdateOptions options{.clip = 0.01};
  options.sum = SumOrder::tree;
  const std::vector<MicroBatch> all = {random_batch(1, 2, 0), constant_batch(config, 2)};
  const auto run = [&](int ranks) {
    std::vector<Seen> seen{size_t(ranks)};
    engine::run_rank_threads(ranks, [&](engine::Communicator& c) {
      Rank rank(c, engine::DType::bf16, zero, options, config);
      Seen& s = seen[size_t(c.rank())];
      for (int step = 0; step < 3; ++step) {
        std::vector<MicroBatch> mine;
        for (int i = c.rank(); i < 2; i += ranks) mine.push_back(all[size_t(i)]);
        const Update::Gradients g = rank.update.gradients(mine, 2 * step + c.rank());
        s.loss = g.loss, s.norm = g.norm;
        rank.update.apply(g, 0.01, {});
      }
      rank.shards.collect_values();
      s.weights = rank.model.parameters().values().to_vector();
    });
    for (const Seen& s : seen) CHECK(s.weights == seen[0].weights);
    return seen[0];
  };
  const Seen one = run(1), two = run(2);
  CHECK(two.loss == one.loss);
  CHECK(two.norm == one.norm);
  CHECK(two.weights == one.weights);

  // The constant rows do leave experts without gradients.
  engine::Communicator alone;
  Rank rank(alone, engine::DType::f32, 0, options, config);
  rank.update.gradients({&all[1], 1}, 0);
  const engine::Tensor gradient = rank.model.parameters()["layers.0.ffn.experts.up.weight"].grad;
  int idle = 0;
  for (int64_t expert = 0; expert < 4; ++expert) {
    const std::vector<double> of_expert = gradient.slice(0, expert, expert + 1).to_vector();
    idle += std::all_of(of_expert.begin(), of_expert.end(), [](double x) { return x == 0; });
  }
  CHECK(idle == 3);
}

TEST_CASE("faults: ranks drop different positions of the same rows") {
  std::vector<double> losses(2);
  const auto loss_of = [&](engine::Communicator& c, double dropout) {
    Rank rank(c, engine::DType::f32, 0, {.dropout = {dropout, dropout, dropout}, .seed = 5});
    MicroBatch batch = random_batch(1, 2, 0);
    if (c.rank() + 1 < c.size()) batch.scored = 0;  // the loss is the last rank's alone
    return rank.update.gradients({&batch, 1}, c.rank()).loss;
  };
  for (double dropout : {0.0, 0.3}) {
    engine::Communicator alone;
    const double first = loss_of(alone, dropout);
    engine::run_rank_threads(2, [&](engine::Communicator& c) { losses[size_t(c.rank())] = loss_of(c, dropout); });
    CHECK((losses[1] == first) == (dropout == 0));
  }
}
