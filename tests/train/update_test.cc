// One update: micro-batches add up, dropout is numbered over the run, ranks share the work, what is not
// finite is found again.
#include "train/update.h"

#include <catch2/catch.hpp>

#include "engine/comm/rank_threads.h"
#include "largest_gap.h"
#include "models/init.h"
#include "train/micro_loss.h"

using namespace train;
using engine::Tensor;

namespace {

constexpr int64_t kVocabulary = 16, kLength = 8;

models::ModelConfig tiny_config(const std::string& norms) {
  models::ModelConfig c;
  c.layers = 2, c.width = 16, c.heads = 2, c.ffn_width = 32, c.vocab_size = kVocabulary, c.context = kLength;
  models::set_norms(c, norms);
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
  const models::ModelConfig config = tiny_config("normformer");
  return {models::input_rows(config, {.ids = Tensor::from_ids(ids, {rows, kLength})}),
          models::targets(config, Tensor::from_ids(labels, {rows, kLength})), rows * (kLength - unscored)};
}

// A model in f64, the same whenever it is made, and an update of it.
struct Rank {
  explicit Rank(const UpdateOptions& options) : Rank(options, alone) {}
  Rank(const UpdateOptions& options, engine::Communicator& communicator)
      : model(tiny_config("normformer"), nn::Precision::of(engine::DType::f64)),
        shards(model.parameters(), communicator, {}),
        optimizer(model.parameters(), {}),
        update(model, optimizer, shards, nullptr, options) {
    models::initialise(model, "", 1);
  }
  std::vector<double> gradients(std::vector<MicroBatch> batches, int64_t first) {
    result = update.gradients(batches, first);
    return model.parameters().grads().to_vector();
  }

  engine::Communicator alone;
  models::Transformer model;
  Shards shards;
  Optimizer optimizer;
  Update update;
  Update::Gradients result;
};

void check_close(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (const double x : b) largest = std::max(largest, std::abs(x));
  CHECK(largest_gap(a, b) <= 1e-13 * largest);
  CHECK(largest > 0);
}

}  // namespace

TEST_CASE("update: dropout is a function of the seed and the micro-batch's number in the run") {
  const UpdateOptions dropout{.dropout = {0.3, 0.2, 0.1}, .seed = 7};
  const MicroBatch batch = random_batch(1, 3, 0);
  const std::vector<double> fourth = Rank(dropout).gradients({batch}, 4);
  CHECK(fourth == Rank(dropout).gradients({batch}, 4));
  CHECK(fourth != Rank(dropout).gradients({batch}, 5));
  CHECK(fourth != Rank({.dropout = {0.3, 0.2, 0.1}, .seed = 8}).gradients({batch}, 4));
  // A model that has made other updates before draws the same.
  Rank busy(dropout);
  busy.gradients({batch, batch}, 0);
  CHECK(fourth == busy.gradients({batch}, 4));
  // Layers that are computed again in backward draw again what they drew.
  UpdateOptions again = dropout;
  again.checkpointing = true;
  check_close(Rank(again).gradients({batch}, 4), fourth);
}

TEST_CASE("update: ranks with some micro-batches each are one rank with all of them") {
  UpdateOptions options{.dropout = {0.3, 0.2, 0.1}, .seed = 7, .clip = 1e-3};
  options.sum = GENERATE(SumOrder::fast, SumOrder::tree);
  const MicroBatch b[4] = {random_batch(1, 3, 0), random_batch(2, 1, 5), random_batch(3, 2, 0),
                           random_batch(4, 3, 7)};
  Rank one(options);
  const std::vector<double> all = one.gradients({b[0], b[1], b[2], b[3]}, 8);
  for (const int ranks : {2, 4}) {
    std::vector<std::vector<double>> sums{size_t(ranks)};
    std::vector<Update::Gradients> results{size_t(ranks)};
    engine::run_rank_threads(ranks, [&](engine::Communicator& c) {
      Rank rank(options, c);
      std::vector<MicroBatch> mine;
      for (int i = c.rank(); i < 4; i += ranks) mine.push_back(b[i]);
      sums[size_t(c.rank())] = rank.gradients(mine, 8 + c.rank());
      results[size_t(c.rank())] = rank.result;
    });
    for (int r = 0; r < ranks; ++r) {
      CHECK(sums[size_t(r)] == sums[0]);
      CHECK(results[size_t(r)].scored == one.result.scored);
      CHECK(results[size_t(r)].loss == one.result.loss);
      CHECK(results[size_t(r)].norm == results[0].norm);
      CHECK(results[size_t(r)].factor == results[0].factor);
    }
    check_close(sums[0], all);
    if (options.sum == SumOrder::tree) {
      CHECK(sums[0] == all);
      CHECK(results[0].norm == one.result.norm);
    }
  }
  // The clip was at work, and the factor without it is that of the mean loss.
  CHECK(one.result.unclipped == 1.0 / double(one.result.scored));
  CHECK(one.result.factor < one.result.unclipped);
}

TEST_CASE("update: a micro-batch in which nothing is scored changes nothing but the numbers of the others") {
  const UpdateOptions options{.dropout = {0.3, 0.2, 0.1}, .seed = 7};
  const MicroBatch batch = random_batch(1, 3, 0);
  const MicroBatch empty = random_batch(2, 3, kLength);
  CHECK(Rank(options).gradients({empty, batch, empty}, 3) == Rank(options).gradients({batch}, 4));
}

TEST_CASE("update: one in which nothing is scored is to be skipped") {
  Rank rank({});
  const MicroBatch empty[] = {random_batch(2, 3, kLength), random_batch(3, 3, kLength)};
  const Update::Gradients none = rank.update.gradients(empty, 3);
  CHECK(none.scored == 0);
  CHECK(none.event == ScaleEvent::skip);
  CHECK(none.loss == 0);
  CHECK(none.norm == 0);
  CHECK(none.finite());
}

TEST_CASE("update: a number that is not finite is found where it arose") {
  Rank rank({});
  const MicroBatch batches[2] = {random_batch(1, 3, 0), random_batch(2, 3, 0)};
  CHECK(rank.update.gradients(batches, 0).finite());
  rank.model.parameters().find("layers.1.ffn.up.weight")->value.fill(INFINITY);
  rank.model.parameters().refresh_copies();
  const Update::Gradients broken = rank.update.gradients(batches, 0);
  CHECK_FALSE(broken.finite());
  CHECK_THAT(rank.update.find_bad_number(batches, 0), Catch::Contains("layer 1 ffn"));
}

TEST_CASE("update: auxiliary losses weigh the same whatever the share of positions that are scored") {
  models::ModelConfig config = tiny_config("pre_rms");
  config.experts = 4, config.experts_per_token = 2, config.bias.ffn = false;
  models::Transformer model(models::checked(config), nn::Precision::of(engine::DType::f64));
  models::initialise(model, "", 1);
  const auto auxiliary = [&](int64_t unscored) {  // of a mean over scored positions
    MicroBatch batch = random_batch(5, 3, unscored);
    batch.tokens = random_batch(5, 3, 0).tokens;  // the same, whatever is scored
    engine::Rng rng{1};
    const MicroLoss loss = micro_loss(model, batch, {}, false, rng, 1);
    return (loss.total.item() - loss.nats.item()) / double(batch.scored);
  };
  const double all = auxiliary(0);
  CHECK(all > 0);
  CHECK(auxiliary(6) == Approx(all).epsilon(1e-12));
}
