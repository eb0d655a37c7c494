// How tokenizer.json files of our own kinds begin and list their special tokens. Read first: tokenizer.h.
#pragma once

#include "data/tokenizer.h"
#include "engine/base/json.h"

namespace data {

/// {"format": "normlab-tokenizer", "version": 1, "kind": …, "special": […]}
engine::Json tokenizer_header(TokenizerKind kind, const std::vector<AddedToken>& special);
/// Checks that the object has exactly `keys` beside the header's, and reads "special".
std::vector<AddedToken> read_special(const engine::SortedJson& json, const std::vector<std::string>& keys,
                                     const std::string& what);
/// json[key] as a list of strings, none empty, none twice.
std::vector<std::string> read_strings(const engine::SortedJson& json, const std::string& key,
                                      const std::string& what);
/// "tokenizer train", when sizes allow no such vocabulary.
[[noreturn]] void fail_vocabulary_too_small(size_t wanted, size_t least, const std::string& because);

}  // namespace data
