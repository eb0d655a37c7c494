// Read first: encode_documents.h.
#include "data/encode_documents.h"

#include <algorithm>

#include "data/parallel.h"
#include "data/text_case.h"
#include "engine/base/check.h"

namespace data {
namespace {

using engine::check;

constexpr size_t kLongDocument = size_t(2) << 20;  // bytes; from here a document has all threads to itself
constexpr size_t kSliceBytes = size_t(256) << 10;  // of lines that one thread encodes at a time

void add_unit(EncodedPiece& piece, const std::vector<TokenId>& tokens, const DocumentEnd& end) {
  const size_t before = piece.tokens.size();
  piece.tokens.insert(piece.tokens.end(), tokens.begin(), tokens.end());
  if (end.role != DocumentEnd::end_of_line && end.role != DocumentEnd::none) piece.tokens.push_back(end.id);
  check(piece.tokens.size() - before <= UINT32_MAX, "more than 2^32 tokens in one unit");
  if (piece.tokens.size() > before) piece.unit_lengths.push_back(uint32_t(piece.tokens.size() - before));
}

/// As fairseq's multiprocessing_bpe_encoder.py reads a file: each line without the white space at its ends,
/// and none where nothing is left. A carriage return ends a line too.
EncodedPiece encode_lines(const Tokenizer& tokenizer, SpecialText special, std::string_view text) {
  const DocumentEnd end = document_end(tokenizer);
  EncodedPiece out;
  while (!text.empty()) {
    const size_t line_end = std::min(text.find_first_of("\r\n"), text.size());
    const std::string_view line = strip(text.substr(0, line_end));
    if (!line.empty()) add_unit(out, tokenizer.encode(line, special), end);
    text.remove_prefix(std::min(line_end + 1, text.size()));
  }
  return out;
}

/// `text` in slices that end at line ends.
std::vector<std::string_view> slices_of_lines(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t end = text.find('\n', std::min(kSliceBytes, text.size()) - 1);
    out.push_back(text.substr(0, end == text.npos ? text.size() : end + 1));
    text.remove_prefix(out.back().size());
  }
  return out;
}

EncodedPiece encode_text(const Tokenizer& tokenizer, const PrepareOptions& options, const std::string& text,
                         int threads) {
  EncodedPiece out;
  if (text.empty()) return out;
  if (options.units == Units::document) {
    const DocumentEnd end = options.form == PrepareForm::raw ? DocumentEnd{} : document_end(tokenizer);
    add_unit(out, tokenizer.encode(text, options.special, threads), end);
    return out;
  }
  const auto slices = slices_of_lines(text);
  std::vector<EncodedPiece> parts(slices.size());
  parallel_pieces(slices.size(), threads,
                  [&](size_t i) { parts[i] = encode_lines(tokenizer, options.special, slices[i]); });
  for (const EncodedPiece& part : parts) {
    out.tokens.insert(out.tokens.end(), part.tokens.begin(), part.tokens.end());
    out.unit_lengths.insert(out.unit_lengths.end(), part.unit_lengths.begin(), part.unit_lengths.end());
  }
  return out;
}

}  // namespace

EncodedPiece encode_document(const Tokenizer& tokenizer, const PrepareOptions& options,
                             const Document& document, int threads) {
  try {
    return encode_text(tokenizer, options, document.text, threads);
  } catch (const engine::Error& error) {
    engine::fail(document.where, ": ", error.what());
  }
}

std::vector<EncodedPiece> encode_documents(const Tokenizer& tokenizer, const PrepareOptions& options,
                                           const std::vector<Document>& documents) {
  std::vector<EncodedPiece> out(documents.size());
  const auto is_long = [&](size_t i) { return documents[i].text.size() >= kLongDocument; };
  parallel_pieces(documents.size(), options.threads, [&](size_t i) {
    if (!is_long(i)) out[i] = encode_document(tokenizer, options, documents[i], 1);
  });
  for (size_t i = 0; i < documents.size(); ++i)
    if (is_long(i)) out[i] = encode_document(tokenizer, options, documents[i], options.threads);
  return out;
}

}  // namespace data
