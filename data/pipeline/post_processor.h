// What a model wants around the tokens of a text, or of two: tokenizer.json's "post_processor". All kinds
// come down to two templates, for one text A and for a pair A, B ("<s> A </s>", "<s> A </s></s> B </s>").
// Read first: json_fields.h.
#pragma once

#include <span>
#include <vector>

#include "data/pipeline/json_fields.h"
#include "data/tokenizer.h"

namespace data {

class PostProcessor {
 public:
  /// Adds nothing.
  PostProcessor() = default;
  explicit PostProcessor(const JsonPart& part);

  std::vector<TokenId> around(std::span<const TokenId> a) const;
  std::vector<TokenId> around(std::span<const TokenId> a, std::span<const TokenId> b) const;
  /// The tokens in front of one text, and behind it.
  std::vector<TokenId> before() const;
  std::vector<TokenId> behind() const;
  bool adds_nothing() const;
  /// The largest id that it adds, or no_token.
  TokenId largest_id() const;

 private:
  enum class Source { a, b, tokens };
  struct Slot {
    Source source;
    std::vector<TokenId> tokens = {};
  };
  using Template = std::vector<Slot>;

  static Template read_template(const JsonPart& part, const std::string& key);
  void read_frame(const JsonPart& part, bool roberta);
  void read_sequence(const JsonPart& part);

  Template single_ = {{Source::a}}, pair_ = {{Source::a}, {Source::b}};
};

}  // namespace data
