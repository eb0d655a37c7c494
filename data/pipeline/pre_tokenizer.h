// The second stage of tokenizer.json: cutting text into the pieces that the model works on one by one. Each
// kind is a small class behind one interface; make_pre_tokenizer() reads the file's part.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "data/pipeline/json_fields.h"

namespace data {

struct Piece {
  std::string_view text;  // never empty
  bool first = false;     // begins where the whole text began
};
using UsePiece = std::function<void(const Piece&)>;

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  /// Calls use(part) for the parts of a piece, from left to right.
  virtual void split(const Piece& piece, const UsePiece& use) const = 0;

  /// Called once, when the model works on bytes: the last step, if it is the one that writes bytes as
  /// characters, is to leave them. False: this one writes none.
  virtual bool leave_bytes() { return false; }
  /// The pieces are just GPT-2's (data/pretokenize.h), nothing is rewritten.
  virtual bool is_gpt2() const { return false; }
};

std::unique_ptr<PreTokenizer> make_pre_tokenizer(const JsonPart& part);

// --- the kinds, by file
std::unique_ptr<PreTokenizer> make_byte_level(const JsonPart& part);  // split_bytes.cc
std::unique_ptr<PreTokenizer> make_metaspace(const JsonPart& part);   // split_metaspace.cc
std::unique_ptr<PreTokenizer> make_split(const JsonPart& part);       // split_pattern.cc
std::unique_ptr<PreTokenizer> make_whitespace(const JsonPart& part);
std::unique_ptr<PreTokenizer> make_whitespace_split(const JsonPart& part);  // split_characters.cc
std::unique_ptr<PreTokenizer> make_punctuation(const JsonPart& part);
std::unique_ptr<PreTokenizer> make_digits(const JsonPart& part);
std::unique_ptr<PreTokenizer> make_bert_pre_tokenizer(const JsonPart& part);
std::unique_ptr<PreTokenizer> make_delimiter_split(const JsonPart& part);
std::unique_ptr<PreTokenizer> make_fixed_length(const JsonPart& part);

}  // namespace data
