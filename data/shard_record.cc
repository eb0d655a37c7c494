// Read first: shard_record.h.
#include "data/shard_record.h"

#include <filesystem>
#include <map>

#include "engine/base/check.h"
#include "engine/base/folder.h"
#include "engine/base/json.h"

namespace data {
namespace {

using engine::check;
using engine::Json;

std::string name_of(const ShardReader& shard) {
  return std::filesystem::path(shard.path()).filename().string();
}

/// The shards that a record lists: name -> entry.
std::map<std::string, Json> entries_of(const Json& record, const std::string& path) {
  std::map<std::string, Json> out;
  check(record.contains("shards") && record["shards"].is_array(), path, ": \"shards\" is missing");
  for (const Json& entry : record["shards"]) {
    check(
        entry.is_object() && entry.contains("file") && entry.contains("tokens") && entry.contains("checksum"),
        path, ": \"shards\" is damaged");
    out[engine::json_string(entry["file"], path + ": file")] = entry;
  }
  return out;
}

void check_entry(const ShardReader& shard, const Json& entry, const std::string& path) {
  constexpr int64_t most = int64_t(1) << 53;
  const ShardInfo& info = shard.info();
  check(engine::json_int(entry["tokens"], path + ": tokens", 0, most) == info.tokens &&
            engine::json_int(entry["checksum"], path + ": checksum", 0, most) == int64_t(info.checksum),
        shard.path(), ": is not the shard that ", path,
        " was written for (its checksum differs): another one was put in its place; prepare the set again");
}

using Shards = std::vector<const ShardReader*>;

void check_set(const Shards& shards, const std::string& path, SetPart part) {
  const Json record = engine::read_json(path);
  if (!record.is_object() || record.value("format", Json()) != "normlab-shards") return;
  if (part == SetPart::whole)
    check(record.value("finished", Json()) == true, path,
          ": the set is not finished; the same `normlab prepare` goes on with it");
  std::map<std::string, Json> entries = entries_of(record, path);
  for (const ShardReader* shard : shards) {
    const auto entry = entries.find(name_of(*shard));
    check(entry != entries.end(), shard->path(), ": is no shard of the set that ", path, " describes");
    check_entry(*shard, entry->second, path);
    entries.erase(entry);
  }
  check(part == SetPart::one_shard || entries.empty(), path, ": its shard ",
        entries.empty() ? "" : entries.begin()->first, " is missing; prepare the set again");
}

}  // namespace

std::string set_of_shard(const std::string& file) {
  const size_t dash = file.rfind('-');
  if (dash == std::string::npos || !file.ends_with(".bin")) return "";
  const std::string digits = file.substr(dash + 1, file.size() - dash - 5);
  const bool number = !digits.empty() && digits.find_first_not_of("0123456789") == std::string::npos;
  return number ? file.substr(0, dash) : "";
}

void check_records(const std::vector<ShardReader>& shards, SetPart part) {
  std::map<std::string, Shards> by_record;
  for (const ShardReader& shard : shards) {
    const std::string set = set_of_shard(name_of(shard));
    if (!set.empty()) by_record[engine::folder_of(shard.path()) + "/" + set + ".json"].push_back(&shard);
  }
  for (const auto& [path, set] : by_record)
    if (engine::is_regular_file(path)) check_set(set, path, part);
}

}  // namespace data
