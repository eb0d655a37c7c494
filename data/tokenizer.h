// Text to token ids and back: one interface over four kinds. docs/05-data.md says when to use which.
//
//   bpe   GPT-2's byte-level byte-pair encoding: bpe.h, bpe_train.h, bpe_files.h
//   byte  the 256 bytes
//   char  the characters of the training text, sorted
//   word  whitespace-separated words and an end-of-line token, as WikiText is scored
//
// A tokenizer is saved as a folder with one file, tokenizer.json. Its hash binds token shards to it. Objects
// do not change after they are made; any number of threads may use one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace data {

using TokenId = uint32_t;
constexpr TokenId no_token = 0xFFFFFFFF;

enum class TokenizerKind { bpe, byte, character, word };
const char* kind_name(TokenizerKind kind);  // "bpe" "byte" "char" "word"
TokenizerKind parse_kind(const std::string& name);

/// A token that stands for itself: never split, never merged, and found in text only on request.
struct SpecialToken {
  std::string text;
  TokenId id = 0;
  bool strip_left = false,
       strip_right = false;  // it takes the white space on that side with it (RoBERTa's <mask>)
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

  const std::vector<SpecialToken>& special_tokens() const { return special_; }
  /// The id of a special token, or no_token.
  TokenId special_id(std::string_view text) const;

  /// SHA-256 of to_json(), hexadecimal.
  std::string hash() const;
  /// Writes DIR/tokenizer.json, creating DIR.
  void save(const std::string& folder) const;

 protected:
  explicit Tokenizer(std::vector<SpecialToken> special) : special_(std::move(special)) {}
  /// Appends the ids of text in which no special token is looked for.
  virtual void encode_ordinary(std::string_view text, int threads, std::vector<TokenId>& out) const = 0;
  /// Appends the ids of text in which special tokens count; cuts the text at them, unless overridden.
  virtual void encode_recognising(std::string_view text, int threads, std::vector<TokenId>& out) const;
  /// Appends the text of ids, which are all below vocab_size().
  virtual void decode_ids(std::span<const TokenId> ids, std::string& out) const = 0;

 private:
  std::vector<SpecialToken> special_;  // by id
};

/// From a folder with tokenizer.json or from such a file: ours or Hugging Face's byte-level BPE. A folder
/// without one may have GPT-2's vocab.json and merges.txt instead (or encoder.json and vocab.bpe).
std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path);
/// The same from the text of the file; `what` names it in errors.
std::unique_ptr<Tokenizer> parse_tokenizer(const std::string& json, const std::string& what);

/// Whether load_tokenizer(folder) finds a tokenizer there.
bool has_tokenizer(const std::string& folder);

/// What to learn from text; each kind uses what applies to it.
struct TrainOptions {
  TokenizerKind kind = TokenizerKind::bpe;
  size_t vocab_size = 0;             // with special tokens; 0: no limit (char, word) or 32768 (bpe)
  uint64_t min_frequency = 0;        // rarer pairs, characters or words are left out; 0: 2 for bpe, else 1
  std::vector<std::string> special;  // special tokens, in the order of their ids
  int threads = 0;
};

/// Learns from texts (documents are never joined).
std::unique_ptr<Tokenizer> train_tokenizer(std::span<const std::string_view> texts,
                                           const TrainOptions& options);

}  // namespace data
