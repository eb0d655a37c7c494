// Read first: import_tokens.h.
#include "data/import_tokens.h"

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"
#include "engine/base/file.h"

namespace data {
namespace {

using engine::check;

constexpr size_t kPartTokens = size_t(1) << 20;

struct LlmcForm {
  int32_t magic, version;
  size_t token_bytes;
};
constexpr LlmcForm kLlmcForms[] = {{20240520, 1, 2}, {20240801, 7, 4}};
constexpr size_t kLlmcHeaderBytes = 1024;

/// Where the ids lie in a file.
struct TokenFile {
  size_t offset, token_bytes, tokens;
};

TokenFile llmc_file(const engine::MappedFile& file) {
  const std::string& path = file.path();
  check(file.size() >= kLlmcHeaderBytes, path, ": not a token file of llm.c: ", file.size(),
        " bytes, the header alone has ", kLlmcHeaderBytes);
  int32_t head[3];
  std::memcpy(head, file.data(), sizeof head);
  const auto* form = std::find_if(std::begin(kLlmcForms), std::end(kLlmcForms),
                                  [&](const LlmcForm& f) { return f.magic == head[0]; });
  check(form != std::end(kLlmcForms), path, ": not a token file of llm.c (magic ", head[0],
        ", expected 20240520 or 20240801)");
  check(form->version == head[1], path, ": version ", head[1], " of llm.c's token files, expected ",
        form->version);
  check(head[2] >= 0, path, ": a negative number of tokens, ", head[2]);
  const size_t expected = kLlmcHeaderBytes + size_t(head[2]) * form->token_bytes;
  check(file.size() == expected, path, ": ", file.size() < expected ? "truncated" : "too long", ": ",
        file.size(), " bytes where the header's ", head[2], " tokens need ", expected);
  return {kLlmcHeaderBytes, form->token_bytes, size_t(head[2])};
}

TokenFile nanogpt_file(const engine::MappedFile& file) {
  check(file.size() % 2 == 0, file.path(), ": ", file.size(),
        " bytes, which is no whole number of nanoGPT's 2-byte tokens");
  return {0, 2, file.size() / 2};
}

/// The lengths of documents in `tokens`, where a document begins or ends with `separator`.
std::vector<uint32_t> document_lengths(const std::vector<TokenId>& tokens, TokenId separator,
                                       bool begins_with_it) {
  std::vector<uint32_t> out;
  size_t begin = 0;
  const auto cut = [&](size_t end) {
    if (end > begin) out.push_back(uint32_t(end - begin));
    begin = end;
  };
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] == separator) cut(begins_with_it ? i : i + 1);
  cut(tokens.size());
  return out;
}

}  // namespace

void read_token_file(const std::string& path, PrepareForm form, const Tokenizer& tokenizer,
                     const std::function<void(const EncodedPiece&)>& visit) {
  const engine::MappedFile file(path);
  const TokenFile layout = form == PrepareForm::llmc ? llmc_file(file) : nanogpt_file(file);
  const size_t vocabulary = tokenizer.vocab_size();
  const DocumentEnd end = document_end(tokenizer);
  const TokenId separator = end.role == DocumentEnd::special ? end.id : no_token;
  const bool begins_with_it = form == PrepareForm::llmc;
  for (size_t first = 0; first < layout.tokens;) {
    EncodedPiece piece;
    piece.tokens.resize(std::min(kPartTokens, layout.tokens - first));
    for (size_t i = 0; i < piece.tokens.size(); ++i) {
      TokenId id = 0;
      std::memcpy(&id, file.data() + layout.offset + (first + i) * layout.token_bytes, layout.token_bytes);
      check(id < vocabulary, path, ": token ", first + i, " is ", id,
            ", outside the tokenizer's vocabulary of ", vocabulary, ": it was made with another tokenizer");
      piece.tokens[i] = id;
    }
    piece.unit_lengths = document_lengths(piece.tokens, separator, begins_with_it);
    // The last document may go on behind this part: leave it to the next one, unless it fills this one.
    if (first + piece.tokens.size() < layout.tokens && piece.unit_lengths.size() > 1) {
      piece.tokens.resize(piece.tokens.size() - piece.unit_lengths.back());
      piece.unit_lengths.pop_back();
    }
    first += piece.tokens.size();
    visit(piece);
  }
}

}  // namespace data
