// Tokens that stand for bytes: GPT-2's alphabet, and "<0xE2>". Read first: decoder.h, data/byte_alphabet.h.
#include <charconv>

#include "data/byte_alphabet.h"
#include "data/pipeline/decoder.h"
#include "data/utf8.h"

namespace data {
namespace {

class ByteLevelDecoder final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) bytes += alphabet_to_bytes(token).value_or(token);
    tokens = {std::move(bytes)};
  }
  bool is_byte_level() const override { return true; }
};

/// Bytes in a row are joined: characters, if they are well-formed, else U+FFFD for each of them.
class ByteFallback final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> out;
    std::string bytes;
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (valid_utf8_prefix(bytes) == bytes.size())
        out.push_back(bytes);
      else
        out.insert(out.end(), bytes.size(), "\uFFFD");
      bytes.clear();
    };
    for (std::string& token : tokens) {
      uint8_t byte = 0;
      if (is_byte(token, byte)) {
        bytes += char(byte);
      } else {
        flush();
        out.push_back(std::move(token));
      }
    }
    flush();
    tokens = std::move(out);
  }

 private:
  static bool is_byte(const std::string& token, uint8_t& byte) {
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return false;
    const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
    return error == std::errc() && end == token.data() + 5;
  }
};

}  // namespace

std::unique_ptr<Decoder> make_byte_level_decoder(const JsonPart& part) {
  part.only({"add_prefix_space", "trim_offsets", "use_regex"});  // for the pre-tokenizer of this name
  return std::make_unique<ByteLevelDecoder>();
}

std::unique_ptr<Decoder> make_byte_fallback(const JsonPart& part) {
  part.only({});
  return std::make_unique<ByteFallback>();
}

}  // namespace data
