// What tests of prepare share: a tokenizer of bytes, texts of many documents, and what came out.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/prepare.h"
#include "data/token_stream.h"
#include "data/tokenizer.h"
#include "data/train_tokenizer.h"
#include "engine/base/file.h"
#include "engine/base/philox.h"

namespace data {

inline std::unique_ptr<Tokenizer> bytes_with(const std::vector<std::string>& special) {
  return train_tokenizer({}, {.kind = TokenizerKind::byte, .special = special});
}

inline std::vector<TokenId> tokens_of(const std::string& path) {
  const auto stream = TokenStream::open(path);
  std::vector<int32_t> out(static_cast<size_t>(stream->size()));
  stream->read(0, stream->size(), out.data());
  return {out.begin(), out.end()};
}

inline std::string words(uint64_t seed, int64_t bytes) {
  engine::Rng rng{seed};
  std::string out;
  while (int64_t(out.size()) < bytes) {
    for (uint64_t n = 1 + rng.below(9); n > 0; --n) out += char('a' + rng.below(26));
    out += rng.below(8) == 0 ? '\n' : ' ';
  }
  return out + "\n";
}

/// Documents of many sizes, one of them above 2 MiB, as a text file with separator lines.
inline std::string many_documents() {
  std::string out;
  for (uint64_t i = 0; i < 40; ++i)
    out += words(i, i == 7 ? 3 << 20 : int64_t(i * i * 50)) + (i < 39 ? "<|endoftext|>\n" : "");
  return out;
}

/// File name -> bytes, of the folder's shards.
inline std::map<std::string, std::string> shards_in(const std::string& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() != ".json")
      out[entry.path().filename().string()] = engine::read_file(entry.path().string());
  return out;
}

}  // namespace data
