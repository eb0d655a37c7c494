// What all kinds share: special tokens in text, checks of ids, files. Read first: tokenizer.h.
#include "data/tokenizer.h"

#include "data/utf8.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/sha256.h"

namespace data {

using engine::check;

const char* kind_name(TokenizerKind kind) {
  switch (kind) {
    case TokenizerKind::bpe: return "bpe";
    case TokenizerKind::byte: return "byte";
    case TokenizerKind::character: return "char";
    case TokenizerKind::word: return "word";
    case TokenizerKind::wordpiece: return "wordpiece";
    case TokenizerKind::unigram: return "unigram";
    case TokenizerKind::wordlevel: return "wordlevel";
  }
  return "?";
}

Tokenizer::Tokenizer(std::vector<AddedToken> special, SpecialRoles declared)
    : special_(std::move(special)), roles_(declared) {
  std::vector<std::string> texts;
  for (size_t i = 0; i < special_.size(); ++i) {
    by_text_.emplace(special_[i].text, i);
    texts.push_back(special_[i].text);
  }
  finder_ = TokenFinder(texts);
  fill_roles_by_name(roles_, [this](std::string_view text) { return special_id(text); });
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, SpecialText special, int threads) const {
  std::vector<TokenId> out;
  out.reserve(text.size() / 4);
  if (special == SpecialText::recognised)
    encode_recognising(text, threads, out);
  else
    encode_ordinary(text, threads, out);
  return out;
}

void Tokenizer::encode_recognising(std::string_view text, int threads, std::vector<TokenId>& out) const {
  size_t from = 0;
  for (const TokenFinder::Match& match : finder_.find_all(text)) {
    if (match.begin > from) encode_ordinary(text.substr(from, match.begin - from), threads, out);
    out.push_back(special_[match.which].id);
    from = match.end;
  }
  if (from < text.size()) encode_ordinary(text.substr(from), threads, out);
}

std::vector<TokenId> Tokenizer::with_special_tokens(std::span<const TokenId> ids) const {
  return {ids.begin(), ids.end()};
}

std::vector<TokenId> Tokenizer::with_special_tokens(std::span<const TokenId> a,
                                                    std::span<const TokenId> b) const {
  std::vector<TokenId> out(a.begin(), a.end());
  out.insert(out.end(), b.begin(), b.end());
  return out;
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
  const auto found = by_text_.find(text);
  return found == by_text_.end() ? no_token : special_[found->second].id;
}

std::string Tokenizer::hash() const { return engine::sha256_hex(to_json()); }

void Tokenizer::save(const std::string& folder) const {
  engine::make_directories(folder);
  engine::write_file(folder + "/tokenizer.json", to_json());
}

}  // namespace data
