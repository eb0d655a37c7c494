// What all kinds share: special tokens in text, checks of ids, files. Read first: tokenizer.h.
#include "data/tokenizer.h"

#include <algorithm>
#include <array>
#include <optional>

#include "data/bpe_files.h"
#include "data/bpe_train.h"
#include "data/byte_tokenizer.h"
#include "data/char_tokenizer.h"
#include "data/utf8.h"
#include "data/word_tokenizer.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/sha256.h"
#include "engine/base/text.h"

namespace data {

using engine::check;

namespace {

struct KindName {
  TokenizerKind kind;
  const char* name;
};
constexpr KindName kind_names[] = {{TokenizerKind::bpe, "bpe"},
                                   {TokenizerKind::byte, "byte"},
                                   {TokenizerKind::character, "char"},
                                   {TokenizerKind::word, "word"}};

constexpr size_t most_tokenizer_bytes = size_t(256) << 20;

/// The first special token in text[from…]: leftmost, then longest. Remembers where each one comes next, so
/// that a pass over a text searches it once for each special token.
class SpecialFinder {
 public:
  SpecialFinder(std::string_view text, const std::vector<SpecialToken>& special)
      : text_(text), special_(special), next_(special.size(), 0) {
    for (size_t i = 0; i < special.size(); ++i) next_[i] = text.find(special[i].text);
  }
  /// Null when there is none.
  const SpecialToken* find(size_t from, size_t& at) {
    const SpecialToken* best = nullptr;
    at = std::string_view::npos;
    for (size_t i = 0; i < special_.size(); ++i) {
      if (next_[i] < from) next_[i] = text_.find(special_[i].text, from);
      if (next_[i] == std::string_view::npos) continue;
      const bool longer = next_[i] == at && special_[i].text.size() > best->text.size();
      if (next_[i] < at || longer) best = &special_[i], at = next_[i];
    }
    return best;
  }

