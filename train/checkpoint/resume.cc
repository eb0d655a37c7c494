// Read first: resume.h.
#include "train/checkpoint/resume.h"

#include <algorithm>

#include "engine/base/check.h"
#include "train/checkpoint/checkpoint_dir.h"
#include "train/checkpoint/training_state.h"

namespace train {
namespace {

using engine::Json;

bool starts_with_any(const std::string& path, std::initializer_list<const char*> starts) {
  return std::any_of(starts.begin(), starts.end(), [&](const char* s) { return path.starts_with(s); });
}

/// Changes neither a loss nor what is kept of the run in a way that has to be said.
bool unheard(const std::string& path) {
  return starts_with_any(path, {"log.", "checkpoint.", "threads", "device", "activation_checkpointing", "parallel."});
}

/// Whether the length of the decay follows from the budget.
bool decays_with_budget(const ScheduleConfig& s) {
  const bool decays = s.name == ScheduleKind::linear || s.name == ScheduleKind::polynomial ||
                      s.name == ScheduleKind::wsd || (s.name == ScheduleKind::cosine && s.period == 0);
  return decays && s.steps == 0;
}

bool alters_losses(const std::string& path, const TrainConfig& config) {
  if (path.starts_with("budget.")) return decays_with_budget(config.schedule);
  return !starts_with_any(path, {"eval.", "data.valid", "data.tokenizer", "init", "from"});
}

/// What a model computes with given weights; not where its tokenizer lies, nor how it was initialised.
Json model_json(models::ModelConfig config) {
  config.tokenizer.clear(), config.norms.init.clear();
  return models::to_json(config);
}

Json at_key(const Json& json, const std::string& key) { return json.contains(key) ? json[key] : Json(); }

}  // namespace

Json settings_json(const TrainConfig& config, int ranks) {
  Json json = config_json(config);
  json.erase("model");
  json["data"]["accumulate"] = config.data.accumulate * ranks;
  return json;
}

void check_same_model(const models::ModelConfig& checkpoint, const models::ModelConfig& wanted,
                      const std::string& folder, const std::string& rule) {
  const Json theirs = model_json(checkpoint), ours = model_json(wanted);
  std::string differing;
  const auto compare = [&](const std::string& key) {
    const Json a = at_key(theirs, key), b = at_key(ours, key);
    if (a == b) return;
    const auto value = [](const Json& v) {
      return v.is_null() ? std::string("the default") : engine::json_text(v);
    };
    differing += (differing.empty() ? "" : ", ") +
                 engine::join_text("model.", key, " is ", value(b), ", the checkpoint's ", value(a));
  };
  for (const auto& [key, value] : theirs.items()) compare(key);
  for (const auto& [key, value] : ours.items())
    if (!theirs.contains(key)) compare(key);
  engine::check(differing.empty(), folder, ": ", rule, "; ", differing);
}

void seek_rows(const TrainConfig& config, const std::string& run, const std::function<void()>& seek) {
  try {
    seek();
  } catch (const engine::Error& e) {
    engine::fail("data.train ", config.data.train, ": ", e.what(),
                 "; other rows are another run: normlab train --from ", run, " --out OTHER");
  }
}

void check_checkpoint(const std::string& run, const TrainConfig& config, const models::ModelConfig& model,
                      data::BatchSource& rows) {
  const std::optional<CheckpointInfo> checkpoint = checkpoint_to_resume(run);
  if (!checkpoint) return;
  const std::string folder = checkpoint->folder + "/", numbers = folder + "training.json";
  check_same_model(models::read_model_config(folder + "config.json"), model, checkpoint->folder);
  check_moments(config.optim, engine::Safetensors(folder + "optimizer.safetensors"));
  TrainingState state;
  read_training_json(engine::read_json(numbers), numbers, state, nullptr);
  seek_rows(config, run, [&] { rows.seek(state.position); });
}

ChangedSettings changed_settings(const Json& before, const TrainConfig& now, int ranks) {
  ChangedSettings changed;
  const auto compare = [&](const std::string& path, const Json& old_value, const Json& new_value) {
    if (old_value.is_null() || old_value == new_value || unheard(path)) return;
    std::string& list = alters_losses(path, now) ? changed.numbers : changed.others;
    const bool of_all = path == "data.accumulate";
    list += (list.empty() ? "" : ", ") + engine::join_text(of_all ? "ranks x " : "", path, " ",
                                                           engine::json_text(old_value).substr(0, 80), " -> ",
                                                           engine::json_text(new_value).substr(0, 80));
  };
  const Json after = settings_json(now, ranks);
  for (const auto& [key, value] : after.items()) {
    const Json old_value = before.is_object() ? at_key(before, key) : Json();
    if (!value.is_object()) {
      compare(key, old_value, value);
    } else if (old_value.is_object()) {
      for (const auto& [inner, inner_value] : value.items())
        compare(key + "." + inner, at_key(old_value, inner), inner_value);
    }
  }
  return changed;
}

}  // namespace train
