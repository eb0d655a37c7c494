// Read first: corpus.h.
#include "data/corpus.h"

#include <algorithm>
#include <cstring>
#include <deque>
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

/// Cuts documents, taken as one text, at the places nearest after the shares' bounds.
class Cutter {
 public:
  Cutter(uint64_t total, double valid, double test)
      : bounds_{double(total) * (1 - valid - test), double(total) * (1 - test), double(total)} {}

  /// Calls put(part, slice) for the slices of the next document.
  template <class Put>
  void cut(std::string_view text, const Put& put) {
    for (size_t at = 0; at < text.size();) {
      while (part_ < 2 && double(before_ + at) >= bounds_[part_] - 0.5) ++part_;
      const double room = bounds_[part_] - double(before_ + at);
      // A cut behind the next bound would leave a part empty that is to have a share.
      const double limit = (bounds_[part_] < bounds_[1] - 0.5 ? bounds_[1] : bounds_[2]) - double(before_);
      const size_t end = part_ == 2 || room >= double(text.size() - at)
                             ? text.size()
                             : place_to_cut(text, at + size_t(room), limit);
      put(part_, text.substr(at, end - at));
      at = end;
    }
    before_ += text.size();
  }

 private:
  double bounds_[3];
  size_t part_ = 0;
  uint64_t before_ = 0;  // bytes of the documents so far
};

/// One file of a corpus, in the making.
class PartWriter {
 public:
  PartWriter(const std::string& folder, const char* part, bool jsonl)
      : name_(std::string(part) + (jsonl ? ".jsonl" : ".txt")), jsonl_(jsonl), out_(folder + "/" + name_) {}

  /// A document, or the slice of one that falls into this part.
  void add(std::string_view text) {
    characters_ += int64_t(count_characters(text)), words_ += count_words(text);
    lines_ += std::count(text.begin(), text.end(), '\n');
    if (jsonl_) {
      put(engine::json_text(Json{{"text", text}}) + "\n");
    } else {
      if (documents_ > 0) put(std::string(line_open_ ? "\n" : "") + kSeparatorLine + "\n");
      put(text);
      line_open_ = !text.ends_with('\n');
    }
    ++documents_;
  }
  /// All but the file's final name; its entry of the manifest.
  Json flush() {
    out_.flush();
    return {{"file", name_},
            {"documents", documents_},
            {"bytes", out_.size()},
            {"characters", characters_},
            {"words", words_},
            {"lines", lines_},
            {"sha256", sha_.finish_hex()}};
  }
  void commit() { out_.commit(); }

 private:
  void put(std::string_view bytes) {
    out_.write(bytes);
    sha_.update(bytes);
  }

  std::string name_;
  bool jsonl_;
  engine::AtomicFile out_;
  engine::Sha256 sha_;
  bool line_open_ = false;  // the text so far does not end with a line end
  int64_t documents_ = 0, characters_ = 0, words_ = 0, lines_ = 0;
};

Json read_manifest(const std::string& path) {
  if (!engine::is_regular_file(path)) return {};
  const Json json = engine::read_json(path);
  const bool ours = json.is_object() && json.value("format", Json()) == "normlab-corpus";
  return ours ? json : Json();
}

}  // namespace

CorpusBuilder::CorpusBuilder(const CorpusOptions& options, const std::string& folder)
    : options_(options), folder_(folder), spool_(folder) {
  check(options.valid >= 0 && options.test >= 0 && options.valid + options.test < 1,
        "corpus: valid and test must be shares that leave something to train on, got ", options.valid,
        " and ", options.test);
}

void CorpusBuilder::add(Document&& document) {
  ++read_;
  const std::string text = options_.cleaning == Cleaning::clean
                               ? clean_text(std::move(document.text), options_.invalid, document.where)
                               : checked_utf8(std::move(document.text), options_.invalid, document.where);
  if (text.empty()) {
    ++empty_;
    return;
  }
  if (!options_.keep_duplicates) {
    engine::Sha256 sha;
    sha.update(text);
    Digest digest;
    std::memcpy(digest.data(), sha.finish().data(), sizeof digest);
    if (!seen_.insert(digest).second) {
      ++duplicates_;
      return;
    }
  }
  needs_jsonl_ = needs_jsonl_ || holds_separator_line(text);
  spool_.add(text);
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

Json CorpusBuilder::write(const CorpusSource& source) {
  const size_t kept = spool_.sizes().size();
  check(kept > 0, source.name, ": no text in it (", read_, read_ == 1 ? " document read" : " documents read",
        read_ > 0 ? ", all empty)" : ")");
  engine::make_directories(folder_);
  const engine::FolderLock lock(folder_);
  std::deque<PartWriter> parts;
  PartWriter* by_number[3] = {};
  for (size_t p = 0; p < 3; ++p)
    if (p == 0 || (p == 1 ? options_.valid : options_.test) > 0)
      by_number[p] = &parts.emplace_back(folder_, kParts[p], needs_jsonl_);
  const bool deal = kept >= kFewestDocumentsToDeal;
  if (deal) {
    const std::vector<int> where =
        split_documents(spool_.sizes(), options_.valid, options_.test, options_.seed);
    spool_.each([&](size_t i, const std::string& text) { by_number[where[i]]->add(text); });
  } else {
    Cutter cutter(spool_.bytes(), options_.valid, options_.test);
    spool_.each([&](size_t, const std::string& text) {
      cutter.cut(text, [&](size_t part, std::string_view slice) { by_number[part]->add(slice); });
    });
  }
  Json files = Json::array();
  for (PartWriter& part : parts) files.push_back(part.flush());
  const Json manifest = {
      {"format", "normlab-corpus"},
      {"version", 1},
      {"name", source.name},
      {"licence", source.licence},
      {"origin", source.origin},
      {"cleaning", options_.cleaning == Cleaning::clean ? "clean" : "utf8-only"},
      {"documents", {{"read", read_}, {"empty", empty_}, {"duplicates", duplicates_}, {"kept", kept}}},
      {"split",
       {{"by", deal ? "document" : "position"},
        {"valid", options_.valid},
        {"test", options_.test},
        {"seed", options_.seed}}},
      {"files", files}};
  // All is on the disk; what is left are moves. Should they be cut short, the manifest that is there then
  // does not fit the files, or says that it is not finished: corpus_files() sees that.
  const std::string path = folder_ + "/manifest.json";
  engine::AtomicFile last(path);
  last.write(engine::json_text(manifest, 2) + "\n");
  last.flush();
  if (read_manifest(path).is_null())
    engine::write_file(
        path,
        engine::json_text(Json{{"format", "normlab-corpus"}, {"version", 1}, {"finished", false}}) + "\n");
  for (PartWriter& part : parts) part.commit();
  last.commit();
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