 private:
  std::string_view text_;
  const std::vector<SpecialToken>& special_;
  std::vector<size_t> next_;
};

size_t skip_space(std::string_view text, size_t at) {
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  while (at < text.size()) {
    const Char c = decode_char(p + at, p + text.size());
    if (class_of(char_class_table(), c) != CharClass::space) break;
    at += c.bytes;
  }
  return at;
}

size_t skip_space_back(std::string_view text, size_t from, size_t at) {
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  while (at > from) {
    const Char c = decode_char_before(p + from, p + at);
    if (class_of(char_class_table(), c) != CharClass::space) break;
    at -= c.bytes;
  }
  return at;
}

}  // namespace

const char* kind_name(TokenizerKind kind) {
  for (const KindName& k : kind_names) {
    if (k.kind == kind) return k.name;
  }
  return "?";
}

TokenizerKind parse_kind(const std::string& name) {
  std::vector<std::string> names;
  for (const KindName& k : kind_names) {
    if (name == k.name) return k.kind;
    names.push_back(k.name);
  }
  engine::fail("tokenizer kind \"", name, "\": expected ", engine::one_of(names));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, SpecialText special, int threads) const {
  std::vector<TokenId> out;
  if (special == SpecialText::recognised && !special_.empty()) {
    encode_recognising(text, threads, out);
  } else {
    encode_ordinary(text, threads, out);
  }
  return out;
}

void Tokenizer::encode_recognising(std::string_view text, int threads, std::vector<TokenId>& out) const {
  SpecialFinder finder(text, special_);
  size_t from = 0;
  for (size_t at; const SpecialToken* token = finder.find(from, at);) {
    const size_t before = token->strip_left ? skip_space_back(text, from, at) : at;
    if (before > from) encode_ordinary(text.substr(from, before - from), threads, out);
    out.push_back(token->id);
    from = at + token->text.size();
    if (token->strip_right) from = skip_space(text, from);
  }
  if (from < text.size()) encode_ordinary(text.substr(from), threads, out);
}

std::string Tokenizer::decode(std::span<const TokenId> ids) const {
  const size_t size = vocab_size();
  for (size_t i = 0; i < ids.size(); ++i)
    check(ids[i] < size, "decode: token ", ids[i], " at index ", i, " is outside the vocabulary of ", size);
  std::string out;
  decode_ids(ids, out);
  return out;
}

TokenId Tokenizer::special_id(std::string_view text) const {
  for (const SpecialToken& token : special_) {
    if (token.text == text) return token.id;
  }
  return no_token;
}

std::string Tokenizer::hash() const { return engine::sha256_hex(to_json()); }

void Tokenizer::save(const std::string& folder) const {
  engine::make_directories(folder);
  engine::write_file(folder + "/tokenizer.json", to_json());
}

namespace {
/// GPT-2's two files under Hugging Face's names or OpenAI's.
std::optional<std::pair<std::string, std::string>> gpt2_files(const std::string& folder) {
  for (const auto& [vocab, merges] :
       {std::pair("/vocab.json", "/merges.txt"), std::pair("/encoder.json", "/vocab.bpe")})
    if (engine::file_exists(folder + vocab) && engine::file_exists(folder + merges))
      return std::pair(folder + vocab, folder + merges);
  return {};
}
}  // namespace

bool has_tokenizer(const std::string& folder) {
  return engine::file_exists(folder + "/tokenizer.json") || gpt2_files(folder);
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path) {
  const std::string file = engine::is_directory(path) ? path + "/tokenizer.json" : path;
  if (file != path && !engine::file_exists(file))
    if (const auto files = gpt2_files(path))
      return std::make_unique<BpeTokenizer>(bpe_from_gpt2_files(files->first, files->second), files->first);
  return parse_tokenizer(engine::read_file(file, most_tokenizer_bytes), file);
}

std::unique_ptr<Tokenizer> parse_tokenizer(const std::string& text, const std::string& what) {
  const engine::SortedJson json = engine::parse_sorted_json(text, what);
  check(json.is_object(), what, ": expected a JSON object");
  if (json.contains("model")) return std::make_unique<BpeTokenizer>(bpe_from_hugging_face(json, what), what);
  check(json.contains("format") && json["format"] == "normlab-tokenizer", what,
        ": neither Hugging Face's tokenizer.json (no \"model\") nor ours (no \"format\": "
        "\"normlab-tokenizer\")");
  check(json.contains("version") && json["version"] == 1, what, ": version 1 expected");
  check(json.contains("kind") && json["kind"].is_string(), what, ": \"kind\" is missing");
  switch (parse_kind(json["kind"])) {
    case TokenizerKind::byte: return ByteTokenizer::from_json(json, what);
    case TokenizerKind::character: return CharTokenizer::from_json(json, what);
    case TokenizerKind::word: return WordTokenizer::from_json(json, what);
    case TokenizerKind::bpe: break;
  }
  engine::fail(what, ": kind bpe is saved in Hugging Face's form, with \"model\"");
}

std::unique_ptr<Tokenizer> train_tokenizer(std::span<const std::string_view> texts,
                                           const TrainOptions& options) {
  for (size_t i = 0; i < options.special.size(); ++i) {
    const std::string& token = options.special[i];
    check(!token.empty(), "tokenizer train: a special token is empty");
    check(valid_utf8_prefix(token) == token.size(), "tokenizer train: a special token is not valid UTF-8");
    check(std::count(options.special.begin(), options.special.end(), token) == 1,
          "tokenizer train: special token \"", token, "\" is given twice");
  }
  switch (options.kind) {
    case TokenizerKind::bpe: return train_bpe(texts, options);
    case TokenizerKind::byte: return ByteTokenizer::train(options);
    case TokenizerKind::character: return CharTokenizer::train(texts, options);
    case TokenizerKind::word: return WordTokenizer::train(texts, options);
  }
  engine::fail("tokenizer train: no such kind");
}

}  // namespace data
