// The tokens of a model as its file writes them, by id and by text. Ids may have holes.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/pipeline/json_fields.h"
#include "data/tokenizer.h"

namespace data {

class Vocabulary {
 public:
  Vocabulary() = default;
  /// By id, each entry a token, "" too, which no text is. Of equal texts the last one counts.
  explicit Vocabulary(std::vector<std::string> texts);
  /// {"text": id, …}; what no id names is a hole, "".
  static Vocabulary from_json(const engine::SortedJson& json, const std::string& what);

  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  /// The largest id and one.
  size_t size() const { return texts_.size(); }
  /// Tokens, without the holes.
  size_t tokens() const { return tokens_; }
  const std::string& text(TokenId id) const { return texts_[id]; }
  const std::vector<std::string>& texts() const { return texts_; }
  /// no_token: there is none.
  TokenId id(std::string_view text) const {
    const auto found = ids_.find(text);
    return found == ids_.end() ? no_token : found->second;
  }
  /// {"text": id, …} by id, a line each.
  std::string to_json() const;

 private:
  std::vector<std::string> texts_;
  size_t tokens_ = 0;
  std::unordered_map<std::string_view, TokenId> ids_;  // views of texts_
};

/// Fails unless `id` is an integer that a vocabulary of `tokens` tokens may have.
TokenId checked_id(const engine::SortedJson& id, size_t tokens, const std::string& what);

/// "…" with escapes, as JSON has it.
std::string json_quoted(const std::string& text);

}  // namespace data
