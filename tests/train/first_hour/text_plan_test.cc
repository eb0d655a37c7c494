// The rules of `train --text`, as numbers: they grow with text, time and machine, and stay within their
// bounds.
#include "train/text/text_plan.h"

#include <catch2/catch.hpp>

#include "engine/base/check.h"
#include "models/flops.h"
#include "train/config.h"
#include "train/expectation.h"

using namespace train;
using engine::Json;

namespace {

TextFacts facts(double tokens, double seconds, double gflops) {
  return {.bytes = int64_t(3 * tokens),
          .documents = 10,
          .tokens = int64_t(tokens),
          .valid_tokens = int64_t(tokens / 20),
          .vocabulary = 4096,
          .seconds = seconds,
          .peak_flops = gflops * 1e9,
          .memory = 16e9};
}

int64_t width_of(const TextFacts& f) { return plan_text(f, nullptr).config["model"]["width"].get<int64_t>(); }

/// The plan as a run would read it.
TrainConfig parsed(const TextFacts& f) {
  Json config = plan_text(f, nullptr).config;
  config["data"]["valid"] = "v";
  return parse_config(config, "plan");
}

}  // namespace

TEST_CASE("text plan: the vocabulary grows with the text, in powers of two") {
  using models::Objective;
  CHECK(vocabulary_for(1000, Objective::clm) == 512);
  CHECK(vocabulary_for(1'100'000, Objective::clm) == 1024);
  CHECK(vocabulary_for(3'600'000, Objective::clm) == 4096);
  CHECK(vocabulary_for(int64_t(1) << 40, Objective::clm) == 16384);
  CHECK(vocabulary_for(int64_t(1) << 40, Objective::mlm) == 288);
}

TEST_CASE("text plan: more time, a faster machine or more text give no smaller model") {
  for (const double tokens : {1e4, 1e6, 1e9}) {
    int64_t last = 0;
    for (const double seconds : {10., 300., 3600., 86400., 1e7}) {
      const int64_t width = width_of(facts(tokens, seconds, 100));
      CHECK(width >= last);
      CHECK(width_of(facts(tokens, seconds, 400)) >= width);
      CHECK(width_of(facts(10 * tokens, seconds, 100)) >= width);
      last = width;
    }
  }
  CHECK(width_of(facts(1e9, 10, 100)) < width_of(facts(1e9, 1e6, 100)));
  CHECK(width_of(facts(3e4, 1e7, 100)) < width_of(facts(1e9, 1e7, 100)));  // a little text, any time
  TextFacts narrow = facts(1e9, 1e7, 100);
  narrow.memory = 2e8;
  CHECK(width_of(narrow) < width_of(facts(1e9, 1e7, 100)));
}

TEST_CASE("text plan: every plan is a valid config within the stated bounds") {
  for (const double tokens : {130., 2e3, 1e5, 1e7, 1e10})
    for (const double seconds : {0., 1., 300., 1e6}) {
      const TextFacts f = facts(tokens, seconds, 80);
      const TrainConfig c = parsed(f);
      INFO(tokens << " tokens, " << seconds << " s");
      const models::ModelConfig model = [&] {
        Json section = c.model;
        section["vocab_size"] = 4096;
        return models::model_config_from_section(section, "model");
      }();
      CHECK(c.budget.seconds == (seconds > 0 ? seconds : 300));
      CHECK(c.budget.epochs == 30);
      CHECK(c.data.context <= model.context);
      CHECK((c.data.context * 8 <= f.tokens || c.data.context == 16));
      const int64_t update = c.data.batch * c.data.accumulate * c.data.context;
      CHECK(update <= 32768);
      CHECK(c.schedule.warmup >= 1);
      CHECK(c.optim.lr <= 3e-3);
      const double speed =
          f.peak_flops * expected_share(model.width) / models::flops_per_token(model, c.data.context).total();
      const double readings = std::min(c.budget.seconds * speed / tokens, 30.0);
      CHECK(c.dropout.residual == (readings > 4 ? 0.1 : 0.0));
    }
}

TEST_CASE("text plan: rows are no longer than the positions that were asked for") {
  TextFacts f = facts(1e7, 300, 80);
  REQUIRE(parsed(f).data.context > 16);
  for (const int64_t most : {16, 24, 1 << 20}) {
    f.most_context = most;
    CHECK(parsed(f).data.context == (most <= 24 ? most : parsed(facts(1e7, 300, 80)).data.context));
  }
}

TEST_CASE("text plan: a model that is given is not chosen, and its rate is a tenth") {
  Json section = {{"vocab_size", 4096},    {"objective", "clm"},   {"context", 64},
                  {"layers", 1},           {"width", 64},          {"heads", 2},
                  {"ffn_width", 128},      {"activation", "gelu"}, {"norms", "pre_ln"},
                  {"positions", "learned"}};
  const models::ModelConfig model = models::model_config_from_section(section, "model");
  const TextPlan plan = plan_text(facts(1e6, 300, 100), &model);
  CHECK_FALSE(plan.config.contains("model"));
  CHECK(plan.config["data"]["context"] == 64);
  CHECK(plan.config["optim"]["lr"] == 3e-4);
}

TEST_CASE("text plan: too little text is refused") {
  CHECK_THROWS_WITH(plan_text(facts(100, 300, 100), nullptr), Catch::Matchers::Contains("are too few"));
}

TEST_CASE("expected speed: the share of the peak grows with the width, between its measured ends") {
  double last = 0;
  for (const int64_t width : {8, 64, 100, 192, 256, 500, 768, 4096}) {
    CHECK(expected_share(width) >= last);
    last = expected_share(width);
  }
  CHECK(last < 1);
  CHECK(expected_share(8) > 0.01);
}

TEST_CASE("text plan: ranks share the rows of an update") {
  TextFacts f = facts(1e7, 3600, 400);
  const TrainConfig one = parsed(f);
  REQUIRE(one.data.batch * one.data.accumulate >= 4);
  for (int64_t ranks : {2, 4}) {
    f.ranks = ranks;
    const TrainConfig several = parsed(f);
    CHECK(ranks * several.data.batch * several.data.accumulate == one.data.batch * one.data.accumulate);
  }
  f.ranks = 1 << 20;
  CHECK(parsed(f).data.accumulate == 1);
}
