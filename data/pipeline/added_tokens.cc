// Read first: added_tokens.h.
#include "data/pipeline/added_tokens.h"

#include <algorithm>

#include "data/pipeline/character_sets.h"
#include "data/utf8.h"
#include "engine/base/check.h"

namespace data {
namespace {

bool word_at(std::string_view text, size_t at) {
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  if (at == text.size()) return false;
  const Char c = decode_char(p + at, p + text.size());
  return c.code != invalid_char && is_word(c.code);
}

bool word_before(std::string_view text, size_t at) {
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  if (at == 0) return false;
  const Char c = decode_char_before(p, p + at);
  return c.code != invalid_char && is_word(c.code);
}

}  // namespace

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

AddedTokenList::AddedTokenList(const Vocabulary& vocabulary, std::vector<AddedToken> tokens)
    : vocabulary_(vocabulary), tokens_(std::move(tokens)) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    places_[tokens_[i].text] = i;
    if (vocabulary_.id(tokens_[i].text) == no_token) next_ = std::max(next_, tokens_[i].id + 1);
  }
}

TokenId AddedTokenList::id(const std::string& text) const {
  const auto found = places_.find(text);
  return found == places_.end() ? no_token : tokens_[found->second].id;
}

TokenId AddedTokenList::add(AddedToken token) {
  const auto [place, is_new] = places_.try_emplace(token.text, tokens_.size());
  if (!is_new) {
    AddedToken& known = tokens_[place->second];
    token.id = known.id;
    known = std::move(token);
    return known.id;
  }
  token.id = vocabulary_.id(token.text);
  if (token.id == no_token) {
    token.id = std::max(next_, TokenId(vocabulary_.tokens()));
    next_ = token.id + 1;
  }
  tokens_.push_back(std::move(token));
  return tokens_.back().id;
}

void AddedTokenList::make_special(const std::string& text) {
  const auto found = places_.find(text);
  if (found != places_.end()) tokens_[found->second].special = true;
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const Normalizer* normalizer)
    : tokens_(std::move(tokens)) {
  std::sort(tokens_.begin(), tokens_.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  std::vector<std::string> texts[2];
  for (uint32_t i = 0; i < tokens_.size(); ++i) {
    const AddedToken& token = tokens_[i];
    std::string text = token.text;
    if (token.normalized && normalizer != nullptr) normalizer->apply(text);
    shown_.push_back(text);
    engine::check(!text.empty(), "the added token ", json_quoted(token.text).substr(0, 64),
                  " is looked for after the text was rewritten (\"normalized\"), which leaves nothing of it");
    Search& search = token.normalized ? rewritten_ : as_it_is_;
    search.which.push_back(i);
    search.any_ordinary = search.any_ordinary || !token.special;
    texts[token.normalized].push_back(std::move(text));
  }
  as_it_is_.finder = TokenFinder(texts[0]);
  rewritten_.finder = TokenFinder(texts[1]);
}

bool AddedTokens::any(Stage stage, SpecialText special) const {
  const Search& s = search(stage);
  return special == SpecialText::recognised ? !s.which.empty() : s.any_ordinary;
}

std::vector<AddedTokens::Section> AddedTokens::sections(std::string_view text, Stage stage,
                                                        SpecialText special) const {
  std::vector<Section> out;
  size_t from = 0, space_from = 1, space_to = 0;  // the last white space that was skipped: once is enough
  for (const TokenFinder::Match& match : search(stage).finder.find_all(text)) {
    const AddedToken& token = tokens_[search(stage).which[match.which]];
    if (token.special && special == SpecialText::ordinary) continue;
    if (token.single_word && (word_before(text, match.begin) || word_at(text, match.end))) continue;
    size_t begin = match.begin, end = match.end;
    // What an earlier token took with it is not taken twice; a token of which nothing is left is none.
    if (token.strip_left) begin = from > begin ? from : skip_space_back(text, from, begin);
    if (token.strip_right) {
      if (end < space_from || end > space_to) space_from = end, space_to = skip_space(text, end);
      end = space_to;
    }
    if (begin > from) out.push_back({from, begin, no_token});
    if (end > begin) out.push_back({begin, end, token.id});
    from = end;
  }
  if (from < text.size()) out.push_back({from, text.size(), no_token});
  return out;
}

}  // namespace data
