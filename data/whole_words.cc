// Read first: whole_words.h.
#include "data/whole_words.h"

#include <algorithm>

#include "data/utf8.h"

namespace data {
namespace {

WordEdge edge_of(std::string_view token) {
  const auto* begin = reinterpret_cast<const uint8_t*>(token.data());
  const auto* end = begin + token.size();
  const auto is_space = [](Char c) { return class_of(char_class_table(), c) == CharClass::space; };
  const bool before = begin < end && is_space(decode_char(begin, end));
  const bool behind = begin < end && is_space(decode_char_before(begin, end));
  return WordEdge((before ? uint8_t(WordEdge::before) : 0) | (behind ? uint8_t(WordEdge::behind) : 0));
}

}  // namespace

std::vector<WordEdge> word_edges(const Tokenizer& tokenizer) {
  std::vector<WordEdge> out(tokenizer.vocab_size(), WordEdge::both);
  if (tokenizer.kind() == TokenizerKind::word || tokenizer.kind() == TokenizerKind::wordlevel) return out;
  // What a token writes behind another one: SentencePiece's and BERT's begin with a space only there.
  for (TokenId id = 0; id < out.size(); ++id) {
    const TokenId twice[] = {id, id};
    const std::string alone = tokenizer.decode({twice, 1}), both = tokenizer.decode(twice);
    out[id] = edge_of(std::string_view(both).substr(std::min(alone.size(), both.size())));
  }
  for (const AddedToken& special : tokenizer.special_tokens()) out[special.id] = WordEdge::both;
  return out;
}

}  // namespace data
