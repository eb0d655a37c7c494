// Read first: prepare.h.
#include "data/prepare.h"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <new>

#include "data/byte_source.h"
#include "data/corpus.h"
#include "data/encode_documents.h"
#include "data/import_tokens.h"
#include "data/shard_record.h"
#include "data/utf8.h"
#include "engine/base/check.h"
#include "engine/base/crc32c.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/stop.h"
#include "engine/base/text.h"

namespace data {
namespace {

using engine::check;
using engine::Json;
using engine::json_string;
namespace fs = std::filesystem;

constexpr size_t kBatchBytes = size_t(16) << 20;     // of text that is encoded together
constexpr size_t kMostRawBytes = size_t(256) << 30;  // of a raw file, which is read whole

constexpr const char* kFormNames[] = {"documents", "raw", "llmc", "nanogpt"};

struct SetWord {
  const char *word, *set;
};
constexpr SetWord kSetWords[] = {{"train", "train"}, {"training", "train"},   {"valid", "valid"},
                                 {"val", "valid"},   {"validation", "valid"}, {"dev", "valid"},
                                 {"eval", "valid"},  {"evaluation", "valid"}, {"test", "test"},
                                 {"testing", "test"}};

enum class Part { whole, head, tail };  // of a raw file

struct Input {
  std::string path;
  Part part = Part::whole;
};
struct Set {
  std::string name;
  std::vector<Input> inputs;
};

/// The set that a file's name says, or nothing.
std::string set_word(const std::string& path) {
  std::string name = fs::path(path).filename().string(), word, out;
  for (const char c : name + ".") {
    if (std::isalpha(uint8_t(c))) {
      word += char(std::tolower(uint8_t(c)));
      continue;
    }
    for (const SetWord& known : kSetWords)
      if (word == known.word) out = known.set;
    word.clear();
  }
  return out;
}

/// The files of a folder whose names say train and valid or test; {folder} for any other.
std::vector<std::string> split_by_names(const std::string& folder) {
  const std::vector<std::string> files = files_below(folder);
  const auto named = [&](const std::string& path) { return !set_word(path).empty(); };
  const auto of = [&](const char* set) {
    return std::any_of(files.begin(), files.end(), [&](const std::string& f) { return set_word(f) == set; });
  };
  if (!of("train") || !(of("valid") || of("test"))) return {folder};
  const auto unnamed = std::find_if_not(files.begin(), files.end(), named);
  check(unnamed == files.end(), folder, ": some files' names say train, valid or test, but ", *unnamed,
        " does not; name the files one by one");
  return files;
}

std::vector<Set> sets_of(const std::vector<std::string>& inputs, const PrepareOptions& options) {
  std::vector<Set> sets;
  const auto add = [&](const std::string& name, Input input) {
    auto set = std::find_if(sets.begin(), sets.end(), [&](const Set& s) { return s.name == name; });
    if (set == sets.end()) set = sets.insert(set, Set{name, {}});
    set->inputs.push_back(std::move(input));
  };
  for (const std::string& input : inputs) {
    check(input == "-" || engine::file_exists(input), input, ": no such file or folder");
    for (const std::string& path : files_of_sets(input)) {
      if (options.valid > 0) {
        add("train", {path, Part::head});
        add("valid", {path, Part::tail});
      } else {
        add(set_of_file(path), {path});
      }
    }
  }
  return sets;
}

/// Fails when what is written would take the place of what is read, or be read.
void check_apart(const std::vector<Set>& sets, const std::string& folder) {
  using Identity = std::pair<dev_t, ino_t>;
  const auto is_written = [&](const std::string& file) {
    return file == "tokenizer.json" || std::any_of(sets.begin(), sets.end(), [&](const Set& set) {
             return file == set.name + ".json" || set_of_shard(file) == set.name;
           });
  };
  std::map<Identity, std::string> written;
  if (engine::is_directory(folder))
    for (const std::string& file : engine::list_folder(folder))
      if (struct stat info{}; is_written(file) && ::stat((folder + "/" + file).c_str(), &info) == 0)
        written[{info.st_dev, info.st_ino}] = file;
  for (const Set& set : sets)
    for (const Input& input : set.inputs) {
      struct stat info {};
      if (input.path == "-" || ::stat(input.path.c_str(), &info) != 0) continue;
      check_outside(folder, input.path);
      const auto found = written.find({info.st_dev, info.st_ino});
      check(found == written.end(), input.path, ": would be replaced, since what is made of it has a file ",
            found == written.end() ? "" : found->second, "; choose another folder");
    }
}

/// What tells one input from another without reading it: names, sizes, times of change.
Json describe(const Set& set, const PrepareOptions& options) {
  Json files = Json::array();
  for (const Input& input : set.inputs) {
    if (input.path == "-") {
      files.push_back({{"path", "-"}});
      continue;
    }
    for (const std::string& path : files_below(input.path)) {
      struct stat info {};
      check(::stat(path.c_str(), &info) == 0, path, ": cannot be read");
      if (!S_ISREG(info.st_mode)) {  // a pipe: its times change as it is read
        files.push_back({{"path", path}});
        continue;
      }
      const int64_t changed = int64_t(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec;
      files.push_back({{"path", path}, {"bytes", int64_t(info.st_size)}, {"changed", changed}});
    }
  }
  Json out = {{"form", kFormNames[size_t(options.form)]},
              {"units", options.units == Units::line ? "line" : "document"},
              {"special", options.special == SpecialText::recognised},
              {"field", options.read.field},
              {"files", files}};
  if (options.valid > 0) out["valid"] = options.valid;
  if (options.read.stdin_is_jsonl) out["stdin"] = "jsonl";
  return out;
}

/// A description with the checksum of each file's bytes: files that were written again with the same content are
/// the same source.
Json with_checksums(Json source) {
  for (Json& file : source["files"]) {
    if (!file.contains("bytes")) continue;  // no regular file
    engine::InputFile in(json_string(file["path"], "path"));
    std::vector<char> block(size_t(1) << 20);
    uint32_t crc = 0;
    while (const size_t n = in.read(block.data(), block.size())) {
      engine::check_stop();
      crc = engine::crc32c(block.data(), n, crc);
    }
    file["crc32c"] = crc;
  }
  return source;
}

/// Fails when a file is not what it was when the work began.
void check_unchanged(const Json& before, const Json& now) {
  const Json &old_files = before["files"], &files = now["files"];
  for (size_t i = 0; i < std::min(old_files.size(), files.size()); ++i)
    check(old_files[i] == files[i], json_string(files[i]["path"], "path"), ": changed while it was read");
  check(old_files.size() == files.size(), "prepare: an input folder had ", old_files.size(),
        " files at first and has ", files.size(), " now");
}

/// The head or tail of a text, cut behind floor((1 - share) * n) of its n characters, as nanoGPT cuts.
std::string take_part(std::string text, Part part, double share) {
  if (part == Part::whole) return text;
  const auto* begin = reinterpret_cast<const uint8_t*>(text.data());
  const auto* end = begin + text.size();
  int64_t characters = 0;
  for (const uint8_t* p = begin; p < end; p += decode_char(p, end).bytes) ++characters;
  const auto* cut = begin;
  for (int64_t left = int64_t((1 - share) * double(characters)); left > 0; --left)
    cut += decode_char(cut, end).bytes;
  return part == Part::head ? text.substr(0, size_t(cut - begin)) : text.substr(size_t(cut - begin));
}

/// Collects documents until there is enough work for all threads.
class Encoder {
 public:
  Encoder(const Tokenizer& tokenizer, const PrepareOptions& options, ShardSet& set, const std::string& name)
      : tokenizer_(tokenizer), options_(options), set_(set), name_(name) {}

  void add(Document&& document) {
    bytes_ += int64_t(document.text.size());
    if (set_.pieces_to_skip() > 0) return set_.skip(1);
    batch_bytes_ += document.text.size();
    batch_.push_back(std::move(document));
    if (batch_bytes_ >= kBatchBytes) flush();
  }
  void add(const EncodedPiece& piece) {
    bytes_ += int64_t(piece.tokens.size()) * 2;
    if (set_.pieces_to_skip() > 0) return set_.skip(1);
    append(piece);
    report();
  }
  void flush() {
    try {
      for (const EncodedPiece& piece : encode_documents(tokenizer_, options_, batch_)) append(piece);
    } catch (const std::bad_alloc&) {
      const auto longest = std::max_element(
          batch_.begin(), batch_.end(),
          [](const Document& a, const Document& b) { return a.text.size() < b.text.size(); });
      engine::fail(longest->where, ": not enough memory for the tokens of a document of ",
                   engine::human_bytes(double(longest->text.size())));
    }
    batch_.clear(), batch_bytes_ = 0;
    report();
  }

 private:
  void append(const EncodedPiece& piece) {
    set_.add(piece.tokens, piece.unit_lengths);
    ++pieces_, tokens_ += int64_t(piece.tokens.size());
  }
  void report() { options_.progress({name_, bytes_, pieces_, tokens_}); }

  const Tokenizer& tokenizer_;
  const PrepareOptions& options_;
  ShardSet& set_;
  const std::string& name_;
  std::vector<Document> batch_;
  size_t batch_bytes_ = 0;
  int64_t bytes_ = 0, pieces_ = 0, tokens_ = 0;
};

void read_input(const Input& input, const Tokenizer& tokenizer, const PrepareOptions& options,
                Encoder& encoder) {
  switch (options.form) {
    case PrepareForm::documents:
      return read_documents(input.path, options.read, [&](Document&& d) { encoder.add(std::move(d)); });
    case PrepareForm::raw: {
      // To a tokenizer of bytes any file is text.
      const bool any = tokenizer.kind() == TokenizerKind::byte;
      std::string text = read_all(
          *(any ? open_bytes : open_text)(input.path, options.valid > 0 ? Pipes::refused : Pipes::allowed),
          input.path, kMostRawBytes);
      std::string part = take_part(std::move(text), input.part, options.valid);
      check(!part.empty() || input.part == Part::whole, input.path, ": --valid ", options.valid,
            " leaves nothing to ", input.part == Part::head ? "train" : "validate", " on");
      return encoder.add({std::move(part), input.path});
    }
    case PrepareForm::llmc:
    case PrepareForm::nanogpt:
      return read_token_file(input.path, options.form, tokenizer,
                             [&](const EncodedPiece& piece) { encoder.add(piece); });
  }
}

}  // namespace

DocumentEnd document_end(const Tokenizer& tokenizer) {
  const bool words =
      tokenizer.kind() == TokenizerKind::word;  // its <eos> is a line end, and in the text already
  for (const char* text : {"<|endoftext|>", "</s>", "<|end_of_text|>", "[SEP]", "<eos>"})
    if (const TokenId id = tokenizer.special_id(text);
        id != no_token && !(words && text == std::string_view("<eos>")))
      return {id, DocumentEnd::special};
  if (words) return {tokenizer.special_id("<eos>"), DocumentEnd::end_of_line};
  try {
    const std::vector<TokenId> newline = tokenizer.encode("\n");
    if (newline.size() == 1 && tokenizer.decode(newline) == "\n") return {newline[0], DocumentEnd::newline};
  } catch (const engine::Error&) {  // a character that the vocabulary lacks; with <unk> it is another one
  }
  return {};
}

std::string set_of_file(const std::string& path) {
  const std::string word = set_word(path);
  return word.empty() ? "train" : word;
}

std::vector<std::string> files_of_sets(const std::string& path) {
  if (!engine::is_directory(path)) return {path};
  const std::vector<std::string> corpus = corpus_files(path);
  return corpus.empty() ? split_by_names(path) : corpus;
}

std::vector<PreparedSet> prepare(const Tokenizer& tokenizer, const std::vector<std::string>& inputs,
                                 const PrepareOptions& options) {
  check(!inputs.empty(), "prepare: no input");
  check(options.valid == 0 || options.form == PrepareForm::raw,
        "prepare: --valid cuts raw files; documents are split by `normlab corpus`");
  check(options.valid == 0 || std::count(inputs.begin(), inputs.end(), "-") == 0,
        "prepare: --valid reads its input twice, so it cannot be standard input");
  check(options.units == Units::document || options.form == PrepareForm::documents,
        "prepare: units are lines only where text is read as documents");
  const DocumentEnd end = document_end(tokenizer);
  check(
      end.role != DocumentEnd::none || options.form != PrepareForm::documents,
      "prepare: this tokenizer has no token to end documents with (such as \"<|endoftext|>\", \"</s>\" or a "
      "newline); train it with --special '<|endoftext|>', or use --raw");
  const int32_t separator = end.id == no_token ? 0 : int32_t(end.id);
  std::vector<PreparedSet> out;
  const std::vector<Set> sets = sets_of(inputs, options);
  check_apart(sets, options.folder);
  std::vector<Json> sources;  // of all sets before the first is read: they may share files
  for (const Set& set : sets) sources.push_back(describe(set, options));
  engine::make_directories(options.folder);
  const engine::FolderLock lock(options.folder);
  for (size_t i = 0; i < sets.size(); ++i) {
    const Set& set = sets[i];
    ShardSet shards({options.folder, set.name, options.shard_tokens, with_checksums(sources[i]), options.existing},
                    tokenizer, separator);
    const bool was_finished = shards.finished();
    if (!was_finished) {
      Encoder encoder(tokenizer, options, shards, set.name);
      for (const Input& input : set.inputs) read_input(input, tokenizer, options, encoder);
      encoder.flush();
      check_unchanged(sources[i], describe(set, options));
      shards.finish();
    }
    out.push_back({shards.name(), shards.tokens(), shards.units(), int64_t(shards.shards()), was_finished});
  }
  return out;
}

}  // namespace data
