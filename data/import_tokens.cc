// Read first: import_tokens.h.
#include "data/import_tokens.h"

#include <algorithm>
#include <cstring>

#include "data/byte_source.h"
#include "engine/base/check.h"
#include "engine/base/folder.h"
#include "engine/base/log.h"

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

/// Reads on until `bytes` holds `n`; a file that ends before, though it was long enough, is an error.
void read_up_to(ByteSource& source, std::string& bytes, size_t n, const std::string& path) {
  while (bytes.size() < n) check(source.read(bytes), path, ": became shorter while it was read");
}

/// `bytes`: of the file's `size`, those at its beginning.
TokenFile llmc_file(const std::string& bytes, size_t size, const std::string& path) {
  int32_t head[3];
  std::memcpy(head, bytes.data(), sizeof head);
  const auto* form = std::find_if(std::begin(kLlmcForms), std::end(kLlmcForms),
                                  [&](const LlmcForm& f) { return f.magic == head[0]; });
  check(form != std::end(kLlmcForms), path, ": not a token file of llm.c (magic ", head[0],
        ", expected 20240520 or 20240801)");
  check(form->version == head[1], path, ": version ", head[1], " of llm.c's token files, expected ",
        form->version);
  check(head[2] >= 0, path, ": a negative number of tokens, ", head[2]);
  const size_t expected = kLlmcHeaderBytes + size_t(head[2]) * form->token_bytes;
  check(size == expected, path, ": ", size < expected ? "truncated" : "too long", ": ", size,
        " bytes where the header's ", head[2], " tokens need ", expected);
  return {kLlmcHeaderBytes, form->token_bytes, size_t(head[2])};
}

/// Is every second 2-byte number zero? In a file of 2-byte ids that would be a token between any two others.
bool has_empty_halves(std::string_view bytes) {
  constexpr size_t fewest = 8;  // ids of 4 bytes: three could be chance
  if (bytes.size() < 4 * fewest) return false;
  bool lower = false;
  for (size_t i = 0; i + 4 <= bytes.size(); i += 4) {
    if (bytes[i + 2] != 0 || bytes[i + 3] != 0) return false;
    lower = lower || bytes[i] != 0 || bytes[i + 1] != 0;
  }
  return lower;
}

/// nanoGPT's files have no header, so that one of another format reads as tokens.
void check_no_header(std::string_view bytes, const std::string& path) {
  for (const LlmcForm& form : kLlmcForms) {
    const int32_t head[2] = {form.magic, form.version};
    check(!bytes.starts_with(std::string_view(reinterpret_cast<const char*>(head), sizeof head)), path,
          ": this is a token file of llm.c; --import llmc reads it");
  }
  check(!bytes.starts_with("\x93NUMPY"), path,
        ": this is a NumPy array with its header; write the ids with tofile()");
  check(!bytes.starts_with("NLTOKENS"), path,
        ": this is a shard of `normlab prepare`, which needs no import");
}

/// `bytes`: of the file's `size`, those at its beginning.
TokenFile nanogpt_file(std::string_view bytes, size_t size, size_t vocabulary, const std::string& path) {
  check_no_header(bytes, path);
  const bool wide = vocabulary > 65536, empty_halves = !wide && size % 4 == 0 && has_empty_halves(bytes);
  if (empty_halves)
    engine::log_warning(path, ": the upper halves of its numbers are zero: read as 4-byte ids");
  const size_t token_bytes = wide || empty_halves ? 4 : 2;
  check(size % token_bytes == 0, path, ": ", size, " bytes, which is no whole number of ", token_bytes,
        "-byte tokens (for a vocabulary of ", vocabulary, ")");
  return {0, token_bytes, size / token_bytes};
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
  const auto source = open_plain_bytes(path);
  const size_t size = engine::file_size(path);
  const size_t vocabulary = tokenizer.vocab_size();
  std::string bytes;
  TokenFile layout{};
  if (form == PrepareForm::llmc) {
    check(size >= kLlmcHeaderBytes, path, ": not a token file of llm.c: ", size,
          " bytes, the header alone has ", kLlmcHeaderBytes);
    read_up_to(*source, bytes, kLlmcHeaderBytes, path);
    layout = llmc_file(bytes, size, path);
    bytes.erase(0, layout.offset);
  } else {
    read_up_to(*source, bytes, std::min(size, kPartTokens), path);
    layout = nanogpt_file(bytes, size, vocabulary, path);
  }
  const DocumentEnd end = document_end(tokenizer);
  const TokenId separator = end.role == DocumentEnd::special ? end.id : no_token;
  const bool begins_with_it = form == PrepareForm::llmc;
  std::vector<TokenId> ids;  // read, and not part of a piece yet
  for (size_t done = 0; done < layout.tokens || !ids.empty();) {
    const size_t more = std::min(kPartTokens - ids.size(), layout.tokens - done);
    read_up_to(*source, bytes, more * layout.token_bytes, path);
    for (size_t i = 0; i < more; ++i) {
      TokenId id = 0;
      std::memcpy(&id, bytes.data() + i * layout.token_bytes, layout.token_bytes);
      check(id < vocabulary, path, ": token ", done + i, " is ", id,
            ", outside the tokenizer's vocabulary of ", vocabulary, ": it was made with another tokenizer");
      ids.push_back(id);
    }
    bytes.erase(0, more * layout.token_bytes);
    done += more;
    EncodedPiece piece{std::move(ids), {}};
    ids.clear();
    piece.unit_lengths = document_lengths(piece.tokens, separator, begins_with_it);
    // The last document may go on behind this part: leave it to the next one, unless it fills this one.
    if (done < layout.tokens && piece.unit_lengths.size() > 1) {
      ids.assign(piece.tokens.end() - piece.unit_lengths.back(), piece.tokens.end());
      piece.tokens.resize(piece.tokens.size() - ids.size());
      piece.unit_lengths.pop_back();
    }
    visit(piece);
  }
  while (source->read(bytes)) {  // at its end the source sees whether the file changed
  }
}

}  // namespace data
