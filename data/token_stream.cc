// Read first: token_stream.h.
#include "data/token_stream.h"

#include <algorithm>
#include <filesystem>

#include "data/shard_record.h"
#include "data/shuffle.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/text.h"

namespace data {

using engine::check;
namespace fs = std::filesystem;

namespace {

/// A folder may be named in place of its only set. Training text and what is held out of it are no one
/// stream.
void check_one_set(const std::string& folder, const std::vector<std::string>& files) {
  std::vector<std::string> sets;
  for (const std::string& file : files) {
    const std::string name = fs::path(file).stem().string();
    const size_t digits = name.find_last_not_of("0123456789");  // what prepare counts with follows a hyphen
    const bool counted = digits + 1 < name.size() && name[digits] == '-';
    const std::string set = counted ? name.substr(0, digits) : name;
    if (std::find(sets.begin(), sets.end(), set) == sets.end()) sets.push_back(set);
  }
  check(sets.size() < 2, folder, ": holds the sets ", engine::one_of(sets), "; name one of them: ", folder,
        "/NAME");
}

}  // namespace

std::vector<std::string> shard_files(const std::string& path) {
  if (engine::is_regular_file(path)) return {path};
  const bool folder = engine::is_directory(path);
  const fs::path parent = folder ? fs::path(path) : fs::path(path).parent_path();
  const std::string set = folder ? "" : fs::path(path).filename().string();
  std::vector<std::string> names, out;
  if (parent.empty() || engine::is_directory(parent))
    names = engine::list_folder(parent.empty() ? "." : parent);
  for (const std::string& name : names)
    if (folder ? name.ends_with(".bin") : set_of_shard(name) == set) out.push_back((parent / name).string());
  check(!out.empty(), path, engine::file_exists(path) ? ": " : ": no such file, and ",
        "no token shard there (expected a shard, a folder of shards, or FOLDER/NAME)");
  if (folder) check_one_set(path, out);
  return out;
}

std::shared_ptr<const TokenStream> TokenStream::open(const std::string& path, Verify verify) {
  std::shared_ptr<TokenStream> out(new TokenStream);
  out->name_ = path;
  for (const auto& file : shard_files(path)) {
    const ShardInfo& info = out->shards_.emplace_back(file, verify).info();
    const ShardInfo& first = out->shards_[0].info();
    check(info.tokenizer == first.tokenizer && info.vocabulary == first.vocabulary &&
              info.separator == first.separator,
          file, ": made with another tokenizer than ", out->shards_[0].path());
    out->starts_.push_back(out->starts_.back() + info.tokens);
    out->fingerprint_ =
        mix_fingerprint(mix_fingerprint(out->fingerprint_, info.checksum), uint64_t(info.tokens));
  }
  check_records(out->shards_, engine::is_regular_file(path) ? SetPart::one_shard : SetPart::whole);
  const ShardInfo& info = out->shards_[0].info();
  out->vocabulary_ = info.vocabulary, out->separator_ = info.separator, out->tokenizer_ = info.tokenizer;
  return out;
}

std::shared_ptr<const TokenStream> TokenStream::of(std::vector<int32_t> ids, int64_t vocabulary,
                                                   int32_t separator, std::vector<uint32_t> unit_lengths) {
  std::shared_ptr<TokenStream> out(new TokenStream);
  out->name_ = "tokens in memory";
  for (const int32_t id : ids) {
    check(id >= 0 && id < vocabulary, "tokens: ", id, " is outside the vocabulary of ", vocabulary);
    out->fingerprint_ = mix_fingerprint(out->fingerprint_, uint64_t(id));
  }
  out->starts_.push_back(int64_t(ids.size()));
  out->ids_ = std::move(ids);
  out->unit_lengths_ = std::move(unit_lengths);
  out->vocabulary_ = vocabulary, out->separator_ = separator;
  return out;
}

void TokenStream::check_tokenizer(const TokenizerHash& hash) const {
  check(
      shards_.empty() || hash == tokenizer_, name_,
      ": these shards were made with another tokenizer (its hash differs); prepare them again with this one");
}

void TokenStream::read(int64_t first, int64_t count, int32_t* out) const {
  check(first >= 0 && count >= 0 && first <= size() - count, name_, ": tokens ", first, " to ", first + count,
        " of ", size());
  if (shards_.empty()) {
    std::copy_n(ids_.begin() + first, count, out);
    return;
  }
  size_t shard = size_t(std::upper_bound(starts_.begin(), starts_.end(), first) - starts_.begin()) - 1;
  while (count > 0) {
    const int64_t n = std::min(count, starts_[shard + 1] - first);
    shards_[shard].read(first - starts_[shard], n, out);
    first += n, out += n, count -= n, ++shard;
  }
}

std::vector<uint32_t> TokenStream::unit_lengths() const {
  if (shards_.empty()) return unit_lengths_.empty() ? std::vector{uint32_t(ids_.size())} : unit_lengths_;
  std::vector<uint32_t> out;
  for (const auto& shard : shards_)
    for (int64_t i = 0; i < shard.info().units; ++i) out.push_back(uint32_t(shard.unit_length(i)));
  return out;
}

}  // namespace data
