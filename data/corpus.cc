// Read first: corpus.h.
#include "data/corpus.h"

#include <algorithm>
#include <numeric>

#include "data/shuffle.h"
#include "data/utf8.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/sha256.h"

namespace data {
namespace {

using engine::check;
using engine::Json;
constexpr const char* kParts[] = {"train", "valid", "test"};

/// A piece of one document in one part: whole documents, or slices of them when the text is cut at its end.
using Part = std::vector<std::string_view>;

int64_t count_words(std::string_view text) {
  int64_t words = 0;
  bool inside = false;
  for (const char c : text) {
    const bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    words += !space && !inside;
    inside = !space;
  }
  return words;
}

/// The first byte at or after `at` that `marks` has, as an offset behind it.
size_t behind_next(std::string_view text, size_t at, const char* marks) {
  const size_t found = text.find_first_of(marks, at);
  return found == std::string_view::npos ? text.size() : found + 1;
}

/// Where to cut at or after `at`, before `limit`: behind a line end; where the line is longer, as in a text
/// that is one line, behind white space; else between two characters.
size_t place_to_cut(std::string_view text, size_t at, double limit) {
  for (const char* marks : {"\n", " \t\n"})
    if (const size_t end = behind_next(text, at, marks); double(end) < limit) return end;
  do ++at;
  while (at < text.size() && (text[at] & 0xc0) == 0x80);
  return at;
}

/// Cuts the documents, taken as one text, at the places nearest after the shares' bounds.
std::vector<Part> cut_by_position(const std::deque<std::string>& texts, double valid, double test) {
  size_t total = 0;
  for (const auto& text : texts) total += text.size();
  const double bounds[] = {double(total) * (1 - valid - test), double(total) * (1 - test), double(total)};
  std::vector<Part> parts(3);
  size_t before = 0;
  int part = 0;
  for (const auto& text : texts) {
    for (size_t at = 0; at < text.size();) {
      while (part < 2 && double(before + at) >= bounds[part] - 0.5) ++part;
      const double room = bounds[part] - double(before + at);
      // A cut behind the next bound would leave a part empty that is to have a share.
      const double limit = (bounds[part] < bounds[1] - 0.5 ? bounds[1] : bounds[2]) - double(before);
      const size_t end = part == 2 || room >= double(text.size() - at)
                             ? text.size()
                             : place_to_cut(text, at + size_t(room), limit);
      parts[size_t(part)].push_back(std::string_view(text).substr(at, end - at));
      at = end;
    }
    before += text.size();
  }
  return parts;
}

/// Writes one part, all but its final name, and returns its entry of the manifest.
Json write_part(engine::AtomicFile& out, const std::string& file, const Part& part, bool jsonl) {
  engine::Sha256 sha;
  Json entry = {{"file", file}};
  int64_t characters = 0, words = 0, lines = 0;
  const auto put = [&](std::string_view bytes) {
    out.write(bytes);
    sha.update(bytes);
  };
  for (size_t i = 0; i < part.size(); ++i) {
    characters += int64_t(count_characters(part[i])), words += count_words(part[i]);
    lines += std::count(part[i].begin(), part[i].end(), '\n');
    if (jsonl) {
      put(engine::json_text(Json{{"text", part[i]}}) + "\n");
      continue;
    }
    put(part[i]);
    if (i + 1 == part.size()) break;
    if (!part[i].ends_with('\n')) put("\n");
    put(std::string(kSeparatorLine) + "\n");
  }
  entry["documents"] = part.size();
  entry["bytes"] = out.size();
  entry["characters"] = characters, entry["words"] = words, entry["lines"] = lines;
  entry["sha256"] = sha.finish_hex();
  out.flush();
  return entry;
}

Json read_manifest(const std::string& path) {
  if (!engine::is_regular_file(path)) return {};
  const Json json = engine::read_json(path);
  const bool ours = json.is_object() && json.value("format", Json()) == "normlab-corpus";
  return ours ? json : Json();
}

}  // namespace

CorpusBuilder::CorpusBuilder(const CorpusOptions& options) : options_(options) {
  check(options.valid >= 0 && options.test >= 0 && options.valid + options.test < 1,
        "corpus: valid and test must be shares that leave something to train on, got ", options.valid,
        " and ", options.test);
}

void CorpusBuilder::add(Document&& document) {
  ++read_;
  std::string text = options_.cleaning == Cleaning::clean
                         ? clean_text(std::move(document.text), options_.invalid, document.where)
                         : checked_utf8(std::move(document.text), options_.invalid, document.where);
  if (text.empty()) {
    ++empty_;
    return;
  }
  if (!options_.keep_duplicates && seen_.contains(text)) {
    ++duplicates_;
    return;
  }
  needs_jsonl_ = needs_jsonl_ || holds_separator_line(text);
  seen_.insert(texts_.emplace_back(std::move(text)));
}

std::vector<int> split_documents(const std::vector<size_t>& sizes, double valid, double test, uint64_t seed) {
  const double total = double(std::accumulate(sizes.begin(), sizes.end(), size_t(0)));
  const double shares[] = {1, valid, test};
  std::vector<int> out(sizes.size(), 0);
  const int64_t n = int64_t(sizes.size());
  int64_t next = 0;
  for (const int part : {2, 1}) {
    for (double bytes = 0; next < n - 1 && bytes < shares[part] * total;) {
      const size_t document = size_t(shuffled_index(seed, 0, n, next++));
      out[document] = part;
      bytes += double(sizes[document]);
    }
  }
  return out;
}

Json CorpusBuilder::write(const std::string& folder, const CorpusSource& source) const {
  check(!texts_.empty(), "corpus ", source.name, ": no text in it (", read_, " documents read, all empty)");
  std::vector<Part> parts(3);
  const bool deal = texts_.size() >= kFewestDocumentsToDeal;
  if (deal) {
    std::vector<size_t> sizes;
    for (const auto& text : texts_) sizes.push_back(text.size());
    const std::vector<int> where = split_documents(sizes, options_.valid, options_.test, options_.seed);
    for (size_t i = 0; i < texts_.size(); ++i) parts[size_t(where[i])].push_back(texts_[i]);
  } else {
    parts = cut_by_position(texts_, options_.valid, options_.test);
  }
  engine::make_directories(folder);
  const engine::FolderLock lock(folder);
  Json files = Json::array();
  std::deque<engine::AtomicFile> written;
  for (size_t p = 0; p < 3; ++p) {
    const std::string file = std::string(kParts[p]) + (needs_jsonl_ ? ".jsonl" : ".txt");
    if (p > 0 && (p == 1 ? options_.valid : options_.test) == 0) continue;
    files.push_back(write_part(written.emplace_back(folder + "/" + file), file, parts[p], needs_jsonl_));
  }
  const Json manifest = {
      {"format", "normlab-corpus"},
      {"version", 1},
      {"name", source.name},
      {"licence", source.licence},
      {"origin", source.origin},
      {"cleaning", options_.cleaning == Cleaning::clean ? "clean" : "utf8-only"},
      {"documents",
       {{"read", read_}, {"empty", empty_}, {"duplicates", duplicates_}, {"kept", texts_.size()}}},
      {"split",
       {{"by", deal ? "document" : "position"},
        {"valid", options_.valid},
        {"test", options_.test},
        {"seed", options_.seed}}},
      {"files", files}};
  // All is on the disk; what is left are moves. Should they be cut short, the manifest that is there then
  // does not fit the files, or says that it is not finished: corpus_files() sees that.
  const std::string path = folder + "/manifest.json";
  engine::AtomicFile& last = written.emplace_back(path);
  last.write(engine::json_text(manifest, 2) + "\n");
  last.flush();
  if (read_manifest(path).is_null())
    engine::write_file(
        path,
        engine::json_text(Json{{"format", "normlab-corpus"}, {"version", 1}, {"finished", false}}) + "\n");
  for (engine::AtomicFile& file : written) file.commit();
  return manifest;
}

std::vector<std::string> corpus_files(const std::string& folder) {
  const std::string path = folder + "/manifest.json";
  const Json manifest = read_manifest(path);
  std::vector<std::string> out;
  if (manifest.is_null()) return out;
  check(manifest.value("finished", Json(true)) == true, path,
        ": `normlab corpus` was stopped before the files were complete; run it again");
  check(manifest.contains("files") && manifest["files"].is_array() && !manifest["files"].empty(), path,
        ": \"files\" is missing");
  for (const Json& file : manifest["files"]) {
    check(file.is_object() && file.contains("file") && file.contains("sha256"), path,
          ": \"files\" is damaged");
    const std::string name = engine::json_string(file["file"], path + ": file");
    check(engine::is_plain_file_name(name), path, ": \"", name,
          "\" is not the name of a file in this folder");
    out.push_back(folder + "/" + name);
    check(engine::sha256_file(out.back()) == engine::json_string(file["sha256"], path + ": sha256"),
          out.back(),
          ": is not the file that manifest.json was written for (its sha256 differs): `normlab corpus` was "
          "stopped, or "
          "the file was changed; run it again, or name the files one by one");
  }
  return out;
}

}  // namespace data
