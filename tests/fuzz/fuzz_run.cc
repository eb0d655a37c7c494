// Fuzzing what a run folder holds, as the report, a resume and every command that takes a model read it:
// metrics.jsonl, config.json and sample.txt; training.json; a checkpoint's manifest; a set's record. The
// first byte chooses.
#include "data/shard_set.h"
#include "data/train_tokenizer.h"
#include "engine/base/file.h"
#include "fuzz.h"
#include "train/checkpoint/checkpoint_dir.h"
#include "train/checkpoint/training_state.h"
#include "train/metrics.h"
#include "train/report/report.h"

namespace {

enum Form : uint8_t { metrics_form, state_form, manifest_form, record_form, forms };

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

void read_report(std::string_view input) {
  const auto parts = input_parts(input, 3);
  const std::string path = input_file(parts[0], "metrics.jsonl");
  input_file(parts[1], "config.json");
  input_file(parts[2], "sample.txt");
  fuzz_one([&] { train::read_metrics(path); });
  const std::string page = train::report_html({train::read_run(folder_of(path))});
  require(page.find("</html>") != page.npos);
}

void read_state(std::string_view input) {
  train::TrainingState state;
  train::LossScaler scaler({}, 1, 1);
  train::read_training_json(engine::read_json(input_file(input, "training.json")), "training.json", state, &scaler);
  const std::string written = train::training_json(state, &scaler).dump();
  train::TrainingState same;
  again([&] {
    train::read_training_json(engine::read_json(input_file(written, "training.json")), "training.json", same, &scaler);
    return 0;
  });
  require(train::training_json(same, &scaler).dump() == written);
}

void read_record(std::string_view input) {
  static const auto tokenizer = data::train_tokenizer({}, {.kind = data::TokenizerKind::byte});
  const std::string folder = folder_of(input_file(input, "train.json"));
  input_file(tokenizer->to_json(), "tokenizer.json");
  data::ShardSet({.folder = folder, .name = "train", .shard_tokens = 100, .source = {{"files", 1}}},
                 *tokenizer, 0);
}

}  // namespace

std::vector<std::string> fuzz_seeds() {
  const std::string metrics =
      R"({"step": 1, "tokens": 8, "seconds": 0.5, "loss": 2.5, "lr": 1e-3, "grad_norm": null,)"
      R"("layers": [{"layer": 0, "grad_norm": 1}], "gains": [{"layer": 0, "name": "g", "mean": 1}]})"
      "\n{\"step\": 2, \"valid_loss\": 2.25}\n";
  train::TrainingState state;
  const train::LossScaler scaler({}, 1, 1);
  return {char(metrics_form) + metrics + byte_text("\0{\"model\": {\"norms\": \"pre_ln\"}}\0sample"),
          char(state_form) + train::training_json(state, &scaler).dump(),
          char(manifest_form) +
              std::string(R"({"format": "normlab-checkpoint", "version": 1, "step": 3, "valid_loss": null,)"
                          R"("files": {"config.json": {"bytes": 2, "crc32c": "00000000"}}})"),
          char(record_form) +
              std::string(R"({"version": 1, "tokenizer": "00", "separator": 0, "shard_tokens": 100,)"
                          R"("source": {"files": 1}, "finished": false, "shards": []})")};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  if (size == 0) return 0;
  const std::string_view input = input_text(bytes + 1, size - 1);
  return fuzz_one([&] {
    switch (Form(bytes[0] % forms)) {
      case metrics_form: return read_report(input);
      case state_form: return read_state(input);
      case manifest_form: train::verify_checkpoint(folder_of(input_file(input, "checkpoint.json"))); return;
      default: return read_record(input);
    }
  });
}
