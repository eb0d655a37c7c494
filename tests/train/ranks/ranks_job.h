// A small job whose micro-batches are dealt to any number of ranks, which are threads, and what bits are promised of it.
#pragma once

#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <vector>

#include "../training_support.h"
#include "engine/base/sha256.h"
#include "engine/comm/rank_threads.h"
#include "train/checkpoint/checkpoint_dir.h"

namespace train {

/// A job of 8 micro-batches an update, dealt to any number of ranks.
struct RanksJob : Job {
  RanksJob() {
    set("parallel.sum", "tree").set("parallel.check", true).set("parallel.timeout", 120);
    set("model.width", 64).set("model.ffn_width", 128).set("data.batch", 1);
    set("budget.steps", 6).set("schedule.steps", 6).set("eval.every", 4).set("checkpoint.every", 3);
    set("parallel.bucket_mib", 0.1);
    set("optim.clip", 0.05);
    for (const char* kind : {"residual", "attention", "activation"}) set(std::string("dropout.") + kind, 0.1);
  }
  RunEnd train_on(int ranks, const std::string& name, RunStart start = RunStart::fresh) const {
    Json mine = config;
    const int64_t all = config.value(Json::json_pointer("/data/accumulate"), int64_t(8));
    mine["data"]["accumulate"] = all / ranks;
    const TrainConfig parsed = parse_config(mine, "test");
    std::vector<RunEnd> ends{size_t(ranks)};
    std::vector<int64_t> steps(size_t(ranks), 0);
    engine::run_rank_threads(ranks, [&](engine::Communicator& c) {
      std::optional<RunDir> dir;
      if (c.rank() == 0) {
        dir.emplace(run(name), start);
        dir->write_config(config_json(parsed));
      }
      Trainer trainer(parsed, models::model_config_from_section(parsed.model, "model"), dir ? &*dir : nullptr, c);
      ends[size_t(c.rank())] = trainer.run();
      steps[size_t(c.rank())] = trainer.counters().step;
    });
    for (RunEnd end : ends) CHECK(end == ends[0]);
    for (int64_t step : steps) CHECK(step == steps[0]);
    return ends[0];
  }
  /// What bits are promised of.
  struct Result {
    std::vector<double> losses, norms, valid;
    std::string files;
    bool operator==(const Result&) const = default;
  };
  Result result(const std::string& name) const {
    Result r{series(run(name), "loss"), series(run(name), "grad_norm"), series(run(name), "valid_loss"), ""};
    for (const CheckpointInfo& checkpoint : list_checkpoints(run(name)))
      for (const char* file : {"/model.safetensors", "/optimizer.safetensors"})
        r.files += checkpoint_name(checkpoint.step) + file + " " + engine::sha256_file(checkpoint.folder + file) + "\n";
    return r;
  }
  void check_equal(const std::string& a, const std::string& b) const {
    const Result x = result(a), y = result(b);
    INFO(a << " and " << b);
    CHECK(x.losses == y.losses);
    CHECK(x.norms == y.norms);
    CHECK(x.valid == y.valid);
    CHECK(x.files == y.files);
    CHECK(x.losses.size() >= 2);
    CHECK(!x.files.empty());
  }
};

}  // namespace train
