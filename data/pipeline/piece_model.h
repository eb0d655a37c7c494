// The third stage of tokenizer.json: the ids of one piece of text. Four models behind one interface:
//
//   BPE        bpe_encoder.h     byte pairs, or pairs of characters
//   WordPiece  word_piece.h      the longest known beginning, again and again
//   Unigram    unigram.h         the likeliest way to cut (SentencePiece)
//   WordLevel  word_level.h      whole pieces
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/pipeline/json_fields.h"
#include "data/pipeline/vocabulary.h"
#include "data/tokenizer.h"

namespace data {

class PieceModel {
 public:
  virtual ~PieceModel() = default;
  virtual TokenizerKind kind() const = 0;
  /// Appends the ids of a piece.
  virtual void encode(std::string_view piece, std::vector<TokenId>& out) const = 0;
  const Vocabulary& vocabulary() const { return vocabulary_; }
  /// Its part of the file, always the same bytes for the same model.
  virtual std::string to_json() const = 0;

 protected:
  explicit PieceModel(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}

 private:
  Vocabulary vocabulary_;
};

/// `part`: the file's "model". `bytes`: the pieces are bytes, not yet written as characters (BPE only).
std::unique_ptr<PieceModel> make_piece_model(const JsonPart& part, bool bytes);

// --- the kinds but BPE, by file
std::unique_ptr<PieceModel> make_word_piece(const JsonPart& part);  // word_piece.cc
std::unique_ptr<PieceModel> make_unigram(const JsonPart& part);     // unigram.cc
std::unique_ptr<PieceModel> make_word_level(const JsonPart& part);  // word_level.cc

}  // namespace data
