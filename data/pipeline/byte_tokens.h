// The tokens "<0x00>" … "<0xFF>", which stand for bytes that nothing else in a vocabulary covers.
#pragma once

#include <algorithm>
#include <array>
#include <cstdio>

#include "data/pipeline/vocabulary.h"

namespace data {

inline std::string byte_token(uint8_t byte) {
  char text[8];
  std::snprintf(text, sizeof text, "<0x%02X>", byte);
  return text;
}

class ByteTokens {
 public:
  explicit ByteTokens(const Vocabulary& vocabulary) {
    for (int byte = 0; byte < 256; ++byte) ids_[size_t(byte)] = vocabulary.id(byte_token(uint8_t(byte)));
  }
  /// no_token: the vocabulary lacks it.
  TokenId id(uint8_t byte) const { return ids_[byte]; }
  bool has_all(std::string_view bytes) const {
    return std::all_of(bytes.begin(), bytes.end(),
                       [this](char byte) { return id(uint8_t(byte)) != no_token; });
  }

 private:
  std::array<TokenId, 256> ids_;
};

}  // namespace data
