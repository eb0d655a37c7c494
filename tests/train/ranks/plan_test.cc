// What a rank takes and what several bring, before anything is allocated: numbers worked out by hand.
#include <catch2/catch.hpp>

#include "../training_support.h"
#include "models/parameter_list.h"
#include "models/size_presets.h"
#include "train/memory_check.h"
#include "train/rank_plan.h"

using namespace train;
using Catch::Matchers::Contains;

TEST_CASE("rank plan: bytes of a rank are those of its tensors") {
  const models::ModelConfig config = models::model_preset("gpt-1.3b");
  double matrices = 0, embeddings = 0, vectors = 0;
  for (const models::ParameterInfo& p : models::parameter_list(config)) {
    double& n = p.group == nn::ParameterGroup::matrix      ? matrices
                : p.group == nn::ParameterGroup::embedding ? embeddings
                                                           : vectors;
    n += double(p.count());
  }
  const double n = matrices + embeddings + vectors, gib = 1 << 30;
  const RankMemory one = rank_memory(config, 1, 0), all = rank_memory(config, 8, 0), dealt = rank_memory(config, 8, 1);
  CHECK(one.total() == all.total());
  CHECK(all.total() / gib == Approx(22.0).margin(0.1));  // 18 bytes a parameter
  CHECK(dealt.moments == n);                             // 8 bytes over 8 ranks
  CHECK(dealt.masters == Approx(matrices / 2 + 4 * (embeddings + vectors)));
  CHECK(dealt.copies == all.copies);
  CHECK(dealt.gradients == 4 * n);
  CHECK(rank_memory(config, 64, 1).total() < dealt.total());
}

TEST_CASE("rank plan: efficiency falls with the exchange that is not hidden") {
  CHECK(efficiency_of(1, 0.5, 0, 0, 0) == 1);
  CHECK(efficiency_of(1, 0.5, 0.4, 0, 0) == 1);             // behind backward
  CHECK(efficiency_of(1, 0.5, 0.45 + 1, 0, 0) == 0.5);      // a second too much
  CHECK(efficiency_of(1, 0.5, 0.4, 0.4, 0.6) == 0.5);       // the last sums and the way back are not hidden
  const models::ModelConfig config = models::model_preset("gpt-1.3b");
  CHECK(predicted_efficiency(config, 1, 0, 2048, 2048) == 1);
  double last = 1;
  for (double tokens : {131072.0, 32768.0, 8192.0, 2048.0}) {
    const double e = predicted_efficiency(config, 8, 0, tokens, 2048);
    CHECK(e < last);
    CHECK(predicted_efficiency(config, 8, 1, tokens, 2048) > e);  // 16-bit weights come back, not gradients
    last = e;
  }
}

TEST_CASE("rank plan: a run that does not fit is told of parallel.zero") {
  Job job;
  job.set("model.width", 1024).set("model.ffn_width", 4096).set("model.layers", 8).set("precision", "bf16");
  const TrainConfig config = parse_config(job.config, "test");
  const models::ModelConfig model = models::model_config_from_section(config.model, "model");
  const double whole = planned_memory(config, model, 16, 4);
  CHECK(whole == planned_memory(config, model, 16, 1));
  TrainConfig dealt = config;
  dealt.parallel.zero = 1;
  CHECK(planned_memory(dealt, model, 16, 4) < 0.9 * whole);
  CHECK(planned_memory(dealt, model, 16, 1) == whole);
  CHECK_THROWS_WITH(check_memory(config, model, 16, 0.95 * whole, 4), Contains("parallel.zero=1"));
  CHECK_THROWS_WITH(check_memory(config, model, 16, 0.95 * whole, 1), !Contains("parallel.zero"));
}
