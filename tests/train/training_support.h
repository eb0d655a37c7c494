// A small training job for tests: shards of a text that can be learned, a tiny model, a run in a folder.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "data/byte_tokenizer.h"
#include "data/shards.h"
#include "engine/base/json.h"
#include "engine/base/philox.h"
#include "temporary_folder.h"
#include "train/config.h"
#include "train/metrics.h"
#include "train/trainer.h"

namespace train {

using engine::Json;

/// Tokens of a language of `vocabulary` words in which 4 of 5 tokens follow from the one before.
inline std::vector<int32_t> learnable_tokens(int64_t count, int32_t vocabulary, uint64_t seed) {
  engine::Rng rng{seed, 0};
  std::vector<int32_t> ids;
  int32_t last = 0;
  for (int64_t i = 0; i < count; ++i) {
    last = rng.uniform() < 0.8 ? (last * 5 + 3) % vocabulary : int32_t(rng.below(uint64_t(vocabulary)));
    ids.push_back(last);
  }
  return ids;
}

inline void write_shard(const std::string& path, const std::vector<int32_t>& ids, int64_t vocabulary) {
  data::ShardWriter writer(path, vocabulary, 0, {});
  writer.add(ids, {uint32_t(ids.size())});
  writer.commit();
}

/// A folder with shards and the config of a tiny run on them.
struct Job {
  Job() {
    write_shard(folder / "train.bin", learnable_tokens(6000, 16, 1), 16);
    write_shard(folder / "valid.bin", learnable_tokens(500, 16, 2), 16);
    config = {{"model",
               {{"objective", "clm"},
                {"vocab_size", 16},
                {"context", 16},
                {"layers", 2},
                {"width", 16},
                {"heads", 2},
                {"ffn_width", 32},
                {"activation", "gelu"},
                {"positions", "learned"},
                {"norms", "normformer"}}},
              {"data", {{"train", folder / "train.bin"}, {"valid", folder / "valid.bin"}, {"batch", 4}}},
              {"optim", {{"lr", 0.01}}},
              {"schedule", {{"warmup", 2}, {"steps", 24}}},
              {"budget", {{"steps", 24}}},
              {"eval", {{"every", 6}}},
              {"checkpoint", {{"every", 4}}},
              {"log", {{"every", 1}, {"tensorboard", false}}},
              {"threads", 1}};
  }
  /// Overrides one key, by its path.
  Job& set(const std::string& path, const Json& value) {
    apply_override(config, path + "=" + value.dump());
    return *this;
  }
  std::string run(const std::string& name) const { return folder / name; }
  /// Trains as `normlab train` does: from the start, or on from the run's last checkpoint.
  RunEnd train(const std::string& name, RunStart start = RunStart::fresh) const {
    const TrainConfig parsed = parse_config(config, "test");
    RunDir dir(run(name), start);
    dir.write_config(config_json(parsed));
    return Trainer(parsed, models::model_config_from_section(parsed.model, "model"), dir).run();
  }

  TemporaryFolder folder;
  Json config;
};

/// One number of every metrics line that has it, in order; -1 where it was not finite, so that series compare.
inline std::vector<double> series(const std::string& run, const char* key) {
  std::vector<double> out;
  for (const Json& record : read_metrics(run + "/metrics.jsonl"))
    if (record.contains(key)) out.push_back(record[key].is_null() ? -1 : record[key].get<double>());
  return out;
}

inline double mean_of_last(const std::vector<double>& v, size_t n) {
  double sum = 0;
  for (size_t i = v.size() - n; i < v.size(); ++i) sum += v[i];
  return sum / double(n);
}

}  // namespace train
