// Read first: bpe_encoder.h.
#include "data/pipeline/bpe_encoder.h"

#include <algorithm>
#include <utility>

#include "data/byte_alphabet.h"
#include "data/utf8.h"
#include "engine/base/check.h"

namespace data {

using engine::check;

namespace {

/// By byte; no_token where the vocabulary lacks one.
std::array<TokenId, 256> find_bytes(const Vocabulary& vocabulary) {
  std::array<TokenId, 256> ids;
  for (int byte = 0; byte < 256; ++byte)
    ids[size_t(byte)] = vocabulary.id(bytes_to_alphabet(std::string(1, char(byte))));
  return ids;
}

/// The tokens of one character.
std::unordered_map<uint32_t, TokenId> find_characters(const Vocabulary& vocabulary) {
  std::unordered_map<uint32_t, TokenId> ids;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const std::string& text = vocabulary.text(id);
    if (text.empty()) continue;
    const auto* p = reinterpret_cast<const uint8_t*>(text.data());
    const Char c = decode_char(p, p + text.size());
    if (c.bytes == text.size()) ids[c.code] = id;
  }
  return ids;
}

}  // namespace

BpeEncoder::BpeEncoder(Vocabulary own, const std::vector<BpeMerge>& merges, BpeOptions options,
                       const std::string& what)
    : PieceModel(std::move(own)),
      options_(std::move(options)),
      merge_list_(merges),
      merges_(merges),
      unknown_(options_.unknown.empty() ? no_token : vocabulary().id(options_.unknown)),
      fallback_(vocabulary()),
      borders_({}, {}) {
  check(options_.unknown.empty() || unknown_ != no_token, what, ": \"unk_token\" is ",
        json_quoted(options_.unknown).substr(0, 64), ", which is not in the vocabulary");
  if (options_.bytes) {
    byte_ids_ = find_bytes(vocabulary());
    const bool any =
        std::any_of(byte_ids_.begin(), byte_ids_.end(), [](TokenId id) { return id != no_token; });
    check(any || unknown_ != no_token, what, ": no single byte is a token, so nothing could be encoded");
  } else {
    character_ids_ = find_characters(vocabulary());
  }
  std::vector<bool> symbols(vocabulary().size());
  const auto mark = [&](TokenId id) {
    if (id != no_token) symbols[id] = true;
  };
  mark(unknown_);
  for (const TokenId id : byte_ids_) mark(options_.bytes ? id : no_token);
  for (const auto& [code, id] : character_ids_) mark(id);
  for (int byte = 0; byte < 256; ++byte) mark(fallback_.id(uint8_t(byte)));
  borders_ = MergeBorders(merges, [&](TokenId id) { return symbols[id]; });
}

void BpeEncoder::missing_symbol(std::string_view symbol, TokenId& pending, std::vector<TokenId>& ids) const {
  if (options_.byte_fallback && fallback_.has_all(symbol)) {
    for (const char byte : symbol) ids.push_back(fallback_.id(uint8_t(byte)));
    return;
  }
  if (unknown_ == no_token)
    engine::fail("encode: ", json_quoted(std::string(symbol)),
                 " has no token in this vocabulary, which has no token for what is unknown");
  if (pending != no_token && !options_.fuse_unknown) ids.push_back(pending);
  pending = unknown_;
}

void BpeEncoder::byte_symbols(std::string_view piece, std::vector<TokenId>& ids) const {
  TokenId pending = no_token;
  for (const char byte : piece) {
    const TokenId id = byte_ids_[uint8_t(byte)];
    if (id == no_token) {
      check(unknown_ != no_token || options_.byte_fallback, "encode: byte ", int(uint8_t(byte)),
            " has no token in this vocabulary");
      missing_symbol(bytes_to_alphabet({&byte, 1}), pending, ids);
      continue;
    }
    if (pending != no_token) ids.push_back(std::exchange(pending, no_token));
    ids.push_back(id);
  }
  if (pending != no_token) ids.push_back(pending);
}

void BpeEncoder::character_symbols(std::string_view piece, std::vector<TokenId>& ids) const {
  const bool plain = options_.prefix.empty() && options_.suffix.empty();
  const auto* begin = reinterpret_cast<const uint8_t*>(piece.data());
  const auto* end = begin + piece.size();
  TokenId pending = no_token;
  for (const uint8_t* p = begin; p < end;) {
    const Char c = decode_char(p, end);
    std::string symbol(reinterpret_cast<const char*>(p), c.bytes);
    TokenId id = no_token;
    if (plain) {
      const auto found = character_ids_.find(c.code);
      if (found != character_ids_.end()) id = found->second;
    } else {
      if (p > begin) symbol.insert(0, options_.prefix);
      if (p + c.bytes == end) symbol += options_.suffix;
      id = vocabulary().id(symbol);
    }
    p += c.bytes;
    if (id == no_token) {
      missing_symbol(symbol, pending, ids);
      continue;
    }
    if (pending != no_token) ids.push_back(std::exchange(pending, no_token));
    ids.push_back(id);
  }
  if (pending != no_token) ids.push_back(pending);
}

