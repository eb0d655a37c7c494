// The last stage of tokenizer.json: from the tokens, as the vocabulary writes them, back to text. Each kind
// rewrites the list of tokens; what is left is joined. Without a decoder the tokens are joined with spaces.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/pipeline/json_fields.h"

namespace data {

class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual void apply(std::vector<std::string>& tokens) const = 0;
  /// It does nothing but ByteLevel: every token stands for its own bytes, whatever is beside it.
  virtual bool is_byte_level() const { return false; }
};

std::unique_ptr<Decoder> make_decoder(const JsonPart& part);

/// `decoder`: null for none.
std::string decode_tokens(const Decoder* decoder, std::vector<std::string> tokens);

// --- the kinds, by file
std::unique_ptr<Decoder> make_byte_level_decoder(const JsonPart& part);  // decode_bytes.cc
std::unique_ptr<Decoder> make_byte_fallback(const JsonPart& part);
std::unique_ptr<Decoder> make_metaspace_decoder(const JsonPart& part);  // decode_words.cc
std::unique_ptr<Decoder> make_word_piece_decoder(const JsonPart& part);
std::unique_ptr<Decoder> make_suffix_decoder(const JsonPart& part);
std::unique_ptr<Decoder> make_ctc_decoder(const JsonPart& part);
std::unique_ptr<Decoder> make_replace_decoder(const JsonPart& part);  // decode_text.cc
std::unique_ptr<Decoder> make_strip_decoder(const JsonPart& part);
std::unique_ptr<Decoder> make_fuse(const JsonPart& part);

}  // namespace data
