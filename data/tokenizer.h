// Text to token ids and back: one interface over all kinds. docs/13-data.md says when to use which.
//
//   bpe, wordpiece, unigram, wordlevel   tokenizer.json as Hugging Face has it: pipeline/pipeline_tokenizer.h
//   byte  the 256 bytes
//   char  the characters of the training text, sorted
//   word  whitespace-separated words and an end-of-line token, as WikiText is scored
//
// A tokenizer is saved as a folder with one file, tokenizer.json. Its hash binds token shards to it. Objects
// do not change after they are made; any number of threads may use one. Read next: train_tokenizer.h,
// special_roles.h.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/special_roles.h"
#include "data/token_finder.h"

namespace data {

enum class TokenizerKind { bpe, byte, character, word, wordpiece, unigram, wordlevel };
const char* kind_name(TokenizerKind kind);  // "bpe" "byte" "char" "word" "wordpiece" "unigram" "wordlevel"

/// A token that stands for itself: never split and never merged. Special ones are found in text only on
/// request, others (runs of spaces, say) always.
struct AddedToken {
  std::string text;
  TokenId id = 0;
  bool strip_left = false,
       strip_right = false;  // it takes the white space on that side with it (RoBERTa's <mask>)
  bool single_word = false;  // not inside or at a word
  bool normalized = false;   // looked for after the text was rewritten
  bool special = true;
};

/// Whether "<s>" in the text is four ordinary bytes or the special token. Untrusted text should stay
/// ordinary.
enum class SpecialText { ordinary, recognised };

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  virtual TokenizerKind kind() const = 0;
  /// Ids are 0 … vocab_size()-1.
  virtual size_t vocab_size() const = 0;
  /// What tokenizer.json holds, always the same bytes for the same tokenizer.
  virtual std::string to_json() const = 0;
  /// The text of any ids, for people and for files.
  std::string decode(std::span<const TokenId> ids) const;

  /// The same ids for any number of threads (0: all processors).
  std::vector<TokenId> encode(std::string_view text, SpecialText special = SpecialText::ordinary,
                              int threads = 1) const;

  /// `ids` of one text and what the tokenizer's post-processor puts around them ("<s> … </s>"), as
  /// transformers does for a model's input. Most kinds put nothing.
  virtual std::vector<TokenId> with_special_tokens(std::span<const TokenId> ids) const;
  /// The same of two texts.
  virtual std::vector<TokenId> with_special_tokens(std::span<const TokenId> a,
                                                   std::span<const TokenId> b) const;

  /// By id.
  const std::vector<AddedToken>& special_tokens() const { return special_; }
  /// The id of a special token, or no_token.
  TokenId special_id(std::string_view text) const;
  /// Which token begins a text, ends it, pads, …
  const SpecialRoles& roles() const { return roles_; }

  /// SHA-256 of to_json(), hexadecimal.
  std::string hash() const;
  /// Writes DIR/tokenizer.json, creating DIR.
  void save(const std::string& folder) const;

 protected:
  explicit Tokenizer(std::vector<AddedToken> special, SpecialRoles declared = {});
  /// Appends the ids of text in which no special token is looked for.
  virtual void encode_ordinary(std::string_view text, int threads, std::vector<TokenId>& out) const = 0;
  /// Appends the ids of text in which special tokens count; cuts the text at them, unless overridden.
  virtual void encode_recognising(std::string_view text, int threads, std::vector<TokenId>& out) const;
  /// Appends the text of ids, which are all below vocab_size().
  virtual void decode_ids(std::span<const TokenId> ids, std::string& out) const = 0;

 private:
  std::vector<AddedToken> special_;                       // by id
  std::unordered_map<std::string_view, size_t> by_text_;  // place in special_
  TokenFinder finder_;                                    // of special_
  SpecialRoles roles_;
};

// Finding and reading one: a tokenizer.json of ours or of Hugging Face's, or the older files of other
// programs.

/// From a tokenizer.json, or from a folder. A folder without one may have GPT-2's vocab.json and merges.txt
/// (or encoder.json and vocab.bpe) or BERT's vocab.txt instead. tokenizer_config.json,
/// special_tokens_map.json and added_tokens.json beside them are heeded as transformers does.
std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path);
/// From the text of a tokenizer.json; `what` names it in errors.
std::unique_ptr<Tokenizer> parse_tokenizer(const std::string& json, const std::string& what);

/// Whether load_tokenizer(folder) finds a tokenizer there.
bool has_tokenizer(const std::string& folder);

}  // namespace data
