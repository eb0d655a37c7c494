// Read first: shard_set.h.
#include "data/shard_set.h"

#include <algorithm>
#include <cstdio>

#include "data/shard_record.h"
#include "data/tokenizer.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/stop.h"

namespace data {
namespace {

using engine::check;
using engine::Json;

constexpr size_t kPendingTokens = size_t(1) << 16;

std::string hex_of(const TokenizerHash& hash) {
  std::string out;
  char digits[3];
  for (const uint8_t byte : hash) {
    std::snprintf(digits, sizeof digits, "%02x", byte);
    out += digits;
  }
  return out;
}

void copy_tokenizer(const ShardSetOptions& options, const Tokenizer& tokenizer) {
  engine::make_directories(options.folder);
  const std::string path = options.folder + "/tokenizer.json";
  if (options.existing == Existing::keep && engine::file_exists(path)) {
    check(load_tokenizer(path)->hash() == tokenizer.hash(), options.folder,
          ": holds the tokens of another tokenizer (its tokenizer.json differs); choose another folder, or "
          "--force");
    return;
  }
  tokenizer.save(options.folder);
}

/// Something else under the record's name is not written over, whatever is forced; a record that is damaged
/// further down may be.
void check_record_name(const std::string& path) {
  check(!engine::file_exists(path) ||
            engine::read_file_start(path, 64).find("\"normlab-shards\"") != std::string::npos,
        path, ": is no record of shards, and theirs has this name; move it away, or choose another folder");
}

/// Equal but for the times of files whose content is the same, and for checksums that an older record lacks.
bool same_source(Json a, Json b) {
  const auto files = [](Json& source) {
    return source.is_object() && source.contains("files") && source["files"].is_array() ? &source["files"]
                                                                                        : nullptr;
  };
  Json *old_files = files(a), *new_files = files(b);
  if (old_files == nullptr || new_files == nullptr || old_files->size() != new_files->size()) return a == b;
  for (size_t i = 0; i < old_files->size(); ++i) {
    Json &x = (*old_files)[i], &y = (*new_files)[i];
    if (!x.is_object() || !y.is_object()) continue;
    const char* ignored = x.contains("crc32c") && y.contains("crc32c") ? "changed" : "crc32c";
    x.erase(ignored), y.erase(ignored);
  }
  return a == b;
}

}  // namespace

TokenizerHash hash_bytes(const std::string& hex) {
  TokenizerHash hash{};
  for (size_t i = 0; i < hash.size(); ++i) hash[i] = uint8_t(std::stoi(hex.substr(2 * i, 2), nullptr, 16));
  return hash;
}

ShardSet::ShardSet(ShardSetOptions options, const Tokenizer& tokenizer, int32_t separator)
    : options_(std::move(options)),
      vocabulary_(int64_t(tokenizer.vocab_size())),
      separator_(separator),
      hash_(hash_bytes(tokenizer.hash())) {
  check(options_.shard_tokens > 0, name(), ": a shard needs room for at least 1 token, got ",
        options_.shard_tokens);
  check_record_name(name() + ".json");
  copy_tokenizer(options_, tokenizer);
  record_ = {{"format", "normlab-shards"}, {"version", 1},
             {"tokenizer", hex_of(hash_)}, {"vocabulary", vocabulary_},
             {"separator", separator_},    {"shard_tokens", options_.shard_tokens},
             {"source", options_.source},  {"finished", false},
             {"shards", Json::array()}};
  // A path that is not UTF-8 reads otherwise in the file: compared is what the file can say.
  record_["source"] = engine::parse_json(engine::json_text(options_.source), name() + ".json");
  load_record();
  remove_leftovers();
}

std::string ShardSet::shard_name(size_t index) const {
  char digits[24];
  std::snprintf(digits, sizeof digits, "-%05zu.bin", index);
  return options_.name + digits;
}

/// Takes over the finished shards of an earlier attempt.
void ShardSet::load_record() {
  const std::string path = name() + ".json";
  if (options_.existing == Existing::replace) return;
  if (!engine::file_exists(path)) {
    for (const std::string& file : engine::list_folder(options_.folder))
      check(set_of_shard(file) != options_.name, options_.folder, "/", file, ": exists, and no ",
            options_.name, ".json says what it was made from; --force replaces it");
    return;
  }
  const Json old = engine::read_json(path);
  for (const char* key : {"finished", "shards"})
    check(old.is_object() && old.contains(key) && old[key].type() == record_[key].type(), path,
          ": damaged; --force makes the set again");
  for (const auto& [key, value] : record_.items()) {
    const bool progress = key == "finished" || key == "shards";
    const bool same =
        old.contains(key) && (key == "source" ? same_source(old[key], value) : old[key] == value);
    check(progress || same, path, ": ", options_.name, " was made from something else (\"", key,
          "\" differs); choose another folder, or --force");
  }
  for (const Json& file : record_["source"].value("files", Json::array()))
    check(file.contains("bytes"), path, ": ", options_.name, " was made from ", file.value("path", "-"),
          ", a stream, of which nobody can tell whether it is the same; choose another folder, or --force");
  for (const Json& shard : old["shards"])
    if (!take_over(shard, path)) break;  // it and those behind it are made again
  finished_ = old["finished"].get<bool>() && shards() > 0 && shards() == old["shards"].size();
  record_["finished"] = finished_;
}

/// Counts a shard as finished if its file is there and is the one that the record means.
bool ShardSet::take_over(const Json& shard, const std::string& path) {
  constexpr int64_t most = int64_t(1) << 53;
  const auto field = [&](const Json& object, const char* key) {
    check(object.is_object() && object.contains(key), path, ": damaged; --force makes the set again");
    return engine::json_int(object[key], path + ": \"" + key + "\"", 0, most);
  };
  const int64_t tokens = field(shard, "tokens"), checksum = field(shard, "checksum");
  check(shard.contains("next"), path, ": damaged; --force makes the set again");
  const int64_t piece = field(shard["next"], "piece"), token = field(shard["next"], "token");
  const std::string file = options_.folder + "/" + shard_name(shards());
  if (!engine::file_exists(file)) return false;
  const ShardInfo info = ShardReader(file, Verify::header).info();
  if (info.tokens != tokens || info.checksum != checksum || info.tokenizer != hash_) return false;
  done_pieces_ = piece, done_tokens_ = token;
  tokens_ += info.tokens, units_ += info.units;
  record_["shards"].push_back(shard);
  return true;
}

void ShardSet::remove_leftovers() const {
  std::vector<std::string> leftovers;
  for (const std::string& file : engine::list_folder(options_.folder)) {
    bool whole = false;
    for (size_t i = 0; i < shards(); ++i) whole = whole || file == shard_name(i);
    if (!whole && set_of_shard(file) == options_.name) leftovers.push_back(options_.folder + "/" + file);
  }
  // First the record, so that the set counts as unfinished from before its shards begin to go.
  if (!finished_ && (!leftovers.empty() || engine::file_exists(name() + ".json"))) save_record();
  for (const std::string& file : leftovers) engine::remove_file(file);
}

void ShardSet::flush() {
  if (pending_.empty()) return;
  if (writer_ == nullptr)
    writer_ = std::make_unique<ShardWriter>(options_.folder + "/" + shard_name(shards()), vocabulary_,
                                            separator_, hash_);
  writer_->add(pending_, pending_units_);
  pending_.clear(), pending_units_.clear();
}

void ShardSet::add(std::span<const TokenId> tokens, std::span<const uint32_t> unit_lengths) {
  size_t at = 0, unit_end = 0;  // in the piece
  if (pieces_ == done_pieces_) at = size_t(done_tokens_);
  check(at <= tokens.size(), name(), ": the input changed since its first shards were made; use --force");
  for (const uint32_t length : unit_lengths) {
    unit_end += length;
    while (at < unit_end) {
      const int64_t rest = int64_t(unit_end - at), most = options_.shard_tokens;
      const int64_t room = most - (writer_ ? writer_->tokens() : 0) - int64_t(pending_.size());
      if (room < rest && room < most && (rest <= most || room == 0)) {
        end_shard(int64_t(at));
        continue;
      }
      const auto part = tokens.subspan(at, size_t(std::min(rest, room)));
      pending_.insert(pending_.end(), part.begin(), part.end());
      pending_units_.push_back(uint32_t(part.size()));
      at += part.size();
    }
  }
  ++pieces_;
  if (pending_.size() >= kPendingTokens) flush();
}

void ShardSet::end_shard(int64_t token_in_piece) {
  engine::check_stop();
  flush();
  if (shards() == 0) save_record();  // a shard without a record could be anybody's
  const ShardInfo info = writer_->commit();
  writer_.reset();
  tokens_ += info.tokens, units_ += info.units;
  const std::string file = shard_name(shards());
  record_["shards"].push_back({{"file", file},
                               {"tokens", info.tokens},
                               {"units", info.units},
                               {"checksum", info.checksum},
                               {"next", {{"piece", pieces_}, {"token", token_in_piece}}}});
  save_record();
}

void ShardSet::finish() {
  if (writer_ != nullptr || !pending_.empty()) end_shard(0);
  check(shards() > 0, name(), ": no tokens: the input is empty");
  record_["finished"] = finished_ = true;
  save_record();
}

void ShardSet::save_record() const {
  engine::write_file(name() + ".json", engine::json_text(record_, 1) + "\n");
}

}  // namespace data
