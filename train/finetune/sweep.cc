// Read first: sweep.h.
#include "train/finetune/sweep.h"

#include <algorithm>
#include <bit>

#include "data/shuffle.h"
#include "engine/base/check.h"
#include "engine/base/clock.h"
#include "engine/base/crc32c.h"
#include "engine/base/file.h"
#include "train/comparison/request.h"
#include "train/evaluation/json_numbers.h"
#include "train/evaluation/statistics.h"

namespace train {

using engine::check;
using engine::Json;

std::vector<SweepRun> runs_of(const FineTuneRequest& request) {
  std::vector<SweepRun> out;
  for (const double lr : request.rates)
    for (const int64_t seed : request.seeds) {
      const SweepRun run{lr, seed};
      for (const SweepRun& other : out)
        check(other.name() != run.name(), "--lr and --seeds: two runs would have the folder ", run.name());
      out.push_back(run);
    }
  return out;
}

namespace {

int64_t fingerprint(const GlueRows& rows) {
  int64_t out = 1;
  for (const GlueRow& row : rows.rows) {
    const std::vector<int32_t>& ids = row.text.ids;
    out = data::mix_fingerprint(out, engine::crc32c(ids.data(), ids.size() * sizeof(int32_t)));
    out = data::mix_fingerprint(out, std::bit_cast<uint64_t>(row.label));
  }
  return out;
}

uint32_t fingerprint(const models::Transformer& model) {
  const engine::Tensor& values = model.parameters().values();
  return engine::crc32c(values.raw(), size_t(values.bytes()));
}

}  // namespace

void write_plan(const FineTuneSetup& setup, const std::string& folder, bool resume) {
  const std::string path = folder + "/plan.json";
  Json asked = to_json(setup.request);
  asked["contents"] = {{"train", fingerprint(setup.data.train)},
                       {"dev", fingerprint(setup.data.dev)},
                       {"dev_mm", fingerprint(setup.data.dev_mm)},
                       {"model", fingerprint(*setup.source)}};
  if (engine::file_exists(path)) {
    check(resume, folder, ": already holds runs; go on with them by --resume, or give another --out");
    const Json before = engine::read_json(path);
    check(before.is_object(), path, ": is no plan of fine-tuning");
    const std::string key = changed_key(before, asked);
    check(key.empty(), folder, ": holds other runs: ", key, " differs");
    return;
  }
  for (const char* part : {"config.json", "checkpoints", "compare.json", "metrics.jsonl"})
    check(!engine::file_exists(folder + "/" + part), folder, ": holds a model or another run (", part,
          "); give another --out");
  engine::write_file(path, engine::exact_json_text(asked, path, 1) + "\n");
}

Json sweep_results(const FineTuneRequest& request, const std::string& folder,
                   const std::vector<std::string>& died) {
  Json out = Json::array();
  for (const SweepRun& run : runs_of(request)) {
    Json result = run.result(folder);
    if (result.is_null()) {
      const bool failed = std::find(died.begin(), died.end(), run.name()) != died.end();
      result = {{"lr", run.lr},
                {"seed", run.seed},
                {"status", failed ? "failed" : "stopped"},
                {"updates", nullptr},
                {"epoch", nullptr},
                {"dev", nullptr},
                {"select", request.select},
                {"value", nullptr}};
      if (failed) result["error"] = "its process ended without a result";
    }
    result["path"] = folder + "/" + run.name();
    out.push_back(result);
  }
  return out;
}

Json sweep_summary(const FineTuneRequest& request, const Json& results) {
  Json out = {{"best_lr", nullptr}, {"at_best_lr", nullptr}};
  Json worst;
  for (const Json& r : results) {
    if (r["status"] == "stopped") return out;
    if (r["value"].is_number() && (worst.is_null() || r["value"].get<double>() < worst.get<double>()))
      worst = r["value"];
  }
  if (worst.is_null()) return out;
  Json best;  // the best mean so far
  for (const double lr : request.rates) {
    std::vector<double> values, finished;
    for (const Json& r : results) {
      if (r["lr"] != lr) continue;
      values.push_back((r["value"].is_number() ? r["value"] : worst).get<double>());
      if (r["value"].is_number()) finished.push_back(values.back());
    }
    if (finished.empty()) continue;
    const Json mean = mean_of(values).mean;
    if (!beats(mean, best)) continue;
    best = mean;
    const Mean of = mean_of(finished);
    out["best_lr"] = lr;
    out["at_best_lr"] = {{"n", of.n},
                         {"failed", int64_t(values.size()) - of.n},
                         {"median", engine::median(finished)},
                         {"mean", of.mean},
                         {"sd", number_or_null(of.sd)},
                         {"min", *std::min_element(finished.begin(), finished.end())},
                         {"max", *std::max_element(finished.begin(), finished.end())}};
  }
  return out;
}

std::string best_run(const Json& results, const Json& summary) {
  Json best;
  std::string path;
  for (const Json& r : results)
    if (r["lr"] == summary["best_lr"] && beats(r["value"], best)) {
      best = r["value"];
      path = r["path"].get<std::string>();
    }
  return path;
}

}  // namespace train
