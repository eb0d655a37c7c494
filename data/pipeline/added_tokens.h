// Tokens beside the model's vocabulary, which are looked for in the text before it is cut: special ones, on
// request, and others ("special": false), always.
//
// As in Hugging Face's tokenizers: those with "normalized": false first, in the text as it is; the others in
// what is left, after it was rewritten (and they with it). Where several fit, the leftmost, then the longest;
// a special one that is to be ordinary text still hides those inside it. Read first: data/tokenizer.h,
// data/token_finder.h.
#pragma once

#include <unordered_map>
#include <vector>

#include "data/pipeline/normalizer.h"
#include "data/pipeline/vocabulary.h"
#include "data/token_finder.h"
#include "data/tokenizer.h"

namespace data {

/// Gathers added tokens and gives them the ids that tokenizers does: the model's, where it has the token,
/// else the next one that is free.
class AddedTokenList {
 public:
  explicit AddedTokenList(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}
  AddedTokenList(const Vocabulary& vocabulary, std::vector<AddedToken> tokens);
  /// One of the same text is replaced. Returns the id.
  TokenId add(AddedToken token);
  /// Does nothing where the text is not among them.
  void make_special(const std::string& text);
  /// no_token: not among them.
  TokenId id(const std::string& text) const;
  std::vector<AddedToken> take() { return std::move(tokens_); }

 private:
  const Vocabulary& vocabulary_;
  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, size_t> places_;
  TokenId next_ = 0;  // behind the largest id of those that the model lacks
};

/// Behind the white space at `at`; before that which ends at `at`, not before `from`.
size_t skip_space(std::string_view text, size_t at);
size_t skip_space_back(std::string_view text, size_t from, size_t at);

class AddedTokens {
 public:
  /// `normalizer`: null for none.
  AddedTokens(std::vector<AddedToken> tokens, const Normalizer* normalizer);

  /// By id.
  const std::vector<AddedToken>& all() const { return tokens_; }
  /// What decoding writes for all()[i]: its text, rewritten where it is looked for in rewritten text.
  const std::string& shown(size_t i) const { return shown_[i]; }

  enum class Stage { as_it_is, rewritten };
  /// Whether a text must be searched at all.
  bool any(Stage stage, SpecialText special) const;
  /// Cuts a text at the tokens of a stage: calls text(begin, end) and token(id), from left to right.
  template <class OnText, class OnToken>
  void cut(std::string_view whole, Stage stage, SpecialText special, const OnText& text,
           const OnToken& token) const {
    if (!any(stage, special)) return text(size_t(0), whole.size());
    for (const Section& section : sections(whole, stage, special)) {
      if (section.id == no_token)
        text(section.begin, section.end);
      else
        token(section.id);
    }
  }

 private:
  struct Section {
    size_t begin, end;
    TokenId id;  // no_token: text between
  };
  struct Search {
    std::vector<uint32_t> which;  // places in tokens_
    TokenFinder finder;
    bool any_ordinary = false;  // one that is not special
  };
  std::vector<Section> sections(std::string_view text, Stage stage, SpecialText special) const;
  const Search& search(Stage stage) const { return stage == Stage::as_it_is ? as_it_is_ : rewritten_; }

  std::vector<AddedToken> tokens_;
  std::vector<std::string> shown_;
  Search as_it_is_, rewritten_;
};

}  // namespace data