void BpeEncoder::encode(std::string_view piece, std::vector<TokenId>& out) const {
  if (options_.ignore_merges) {
    const TokenId whole = vocabulary().id(options_.bytes ? bytes_to_alphabet(piece) : std::string(piece));
    if (whole != no_token) return out.push_back(whole);
  }
  thread_local std::vector<TokenId> ids;
  ids.clear();
  options_.bytes ? byte_symbols(piece, ids) : character_symbols(piece, ids);
  apply_merges(merges_, borders_, ids);
  out.insert(out.end(), ids.begin(), ids.end());
  if (ids.capacity() > (size_t(1) << 20)) ids = {};
}

std::string BpeEncoder::to_json() const {
  const auto flag = [](bool on) { return on ? "true" : "false"; };
  const auto text = [](const std::string& value) { return value.empty() ? "null" : json_quoted(value); };
  std::string merges;
  const auto name = [&](TokenId id) -> const std::string& { return vocabulary().text(id); };
  const bool spaces = std::any_of(merge_list_.begin(), merge_list_.end(), [&](const BpeMerge& merge) {
    return name(merge.left).find(' ') != std::string::npos ||
           name(merge.right).find(' ') != std::string::npos;
  });
  for (const BpeMerge& merge : merge_list_) {
    const std::string &left = name(merge.left), &right = name(merge.right);
    merges += merges.empty() ? "\n      " : ",\n      ";
    merges +=
        spaces ? "[" + json_quoted(left) + ", " + json_quoted(right) + "]" : json_quoted(left + " " + right);
  }
  return R"({
    "type": "BPE", "dropout": null, "unk_token": )" +
         text(options_.unknown) + R"(, "continuing_subword_prefix": )" + text(options_.prefix) + R"(,
    "end_of_word_suffix": )" +
         text(options_.suffix) + R"(, "fuse_unk": )" + flag(options_.fuse_unknown) +
         R"(, "byte_fallback": )" + flag(options_.byte_fallback) + R"(, "ignore_merges": )" +
         flag(options_.ignore_merges) + R"(,
    "vocab": )" +
         vocabulary().to_json() +
         R"(,
    "merges": [)" +
         merges + R"(]
  })";
}

namespace {

/// The merge that a line of the file says, "a b" or ["a", "b"].
BpeMerge read_merge(const engine::SortedJson& json, size_t number, const Vocabulary& vocabulary,
                    size_t prefix_bytes, const std::string& what) {
  std::string left, right;
  if (json.is_string()) {
    const auto& line = json.get_ref<const std::string&>();
    std::tie(left, right) = split_merge_line(line, number, what);
  } else {
    const bool pair = json.is_array() && json.size() == 2 && json[0].is_string() && json[1].is_string();
    check(pair, what, ": merge ", number, " is neither \"a b\" nor [\"a\", \"b\"]");
    left = json[0], right = json[1];
  }
  check(right.size() >= prefix_bytes, what, ": merge ", number,
        ": its right token is shorter than the prefix inside pieces");
  return find_merge(vocabulary, left, right, prefix_bytes, number, what);
}

}  // namespace

BpeMerge find_merge(const Vocabulary& vocabulary, const std::string& left, const std::string& right,
                    size_t prefix_bytes, size_t number, const std::string& what) {
  const auto id_of = [&](const std::string& text) {
    const TokenId id = vocabulary.id(text);
    if (id == no_token)
      engine::fail(what, ": merge ", number, " needs ", json_quoted(text).substr(0, 64),
                   ", which is not in the vocabulary");
    return id;
  };
  return {id_of(left), id_of(right), id_of(left + right.substr(prefix_bytes))};
}

std::pair<std::string, std::string> split_merge_line(std::string_view line, size_t number,
                                                     const std::string& what) {
  const size_t space = line.find(' ');
  check(space != line.npos && space > 0 && space + 1 < line.size() && line.find(' ', space + 1) == line.npos,
        what, ": merge ", number, " is not two tokens with a space between");
  return {std::string(line.substr(0, space)), std::string(line.substr(space + 1))};
}

std::unique_ptr<PieceModel> make_bpe(const JsonPart& part, bool bytes) {
  part.only({"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
             "byte_fallback", "ignore_merges", "vocab", "merges"});
  check(!part.has("dropout") || part.json()["dropout"] == 0.0, part.what(), ": \"dropout\" is ",
        engine::json_text(part.json().value("dropout", engine::SortedJson())).substr(0, 64),
        "; encoding that draws lots is not done here, give null");
  BpeOptions options;
  options.unknown = part.text_or("unk_token", "");
  options.prefix = part.text_or("continuing_subword_prefix", "");
  options.suffix = part.text_or("end_of_word_suffix", "");
  options.fuse_unknown = part.flag_or("fuse_unk", false);
  options.byte_fallback = part.flag_or("byte_fallback", false);
  options.ignore_merges = part.flag_or("ignore_merges", false);
  options.bytes = bytes;
  Vocabulary vocabulary =
      Vocabulary::from_json(part.json().value("vocab", engine::SortedJson()), part.path("vocab"));
  check(part.has("merges") && part.json()["merges"].is_array(), part.what(), ": \"merges\" must be a list");
  std::vector<BpeMerge> merges;
  for (const auto& merge : part.json()["merges"])
    merges.push_back(read_merge(merge, merges.size(), vocabulary, options.prefix.size(), part.what()));
  return std::make_unique<BpeEncoder>(std::move(vocabulary), merges, std::move(options), part.what());
}

}  // namespace data
