// Documents to tokens and unit lengths, on threads. Read first: prepare.h.
#pragma once

#include "data/prepare.h"

namespace data {

/// A piece of a set: tokens, and the lengths of the units in it.
struct EncodedPiece {
  std::vector<TokenId> tokens;
  std::vector<uint32_t> unit_lengths;
};

/// The rules of `options.form` and `options.units`. Errors name document.where.
EncodedPiece encode_document(const Tokenizer& tokenizer, const PrepareOptions& options,
                             const Document& document, int threads);

/// Many documents at once: short ones a thread each, long ones on all threads one after another.
std::vector<EncodedPiece> encode_documents(const Tokenizer& tokenizer, const PrepareOptions& options,
                                           const std::vector<Document>& documents);

}  // namespace data
