// Read first: train_config.h.
#include "train/commands/train_config.h"

#include "data/tokenizer.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/text.h"
#include "train/checkpoint/checkpoint_dir.h"
#include "train/open_model.h"

namespace train {

using engine::check;
using engine::Json;

namespace {

constexpr const char* kPlaces[] = {"tokenizer", "train", "valid"};  // keys of data that are folders

/// json[section][key] where that is a text, else "".
std::string text_at(const Json& json, const char* section, const char* key) {
  if (!json.contains(section) || !json[section].is_object() || !json[section].contains(key)) return "";
  const Json& value = json[section][key];
  return value.is_string() ? value.get<std::string>() : "";
}

bool holds_data(const std::string& path) {
  // A tokenizer or a shard; a set of shards, with its record or without.
  return engine::file_exists(path) || engine::file_exists(path + ".json") ||
         engine::file_exists(path + "-00000.bin");
}

/// A run on --text has its data in its own folder, which may have moved, or is named from another place.
void find_moved_data(Json& json, const std::string& run) {
  for (const char* key : kPlaces) {
    const std::string path = text_at(json, "data", key);
    if (path.empty() || holds_data(path)) continue;
    for (const char* own : {"/tokenizer", "/tokens/train", "/tokens/valid", "/tokens/test"})
      if (path.ends_with(own) && holds_data(run + own)) json["data"][key] = run + own;
  }
}

/// Error: a folder of the run's config is not there.
void check_places(const Json& json, const std::string& run) {
  for (const char* key : kPlaces) {
    const std::string path = text_at(json, "data", key);
    check(path.empty() || holds_data(path), run, "/config.json: data.", key, ": ", path, ": not there",
          path.starts_with('/') ? "" : " (the path begins where the run was started)", "; --set data.", key,
          "=PATH names another place");
  }
}

/// Error: weights of another model than those that the run's checkpoints come from.
void check_same_start(const Json& json, const std::string& run) {
  if (list_checkpoints(run).empty()) return;
  const auto from = [](const Json& config) { return text_at({{"config", config}}, "config", "from"); };
  const std::string before = from(read_config_json(run + "/config.json")), now = from(json);
  check(now == before, "from: the run in ", run, " began from ", before.empty() ? "initial values" : before,
        ", not from ", now.empty() ? "initial values" : now,
        "; other weights are another run, with another --out");
}

}  // namespace

Json config_file(const Arguments& args, engine::Communicator& ranks, bool from_text) {
  std::string path = args.text("config");
  const bool own = path.empty() && args.on("resume") && !from_text;
  if (own) path = args.text("out") + "/config.json";
  Json json;
  ranks.agree([&] {
    check(!own || ranks.rank() > 0 || engine::is_directory(args.text("out")), args.text("out"),
          ": no such folder, hence no run to go on with");
    if (!own || ranks.rank() == 0) json = read_config_json(path);
    if (own && ranks.rank() == 0) find_moved_data(json, args.text("out"));
  });
  if (!own || ranks.size() == 1) return json;
  return engine::parse_json(ranks.from_root(ranks.rank() == 0 ? engine::json_text(json) : ""), path);
}

Json given_json(const Arguments& args, Json json, bool from_text) {
  if (from_text && json.contains("data") && json["data"].is_object())
    for (const char* key : kPlaces) json["data"].erase(key);  // those are made of the text
  if (args.given("from")) json["from"] = args.text("from");
  for (const std::string& text : args.values("set")) apply_override(json, text);
  for (const char* key : {"train", "valid"})
    check(!from_text || !json.contains("data") || !json["data"].is_object() || !json["data"].contains(key),
          "--set data.", key, ": --text makes the data; leave out one of them");
  return json;
}

void complete_from(Json& json) {
  const std::string from = engine::json_string(json["from"], "from");
  if (from.empty()) return;
  const std::string folder = resolve_model(from);
  if (!json.contains("data")) json["data"] = Json::object();
  Json& data = json["data"];
  if (!data.is_object()) return;
  if (!data.contains("tokenizer") && data::has_tokenizer(folder)) data["tokenizer"] = folder;
  if (!data.contains("sampler") && config_of_model(folder).objective == models::Objective::mlm)
    data["sampler"] = "mlm";
}

void check_goes_on(const Json& json, const std::string& run, bool own) {
  check_same_start(json, run);
  if (own) check_places(json, run);
}

void check_same_config(engine::Communicator& ranks, const engine::Json& config) {
  std::string text;
  ranks.agree([&] { text = engine::exact_json_text(config, "config"); });
  const engine::Json first = engine::parse_json(ranks.from_root(text), "rank 0's config");
  const engine::Json theirs = first.flatten(), ours = config.flatten();
  std::string differing;
  for (const auto& [key, value] : theirs.items()) {
    const engine::Json mine = ours.value(key, engine::Json());
    if (differing.empty() && mine != value)
      differing = engine::join_text("has another config than rank 0: ", key, " is ", engine::json_text(mine), ", not ",
                                    engine::json_text(value));
  }
  if (differing.empty() && first != config) differing = "has another config than rank 0";
  ranks.agree([&] { engine::check(differing.empty(), differing); });
}

}  // namespace train
